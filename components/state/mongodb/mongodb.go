// Package mongodb is the state store of MongoDB: contrib's, in the layout of Dapr and
// Layotto.
package mongodb

import (
	"strings"

	"github.com/dapr/components-contrib/state/mongodb"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/components/state"
)

// New returns the constructor of stores. They have transactions when the settings
// name a replica set.
func New() components.Factory[state.Store] {
	return contrib.State(mongodb.NewMongoDB, contrib.StateTraits{
		ETag: contrib.UUIDETag, Key: contrib.TextKey, BulkGet: true, CreatesWithETag: true, Transactions: inReplicaSet,
	})
}

func inReplicaSet(properties map[string]string) bool {
	for key, value := range properties {
		if (strings.EqualFold(key, "params") || strings.EqualFold(key, "connectionString")) && strings.Contains(strings.ToLower(value), "replicaset=") {
			return true
		}
	}
	return false
}
