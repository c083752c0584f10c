package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
)

// objectStores are the object stores.
func objectStores() []components.Row[objectstore.Store] {
	return nil
}
