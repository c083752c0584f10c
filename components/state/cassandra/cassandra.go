// Package cassandra is the state store in a table of Cassandra: contrib's. It has times
// to live, but no etags and no transactions.
package cassandra

import (
	"errors"
	"unicode/utf8"

	"github.com/dapr/components-contrib/state/cassandra"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/components/state"
)

// New returns the constructor of stores. It connects, and makes the keyspace and the
// table when they are not there.
func New() components.Factory[state.Store] {
	return contrib.State(cassandra.NewCassandraStateStore, contrib.StateTraits{Key: checkKey})
}

// checkKey says what is wrong with a key in Cassandra.
func checkKey(key string) error {
	if len(key) > 65535 || !utf8.ValidString(key) {
		return errors.New("Cassandra takes UTF-8 of at most 65535 bytes") //nolint:staticcheck // a name
	}
	return nil
}
