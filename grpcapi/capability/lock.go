package capability

import (
	"maps"

	"github.com/ottavo-runtime/ottavo/components/lock"
)

// LockStore is one configured component.
type LockStore struct {
	// Locker does the work.
	Locker lock.Locker
	// Prefix is put before every key.
	Prefix KeyPrefix
}

// Lock is the capability over the components it was made from.
type Lock struct {
	stores map[string]LockStore
}

// NewLock takes them by their names. The map is copied.
func NewLock(stores map[string]LockStore) *Lock {
	return &Lock{stores: maps.Clone(stores)}
}
