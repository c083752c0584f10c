package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/file"
	"github.com/ottavo-runtime/ottavo/components/file/local"
)

// files are the file stores.
func files() []components.Row[file.Store] {
	return []components.Row[file.Store]{
		{Type: local.Type, Doc: "a folder of this machine, which names cannot lead out of", Metadata: &local.Metadata{}, New: local.New},
	}
}
