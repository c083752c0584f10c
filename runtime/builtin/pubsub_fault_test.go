package builtin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/internal/testserver/kafka"
	"github.com/ottavo-runtime/ottavo/internal/testserver/mqtt"
)

// server is one that a test stops and starts.
type server interface {
	Start()
	Stop()
}

// TestPubSubServerRestarts: a server that has forgotten everything when it is back,
// subscriptions, too. While it is away, publishing fails and Check says so; then both
// work again, and so do subscriptions. TestFaultsLater does that, and more, to servers
// that forget nothing, like JetStream's.
func TestPubSubServerRestarts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		typ   string
		start func(t *testing.T) (s server, metadata map[string]any)
	}{
		{"redis", func(t *testing.T) (server, map[string]any) {
			s := testserver.Redis(t)
			return s, map[string]any{"redisHost": s.Addr}
		}},
		{"rabbitmq", func(t *testing.T) (server, map[string]any) {
			s := testserver.RabbitMQ(t)
			return s, map[string]any{"connectionString": "amqp://guest:guest@" + s.Addr, "deletedWhenUnused": "false", "reconnectWaitSeconds": "1"}
		}},
		{"mqtt3", func(t *testing.T) (server, map[string]any) {
			s := mqtt.Start(t, "")
			return s, map[string]any{"url": "tcp://" + s.Addr}
		}},
		{"kafka", func(t *testing.T) (server, map[string]any) {
			if raceEnabled {
				t.Skip("SKIP: TestPubSubKafka runs it without the race detector")
			}
			s := kafka.Start(t)
			return s, map[string]any{"brokers": s.Addr, "authType": "none", "initialOffset": "oldest", "version": "2.8.0"}
		}},
	} {
		t.Run(tt.typ, func(t *testing.T) {
			t.Parallel()
			s, metadata := tt.start(t)
			b := newBroker(t, tt.typ, "group", metadata)
			defer b.Close() //nolint:errcheck // checked by the suite
			restart(t, s, b)
		})
	}
}

func restart(t *testing.T, s server, b pubsub.Broker) {
	t.Helper()
	var mu sync.Mutex
	got := map[string]int{}
	ctx, cancel := context.WithCancel(t.Context())
	done, err := b.Subscribe(ctx, pubsub.Subscription{Topic: "topic"}, func(_ context.Context, m *pubsub.Message) error {
		mu.Lock()
		defer mu.Unlock()
		got[string(m.Data)]++
		return nil
	})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	defer func() { cancel(); <-done }()
	check := b.(components.Checker)
	try := func(limit time.Duration, what string, f func(ctx context.Context) error) {
		t.Helper()
		testserver.Eventually(t, limit, func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if err := f(ctx); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			return nil
		})
	}
	publish := func(data string) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			return b.Publish(ctx, &pubsub.Message{Topic: "topic", Data: []byte(data)})
		}
	}
	arrived := func(data string) func(context.Context) error {
		return func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			if got[data] == 0 {
				return fmt.Errorf("%q has not arrived: %v", data, got)
			}
			return nil
		}
	}
	try(testserver.Patience, "publishing", publish("before"))
	try(testserver.Patience, "the first message", arrived("before"))
	try(testserver.Patience, "health", check.Check)
	s.Stop()
	short, stop := context.WithTimeout(t.Context(), 2*time.Second)
	if err := publish("lost")(short); err == nil {
		t.Error("publishing without a server: no error")
	}
	stop()
	short, stop = context.WithTimeout(t.Context(), 2*time.Second)
	if err := check.Check(short); err == nil {
		t.Error("Check without a server: no error")
	}
	stop()
	s.Start()
	try(testserver.Patience, "health after the restart", check.Check)
	try(testserver.Patience, "publishing after the restart", publish("after"))
	// A server that forgets everything knows of no subscriber until it is back, too.
	try(testserver.Patience, "a message after the restart", func(ctx context.Context) error {
		return errors.Join(publish("after")(ctx), arrived("after")(ctx))
	})
}
