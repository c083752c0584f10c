//go:build full

package builtin

import (
	"testing"

	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/components/pubsub/pubsubtest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestWideRedisCluster(t *testing.T) {
	matrix.Wide(t, "pubsub", "redis.cluster", "redis-server")
	wideOnly(t)
	nodes := testserver.RedisCluster(t, 3)
	pubsubtest.Run(t, pubsubtest.Options{
		Connect: func(t *testing.T, group string) pubsub.Broker {
			return newBroker(t, "redis.cluster", group, map[string]any{
				"redisHost": nodes[0].Addr, "processingTimeout": "2s", "redeliverInterval": "1s",
			})
		},
	})
}

func TestWideAMQP(t *testing.T) {
	matrix.Wide(t, "pubsub", "solace.amqp", "Artemis 2.41")
	s := testserver.Artemis(t)
	pubsubtest.Run(t, pubsubtest.Options{
		Connect: func(t *testing.T, group string) pubsub.Broker {
			return newBroker(t, "solace.amqp", group, map[string]any{"url": "amqp://" + s.Addr, "anonymous": "true"})
		},
		Skip: map[string]string{
			"Competing":       "contrib's client has no groups: whoever subscribes to a topic gets everything",
			"Unacknowledged":  "contrib's client has no durable subscriptions: a topic forgets whoever goes",
			"KeptForTheGroup": "contrib's client has no durable subscriptions: a topic forgets whoever goes",
			"BigMessage":      "contrib's client makes \"<nil>\" of a message without bytes",
		},
	})
}
