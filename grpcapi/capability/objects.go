package capability

import (
	"maps"

	"github.com/ottavo-runtime/ottavo/components/objectstore"
)

// Objects reads and writes objects in the stores it was made from.
type Objects struct {
	stores map[string]objectstore.Store
}

// NewObjects takes them by their names. The map is copied.
func NewObjects(stores map[string]objectstore.Store) *Objects {
	return &Objects{stores: maps.Clone(stores)}
}
