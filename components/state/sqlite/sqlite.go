// Package sqlite is the state store in a file of SQLite: contrib's, in Dapr's layout.
package sqlite

import (
	"github.com/dapr/components-contrib/state/sqlite"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/components/state"
)

// New returns the constructor of stores. It opens the file and makes tables that are
// not there.
func New() components.Factory[state.Store] {
	return contrib.State(sqlite.NewSQLiteStateStore, contrib.StateTraits{ETag: contrib.UUIDETag, BulkGet: true, DeletesExpired: true})
}
