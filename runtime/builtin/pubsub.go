package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/components/pubsub/memory"
)

// brokers are the message brokers.
func brokers() []components.Row[pubsub.Broker] {
	return []components.Row[pubsub.Broker]{
		{Type: memory.Type, Doc: "in this process; gone when it ends", Metadata: ptr(memory.Defaults()), New: memory.New},
	}
}
