package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
	"github.com/ottavo-runtime/ottavo/components/objectstore/local"
)

// objectStores are the object stores.
func objectStores() []components.Row[objectstore.Store] {
	return []components.Row[objectstore.Store]{
		{Type: local.Type, Doc: "a folder of this machine", Metadata: &local.Metadata{}, New: local.New},
	}
}
