package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/binding"
)

// bindings are the bindings.
func bindings() []components.Row[binding.Binding] {
	return nil
}
