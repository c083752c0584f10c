package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/embedded"
	"github.com/ottavo-runtime/ottavo/components/state/memory"
	"github.com/ottavo-runtime/ottavo/components/state/redis"
)

// states are the state stores.
func states() []components.Row[state.Store] {
	return []components.Row[state.Store]{
		{Type: memory.Type, Doc: "in this process; gone when it ends", Metadata: &memory.Metadata{}, New: memory.New},
		{Type: embedded.Type, Doc: "a file of this process; survives a crash", Metadata: &embedded.Metadata{}, New: embedded.New},
		{Type: redis.Type, Doc: "Redis 5 and later, one node, sentinel or cluster; the layout of Dapr and Layotto", Metadata: &redis.Metadata{}, New: redis.New},
	}
}
