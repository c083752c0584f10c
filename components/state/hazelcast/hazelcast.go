// Package hazelcast is the state store in a map of Hazelcast 3: contrib's. It has no
// etags, no times to live and no transactions, and keeps values as texts.
package hazelcast

import (
	"context"
	"encoding/json"
	"fmt"

	contribstate "github.com/dapr/components-contrib/state"
	"github.com/dapr/components-contrib/state/hazelcast"
	"github.com/dapr/kit/logger"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/components/state"
)

// New returns the constructor of stores. It connects.
func New() components.Factory[state.Store] {
	return contrib.State(newStore, contrib.StateTraits{
		Key: contrib.TextKey, Value: func(value []byte) error { return contrib.TextKey(string(value)) }, Volatile: true,
	})
}

func newStore(log logger.Logger) contribstate.Store {
	return store{hazelcast.NewHazelcastStore(log)}
}

// store gives values back as they were written: contrib's gives the text that it has
// kept in quotes, as JSON.
type store struct{ contribstate.Store }

// Get implements contribstate.Store.
func (s store) Get(ctx context.Context, req *contribstate.GetRequest) (*contribstate.GetResponse, error) {
	resp, err := s.Store.Get(ctx, req)
	if err != nil || resp == nil || resp.Data == nil {
		return resp, err
	}
	var text string
	if err := json.Unmarshal(resp.Data, &text); err != nil {
		return nil, fmt.Errorf("the value of %q is no text: %w", req.Key, err)
	}
	resp.Data = []byte(text)
	return resp, nil
}
