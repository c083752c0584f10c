// Package memcached is the state store of memcached: contrib's. It has no etags and
// no transactions, and forgets what it has no room for.
package memcached

import (
	"errors"
	"strings"

	"github.com/dapr/components-contrib/state/memcached"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/components/state"
)

// New returns the constructor of stores. It connects to all servers.
func New() components.Factory[state.Store] {
	return contrib.State(memcached.NewMemCacheStateStore, contrib.StateTraits{Key: checkKey, Volatile: true})
}

// checkKey says what is wrong with a key in memcached's protocol.
func checkKey(key string) error {
	if len(key) > 250 || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return errors.New("memcached takes at most 250 bytes without blanks and control characters")
	}
	return nil
}
