package capability

import (
	"maps"

	"github.com/ottavo-runtime/ottavo/components/pubsub"
)

// PubSub publishes to, and subscribes at, the brokers it was made from.
type PubSub struct {
	brokers map[string]pubsub.Broker
}

// NewPubSub takes them by their names. The map is copied.
func NewPubSub(brokers map[string]pubsub.Broker) *PubSub {
	return &PubSub{brokers: maps.Clone(brokers)}
}
