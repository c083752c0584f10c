package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
)

// brokers are the message brokers.
func brokers() []components.Row[pubsub.Broker] {
	return nil
}
