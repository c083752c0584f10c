package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/file"
)

// files are the file stores.
func files() []components.Row[file.Store] {
	return nil
}
