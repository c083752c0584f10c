package capability

import (
	"maps"

	"github.com/ottavo-runtime/ottavo/components/binding"
)

// Binding calls the bindings it was made from.
type Binding struct {
	bindings map[string]binding.Binding
}

// NewBinding takes them by their names. The map is copied.
func NewBinding(bindings map[string]binding.Binding) *Binding {
	return &Binding{bindings: maps.Clone(bindings)}
}
