package builtin

import (
	"fmt"
	"maps"
	"testing"

	"github.com/ottavo-runtime/ottavo/components/contrib/mqtt"
)

func TestPubSubPrepare(t *testing.T) {
	for _, tt := range []struct {
		name     string
		prepare  func(map[string]string)
		in, want map[string]string
	}{
		{"rabbitmq", prepareRabbitMQ, map[string]string{}, map[string]string{"publisherConfirm": "true", "deliveryMode": "2", "requeueInFailure": "true"}},
		{
			"rabbitmq, as the settings say", prepareRabbitMQ,
			map[string]string{"PublisherConfirm": "false", "deliveryMode": "1", "requeueInFailure": "false", "concurrency": "single"},
			map[string]string{"PublisherConfirm": "false", "deliveryMode": "1", "requeueInFailure": "false", "concurrency": "single", "concurrencyMode": "single"},
		},
		{
			"rabbitmq with dead letters of its own", prepareRabbitMQ,
			map[string]string{"enableDeadLetter": "true"},
			map[string]string{"enableDeadLetter": "true", "publisherConfirm": "true", "deliveryMode": "2"},
		},
		{
			"natsstreaming", prepareNATSStreaming,
			map[string]string{"durableSubscriptionName": "d", "ackWaitTime": "3s", "maxInFlight": "4", "deliverNew": "true"},
			map[string]string{"durableSubscriptionName": "d", "ackWaitTime": "3s", "maxInFlight": "4", "deliverNew": "true", "durableName": "d", "ackWait": "3s", "maxAckPending": "4", "deliverPolicy": "new"},
		},
		{"jetstream", func(p map[string]string) { jetStreamClient(p, "t") }, map[string]string{"queueGroupName": "mine"}, map[string]string{"queueGroupName": "mine"}},
		{
			"jetstream's group", func(p map[string]string) { jetStreamClient(p, "t") },
			map[string]string{"consumerID": "a.b c"},
			map[string]string{"consumerID": "a.b c", "durableName": fmt.Sprintf("a_b_c-%x", hash("t")), "queueGroupName": fmt.Sprintf("a_b_c-%x", hash("t"))},
		},
		{
			"mqtt3", func(p map[string]string) { mqttClient(p, "t") },
			map[string]string{"consumerID": "app"},
			map[string]string{"consumerID": fmt.Sprintf("app-%x", hash("t")), mqtt.SubscriberKey: "true"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.prepare(tt.in)
			if !maps.Equal(tt.in, tt.want) {
				t.Errorf("got  %v\nwant %v", tt.in, tt.want)
			}
		})
	}
}

func TestPubSubAddresses(t *testing.T) {
	for _, tt := range []struct {
		properties map[string]string
		want       string
	}{
		{map[string]string{"host": "amqp://u:p@rabbit:5673/vhost"}, "[rabbit:5673]"},
		{map[string]string{"hostname": "rabbit"}, "[rabbit:1]"},
		{map[string]string{"connectionstring": "amqp://rabbit", "hostname": "other"}, "[rabbit:1]"},
		{map[string]string{"host": "nats://a:1, nats://[::1]:2,b"}, "[a:1 [::1]:2 b:1]"},
		{map[string]string{}, "[]"},
	} {
		if got := fmt.Sprint(urlAddresses("1", "connectionString", "host", "hostname")(tt.properties)); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.properties, got, tt.want)
		}
	}
	if got := fmt.Sprint(listAddresses("brokers")(map[string]string{"brokers": "a:1, b:2,"})); got != "[a:1 b:2]" {
		t.Error(got)
	}
}
