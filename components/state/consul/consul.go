// Package consul is the state store in Consul's key-value store: contrib's. It has
// no etags, no times to live and no transactions.
package consul

import (
	"github.com/dapr/components-contrib/state/hashicorp/consul"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/components/state"
)

// New returns the constructor of stores. It does not connect: a server that is down
// shows in the first call and in the health.
func New() components.Factory[state.Store] {
	return contrib.State(consul.NewConsulStateStore, contrib.StateTraits{})
}
