package builtin

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/components/pubsub/pubsubtest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/internal/testserver/kafka"
	"github.com/ottavo-runtime/ottavo/internal/testserver/mqtt"
	"github.com/ottavo-runtime/ottavo/internal/testserver/nats"
)

// tryBroker makes a broker of a built-in type.
func tryBroker(ctx context.Context, typ, group string, metadata map[string]any) (pubsub.Broker, error) {
	table, err := components.NewTable("pubsub", brokers()...)
	if err != nil {
		return nil, err
	}
	return table.New(ctx, components.Env{AppID: group}, components.Config{Name: "events", Type: typ, Path: "pub_subs.events", Metadata: metadata})
}

func newBroker(t *testing.T, typ, group string, metadata map[string]any) pubsub.Broker {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testserver.Patience)
	defer cancel()
	b, err := tryBroker(ctx, typ, group, metadata)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPubSubRabbitMQ(t *testing.T) {
	t.Parallel()
	matrix.Backend(t, "pubsub", "rabbitmq")
	server := testserver.RabbitMQ(t)
	pubsubtest.Run(t, pubsubtest.Options{
		Connect: func(t *testing.T, group string) pubsub.Broker {
			return newBroker(t, "rabbitmq", group, map[string]any{
				"connectionString": "amqp://guest:guest@" + server.Addr, "deletedWhenUnused": "false", "concurrencyMode": "single", "reconnectWaitSeconds": "1",
			})
		},
	})
}

func TestPubSubMQTT(t *testing.T) {
	t.Parallel()
	matrix.Backend(t, "pubsub", "mqtt3")
	server := testserver.Mosquitto(t) //nolint:misspell // a name
	pubsubtest.Run(t, pubsubtest.Options{
		Connect: func(t *testing.T, group string) pubsub.Broker {
			return newBroker(t, "mqtt3", group, map[string]any{"url": "tcp://" + server.Addr})
		},
		Skip: map[string]string{
			"Competing": "MQTT 3.1.1 has no groups: a consumerID is one client, and a server disconnects the first when a second comes by its name",
		},
	})
}

// withStream makes the stream of a topic before it is used.
type withStream struct {
	pubsub.Broker
	js natsgo.JetStreamContext
}

func (b withStream) ensure(topic string) {
	if topic != "" {
		_, _ = b.js.AddStream(&natsgo.StreamConfig{Name: topic, Subjects: []string{topic}}) // it may be there
	}
}

func (b withStream) Publish(ctx context.Context, m *pubsub.Message) error {
	b.ensure(m.Topic)
	return b.Broker.Publish(ctx, m)
}

func (b withStream) Subscribe(ctx context.Context, s pubsub.Subscription, h pubsub.Handler) (<-chan struct{}, error) {
	b.ensure(s.Topic)
	return b.Broker.Subscribe(ctx, s, h)
}

func TestPubSubJetStream(t *testing.T) {
	t.Parallel()
	matrix.Backend(t, "pubsub", "jetstream")
	server := nats.Start(t, "")
	nc, err := natsgo.Connect("nats://" + server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	pubsubtest.Run(t, pubsubtest.Options{
		MaxMessage: 512 << 10,
		Connect: func(t *testing.T, group string) pubsub.Broker {
			return withStream{newBroker(t, "jetstream", group, map[string]any{"natsURL": "nats://" + server.Addr, "ackWait": "2s"}), js}
		},
	})
}

func TestPubSubKafka(t *testing.T) {
	t.Parallel()
	matrix.Backend(t, "pubsub", "kafka")
	if raceEnabled {
		withoutRace(t, "^TestPubSubKafka$|^TestPubSubServerRestarts$/^kafka$")
		return
	}
	server := kafka.Start(t)
	pubsubtest.Run(t, pubsubtest.Options{
		MaxMessage: 512 << 10,
		Redelivery: 10 * time.Second,
		Connect: func(t *testing.T, group string) pubsub.Broker {
			return newBroker(t, "kafka", group, map[string]any{"brokers": server.Addr, "authType": "none", "initialOffset": "oldest", "version": "2.8.0"})
		},
	})
}

// withoutRace runs tests of this package in a process of its own, without the race
// detector, which finds two races in contrib's Kafka that cannot be kept from it here.
// At each start it assigns sarama.Logger, which the clients that run already read for
// each line; they see one logger or the other. And it reads the map of its handlers
// without the lock under which an ending subscription removes its own; the adapter lets
// it fetch nothing more before that. Neither can be ordered from outside, as a
// subscription's client starts while others run. Compiling it may take minutes when Go's cache is empty.
func withoutRace(t *testing.T, tests string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	binary := filepath.Join(t.TempDir(), "plain.test")
	if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-race=false", "-o", binary, ".").CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			t.Skip("SKIP: the test without the race detector was not compiled within 8 minutes")
		}
		t.Fatalf("compiling: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(ctx, binary, "-test.run="+tests, "-test.v").CombinedOutput()
	if want := strings.Count(tests, "|") + 1; err != nil || strings.Count(string(out), "\n--- PASS: ") < want {
		t.Fatalf("without the race detector: %v\n%s", err, out)
	}
}

// A broker that is away at the start is told of by its address, without the
// password.
func TestPubSubErrorsAtStart(t *testing.T) {
	t.Parallel()
	server := mqtt.Start(t, "right-one")
	natsServer := nats.Start(t, "right-one")
	for _, tt := range []struct {
		typ, text string
		metadata  map[string]any
	}{
		{"rabbitmq", "127.0.0.1:1", map[string]any{"connectionString": "amqp://guest:s3cret-word@127.0.0.1:1"}},
		{"jetstream", "", map[string]any{"natsURL": "nats://127.0.0.1:1"}},
		{"jetstream", "uthorization", map[string]any{"natsURL": "nats://" + natsServer.Addr, "token": "s3cret-word"}},
		{"mqtt3", "uthorized", map[string]any{"url": "tcp://app:s3cret-word@" + server.Addr}},
		{"mqtt3", "127.0.0.1:1", map[string]any{"url": "tcp://127.0.0.1:1"}},
		{"kafka", "127.0.0.1:1", map[string]any{"brokers": "127.0.0.1:1", "authType": "none"}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		b, err := tryBroker(ctx, tt.typ, "g", tt.metadata)
		cancel()
		if err == nil {
			_ = b.Close()
			t.Errorf("%s: no error", tt.typ)
			continue
		}
		t.Logf("%s: %v", tt.typ, err)
		if !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "s3cret-word") {
			t.Errorf("%s: %v, want %q and no password", tt.typ, err, tt.text)
		}
	}
}
