// Package postgresql is the state store of PostgreSQL: contrib's, in both layouts.
// V1 is what Dapr calls version 1 and what Layotto has; V2 is faster, and does not
// read the other's data.
package postgresql

import (
	"errors"
	"strconv"

	v1 "github.com/dapr/components-contrib/state/postgresql/v1"
	v2 "github.com/dapr/components-contrib/state/postgresql/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/components/state"
)

// V1 returns the constructor of stores in the first layout. It connects and makes
// tables that are not there.
func V1() components.Factory[state.Store] {
	return contrib.State(v1.NewPostgreSQLStateStore, contrib.StateTraits{ETag: isXmin, Key: contrib.TextKey, BulkGet: true, DeletesExpired: true, Again: again, Refused: refused})
}

// V2 returns the constructor of stores in the second layout. It connects and makes
// tables that are not there.
func V2() components.Factory[state.Store] {
	return contrib.State(v2.NewPostgreSQLStateStore, contrib.StateTraits{ETag: contrib.UUIDETag, Key: contrib.TextKey, BulkGet: true, DeletesExpired: true, Again: again, Refused: refused})
}

// isXmin: the etags of the first layout are PostgreSQL's xmin, numbers of 32 bits.
func isXmin(text string) bool {
	_, err := strconv.ParseUint(text, 10, 32)
	return err == nil
}

// again: the server ended one of two transactions that were in each other's way.
func again(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "40P01" || e.Code == "40001")
}

// refused: a key that is too long for the server's index, or the like.
func refused(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "54000"
}
