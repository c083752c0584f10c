package builtin

import (
	"fmt"
	"hash/fnv"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/dapr/components-contrib/pubsub/jetstream"
	"github.com/dapr/components-contrib/pubsub/kafka"
	"github.com/dapr/components-contrib/pubsub/rabbitmq"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/components/contrib/mqtt"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/components/pubsub/memory"
	"github.com/ottavo-runtime/ottavo/components/pubsub/redis"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// holdTime is how long a message whose handler fails is tried again here before
// the broker gets it back: less than any broker waits for an answer by default.
const holdTime = 10 * time.Second

// brokers are the message brokers.
func brokers() []components.Row[pubsub.Broker] {
	mqtt3 := contrib.PubSub(mqtt.New, contrib.PubSubTraits{
		Hold: contrib.Forever, Alone: true, Client: mqttClient, Addresses: urlAddresses("1883", "url"),
	})
	return append([]components.Row[pubsub.Broker]{
		{Type: memory.Type, Doc: "in this process; gone when it ends", Metadata: ptr(memory.Defaults()), New: memory.New},
		{Type: redis.Type, Doc: "streams of Redis 5 and later, one node or sentinels; the layout of Dapr and Layotto", Metadata: ptr(redis.Defaults()), New: redis.New},
		{Type: "kafka", Doc: "Kafka; a topic's order is kept for each key", Keys: contrib.PubSubKeys(kafka.NewKafka, kafkaKeys()...), New: contrib.PubSub(kafka.NewKafka, contrib.PubSubTraits{
			Ordered: always, Hold: holdTime, Alone: true, Addresses: listAddresses("brokers"),
		})},
		{Type: "rabbitmq", Doc: "RabbitMQ; messages are confirmed and persistent unless the settings say otherwise", Keys: contrib.PubSubKeys(rabbitmq.NewRabbitMQ, tlsKeys("host", modeKey, "ttl")...), New: contrib.PubSub(rabbitmq.NewRabbitMQ, contrib.PubSubTraits{
			Ordered: oneByOne(false), Hold: holdTime, Alone: true, Prepare: prepareRabbitMQ, Unsaid: "did not receive confirmation", Addresses: urlAddresses("5672", "connectionString", "host", "hostname"),
		})},
		{Type: "mqtt3", Doc: "MQTT 3.1.1; every consumerID gets every message", Keys: mqttKeys, New: mqtt3},
		{Type: "mqtt", Doc: "Layotto's name of mqtt3", Keys: mqttKeys, New: mqtt3},
		{Type: "jetstream", Doc: "NATS JetStream; the stream must exist", Keys: contrib.PubSubKeys(jetstream.NewJetStream, modeKey, concurrencyKey), New: contrib.PubSub(jetstream.NewJetStream, contrib.PubSubTraits{
			Ordered: oneByOne(true), Hold: holdTime, Alone: true, Client: jetStreamClient, Prepare: prepareMode, Addresses: urlAddresses("4222", "natsURL"),
		})},
		{Type: "natsstreaming", Doc: "the settings of NATS Streaming, which has ended, for JetStream; the stream must exist", Keys: contrib.PubSubKeys(jetstream.NewJetStream, natsStreamingKeys()...), New: contrib.PubSub(jetstream.NewJetStream, contrib.PubSubTraits{
			Ordered: oneByOne(true), Hold: holdTime, Alone: true, Client: jetStreamClient, Prepare: prepareNATSStreaming, Addresses: urlAddresses("4222", "natsURL"),
		})},
	}, brokersOfFull()...)
}

func always(map[string]string) bool { return true }

// setting returns a setting, whose key's case does not matter.
func setting(properties map[string]string, key string) string {
	for k, v := range properties {
		if strings.EqualFold(k, key) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// missing sets a setting that is not there.
func missing(properties map[string]string, key, value string) {
	if setting(properties, key) == "" {
		properties[key] = value
	}
}

// modeKey is the setting that says whether messages are handled one after the
// other, "single", or side by side, "parallel".
const modeKey = "concurrencyMode"

// concurrencyKey is the other name of it, which some brokers list.
const concurrencyKey = "concurrency"

// oneByOne tells which of them it is.
func oneByOne(byDefault bool) func(map[string]string) bool {
	return func(properties map[string]string) bool {
		mode := setting(properties, modeKey)
		return mode == "single" || mode == "" && byDefault
	}
}

// prepareMode lets the mode also be called concurrency, as some brokers list it.
func prepareMode(properties map[string]string) {
	if mode := setting(properties, concurrencyKey); mode != "" {
		missing(properties, modeKey, mode)
	}
}

// prepareRabbitMQ makes publishing and failing safe where nothing is said of it:
// contrib's defaults lose messages when the server ends, or a handler fails. How
// queues are declared stays as it is, or they would not fit those of others.
func prepareRabbitMQ(properties map[string]string) {
	prepareMode(properties)
	missing(properties, "publisherConfirm", "true")
	missing(properties, "deliveryMode", "2")
	if !strings.EqualFold(setting(properties, "enableDeadLetter"), "true") {
		missing(properties, "requeueInFailure", "true")
	}
}

// mqttClient names the client of a subscription: a server closes a connection when
// another one comes by the same name.
func mqttClient(properties map[string]string, topic string) {
	properties[pubsub.ConsumerKey] = fmt.Sprintf("%s-%x", properties[pubsub.ConsumerKey], hash(topic))
	properties[mqtt.SubscriberKey] = "true"
}

// jetStreamClient makes the consumers of a group one durable consumer, which keeps
// its place, unless the settings say how it is to be.
func jetStreamClient(properties map[string]string, topic string) {
	if setting(properties, "durableName") != "" || setting(properties, "queueGroupName") != "" {
		return
	}
	name := fmt.Sprintf("%s-%x", strings.Map(func(r rune) rune {
		if strings.ContainsRune(".*> /\\\t\r\n", r) {
			return '_'
		}
		return r
	}, properties[pubsub.ConsumerKey]), hash(topic))
	properties["durableName"], properties["queueGroupName"] = name, name
}

func hash(text string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text)) // never fails
	return h.Sum32()
}

// prepareNATSStreaming gives the settings of NATS Streaming their names in
// JetStream; those of the rest mean nothing there.
func prepareNATSStreaming(properties map[string]string) {
	prepareMode(properties)
	for old, name := range natsStreamingNames() {
		if value := setting(properties, old); value != "" {
			missing(properties, name, value)
		}
	}
	for key, policy := range natsStreamingPolicies() {
		if strings.EqualFold(setting(properties, key), "true") {
			missing(properties, "deliverPolicy", policy)
		}
	}
}

// natsStreamingNames are settings of NATS Streaming, with their names in JetStream.
func natsStreamingNames() map[string]string {
	return map[string]string{"durableSubscriptionName": "durableName", "ackWaitTime": "ackWait", "maxInFlight": "maxAckPending"}
}

// natsStreamingPolicies are switches of NATS Streaming, with the policy that they are
// in JetStream.
func natsStreamingPolicies() map[string]string {
	return map[string]string{"deliverNew": "new", "deliverAll": "all", "startWithLastReceived": "last"}
}

// natsStreamingKeys are all of them, sorted.
func natsStreamingKeys() []string {
	keys := slices.Collect(maps.Keys(natsStreamingNames()))
	keys = slices.AppendSeq(keys, maps.Keys(natsStreamingPolicies()))
	return append(slices.Sorted(slices.Values(keys)), modeKey, concurrencyKey)
}

// mqttKeys are contrib's; the client's private one is nobody's to set.
func mqttKeys() []decode.Key {
	return slices.DeleteFunc(contrib.PubSubKeys(mqtt.New, tlsKeys()...)(), func(k decode.Key) bool { return k.Name == mqtt.SubscriberKey })
}

// listAddresses reads host:port with commas in between.
func listAddresses(key string) func(map[string]string) []string {
	return func(properties map[string]string) []string {
		var addrs []string
		for addr := range strings.SplitSeq(setting(properties, key), ",") {
			if addr = strings.TrimSpace(addr); addr != "" {
				addrs = append(addrs, addr)
			}
		}
		return addrs
	}
}

// urlAddresses reads URLs with commas in between, of the first key that is there;
// a host alone counts too.
func urlAddresses(port string, keys ...string) func(map[string]string) []string {
	return func(properties map[string]string) []string {
		for _, key := range keys {
			text := setting(properties, key)
			if text == "" {
				continue
			}
			var addrs []string
			for part := range strings.SplitSeq(text, ",") {
				host := strings.TrimSpace(part)
				if u, err := url.Parse(host); err == nil && u.Host != "" {
					host = u.Host
				}
				if _, _, err := net.SplitHostPort(host); err != nil {
					host = net.JoinHostPort(strings.Trim(host, "[]"), port)
				}
				addrs = append(addrs, host)
			}
			return addrs
		}
		return nil
	}
}
