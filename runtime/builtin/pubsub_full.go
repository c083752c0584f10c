//go:build full

package builtin

import (
	"net/http"
	"time"

	"github.com/dapr/components-contrib/pubsub/aws/snssqs"
	"github.com/dapr/components-contrib/pubsub/azure/eventhubs"
	"github.com/dapr/components-contrib/pubsub/azure/servicebus/queues"
	"github.com/dapr/components-contrib/pubsub/azure/servicebus/topics"
	gcppubsub "github.com/dapr/components-contrib/pubsub/gcp/pubsub"
	"github.com/dapr/components-contrib/pubsub/kubemq"
	"github.com/dapr/components-contrib/pubsub/pulsar"
	contribredis "github.com/dapr/components-contrib/pubsub/redis"
	"github.com/dapr/components-contrib/pubsub/rocketmq"
	"github.com/dapr/components-contrib/pubsub/solace/amqp"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
)

func brokersOfFull() []components.Row[pubsub.Broker] {
	held := contrib.PubSubTraits{Hold: holdTime}
	scheduled := contrib.PubSubTraits{Hold: holdTime, Delay: func(d time.Duration) (string, string) {
		return "ScheduledEnqueueTimeUtc", time.Now().Add(d).UTC().Format(http.TimeFormat)
	}}
	sqs := contrib.PubSub(snssqs.NewSnsSqs, contrib.PubSubTraits{Hold: holdTime, Texts: true})
	sqsKeys := contrib.PubSubKeys(snssqs.NewSnsSqs, awsKeys("awsAccountID", "awsSecret")...)
	topicKeys := contrib.PubSubKeys(topics.NewAzureServiceBusTopics, serviceBusKeys()...)
	serviceBus := contrib.PubSub(topics.NewAzureServiceBusTopics, scheduled)
	return []components.Row[pubsub.Broker]{
		{Type: "pulsar", Doc: "Pulsar; messages for later with deliverAfter", Keys: contrib.PubSubKeys(pulsar.NewPulsar, "*.avroschema", "*.jsonschema", "*.rawschema"), New: contrib.PubSub(pulsar.NewPulsar, contrib.PubSubTraits{
			Hold: holdTime, Delay: func(d time.Duration) (string, string) { return "deliverAfter", d.String() },
		})},
		// It acknowledges a message whose handler has failed, so it never hears of that.
		{Type: "redis.cluster", Doc: "streams of a Redis cluster; the layout of redis", Keys: contrib.PubSubKeys(contribredis.NewRedisStreams, redisKeys("redeliverInterval")...), New: contrib.PubSub(contribredis.NewRedisStreams, contrib.PubSubTraits{
			Hold: contrib.Forever, Prepare: func(properties map[string]string) { missing(properties, "redisType", "cluster") },
		})},
		{Type: "aws.snssqs", Doc: "see Dapr's broker of this name", Keys: sqsKeys, New: sqs},
		{Type: "snssqs", Doc: "Layotto's name of aws.snssqs", Keys: sqsKeys, New: sqs},
		{Type: "azure.eventhubs", Doc: "see Dapr's broker of this name", Keys: contrib.PubSubKeys(eventhubs.NewAzureEventHubs, azureKeys()...), New: contrib.PubSub(eventhubs.NewAzureEventHubs, held)},
		{Type: "azure.servicebus.topics", Doc: "see Dapr's broker of this name; messages for later", Keys: topicKeys, New: serviceBus},
		{Type: "azure.servicebus", Doc: "Layotto's name of azure.servicebus.topics", Keys: topicKeys, New: serviceBus},
		{Type: "azure.servicebus.queues", Doc: "see Dapr's broker of this name; messages for later", Keys: contrib.PubSubKeys(queues.NewAzureServiceBusQueues, serviceBusKeys()...), New: contrib.PubSub(queues.NewAzureServiceBusQueues, scheduled)},
		{Type: "gcp.pubsub", Doc: "see Dapr's broker of this name", Keys: contrib.PubSubKeys(gcppubsub.NewGCPPubSub, gcpKeys()...), New: contrib.PubSub(gcppubsub.NewGCPPubSub, held)},
		{Type: "kubemq", Doc: "see Dapr's broker of this name", Keys: contrib.PubSubKeys(kubemq.NewKubeMQ), New: contrib.PubSub(kubemq.NewKubeMQ, held)},
		{Type: "rocketmq", Doc: "see Dapr's broker of this name", Keys: contrib.PubSubKeys(rocketmq.NewRocketMQ), New: contrib.PubSub(rocketmq.NewRocketMQ, held)},
		{Type: "solace.amqp", Doc: "see Dapr's broker of this name", Keys: contrib.PubSubKeys(amqp.NewAMQPPubsub, tlsKeys()...), New: contrib.PubSub(amqp.NewAMQPPubsub, contrib.PubSubTraits{
			// A message that is refused does not come again; a topic forgets whoever goes.
			Hold: contrib.Forever, Volatile: true, NoTTL: true, Renames: true,
		})},
	}
}
