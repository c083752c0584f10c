package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/components/pubsub/memory"
	"github.com/ottavo-runtime/ottavo/components/pubsub/redis"
)

// brokers are the message brokers.
func brokers() []components.Row[pubsub.Broker] {
	return []components.Row[pubsub.Broker]{
		{Type: redis.Type, Doc: "streams of Redis 5 and later, one node or sentinels; the layout of Dapr and Layotto", Metadata: ptr(redis.Defaults()), New: redis.New},
		{Type: memory.Type, Doc: "in this process; gone when it ends", Metadata: ptr(memory.Defaults()), New: memory.New},
	}
}
