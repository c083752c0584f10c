package capability

import (
	"maps"

	"github.com/ottavo-runtime/ottavo/components/file"
)

// File reads and writes files in the stores it was made from.
type File struct {
	stores map[string]file.Store
}

// NewFile takes them by their names. The map is copied.
func NewFile(stores map[string]file.Store) *File {
	return &File{stores: maps.Clone(stores)}
}
