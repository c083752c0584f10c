package contrib_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dapr/components-contrib/metadata"
	contribpubsub "github.com/dapr/components-contrib/pubsub"
	"github.com/dapr/kit/logger"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/internal/logtest"
)

// fakeBroker is one of contrib's brokers that does what a test wants.
type fakeBroker struct {
	log     logger.Logger
	world   *fakeWorld
	handler contribpubsub.Handler
	ctx     context.Context // of the subscription
}

// fakeWorld is what a test sees of its brokers.
type fakeWorld struct {
	mu         sync.Mutex
	all        []*fakeBroker
	properties []map[string]string
	closed     atomic.Int32
	init, end  error // what Init and Close return
	publish    func(ctx context.Context, b *fakeBroker, req *contribpubsub.PublishRequest) error
}

func (w *fakeWorld) make(log logger.Logger) contribpubsub.PubSub {
	b := &fakeBroker{log: log, world: w}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, b)
	return b
}

func (w *fakeWorld) last() *fakeBroker {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all[len(w.all)-1]
}

func (b *fakeBroker) Init(_ context.Context, md contribpubsub.Metadata) error {
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	b.world.properties = append(b.world.properties, md.Properties)
	return b.world.init
}

func (b *fakeBroker) Features() []contribpubsub.Feature {
	return []contribpubsub.Feature{contribpubsub.FeatureMessageTTL}
}

func (b *fakeBroker) Publish(ctx context.Context, req *contribpubsub.PublishRequest) error {
	return b.world.publish(ctx, b, req)
}

func (b *fakeBroker) Subscribe(ctx context.Context, _ contribpubsub.SubscribeRequest, h contribpubsub.Handler) error {
	b.ctx, b.handler = ctx, h
	return nil
}

func (b *fakeBroker) GetComponentMetadata() metadata.MetadataMap {
	return metadata.MetadataMap{"host": {}}
}

func (b *fakeBroker) Close() error {
	b.world.closed.Add(1)
	return b.world.end
}

func newPubSub(t *testing.T, w *fakeWorld, traits contrib.PubSubTraits, md map[string]any, warn func(decode.Problem)) (pubsub.Broker, error) {
	t.Helper()
	return contrib.PubSub(w.make, traits)(t.Context(), components.Env{AppID: "app"}, components.Config{Name: "events", Path: "pub_subs.events", Metadata: md, Warn: warn})
}

func mustPubSub(t *testing.T, w *fakeWorld, traits contrib.PubSubTraits) pubsub.Broker {
	t.Helper()
	b, err := newPubSub(t, w, traits, map[string]any{"consumerID": " "}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPubSubSettings(t *testing.T) {
	w := &fakeWorld{}
	var warned []string
	b, err := newPubSub(t, w, contrib.PubSubTraits{Prepare: func(p map[string]string) { p["more"] = "set" }}, map[string]any{"consumerId": "", "hots": 1}, func(p decode.Problem) { warned = append(warned, p.String()) })
	if err != nil {
		t.Fatal(err)
	}
	if p := w.properties[0]; p["consumerID"] != "app" || p["more"] != "set" || p["hots"] != "1" {
		t.Errorf("settings %v", p)
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "hots") {
		t.Errorf("warnings %q", warned)
	}
	if f := b.Features(); !f.TTL || !f.Durable || f.Ordered {
		t.Errorf("features %+v", f)
	}
	for range 2 {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := w.closed.Load(); n != 1 {
		t.Errorf("closed %d times", n)
	}
	w.init = errors.New("cannot reach amqp://user:s3cret-word@host")
	if _, err := newPubSub(t, w, contrib.PubSubTraits{}, map[string]any{"connectionString": "amqp://user:s3cret-word@host"}, nil); err == nil || strings.Contains(err.Error(), "s3cret-word") || w.closed.Load() != 2 {
		t.Errorf("a broker that cannot be made: %v", err)
	}
}

// That a server is away when a broker is closed is logged, and keeps nobody from ending
// in order.
func TestPubSubCloseWithoutServer(t *testing.T) {
	w := &fakeWorld{end: errors.New("connection reconnecting to s3cret-word")}
	var log logtest.Log
	b, err := contrib.PubSub(w.make, contrib.PubSubTraits{})(t.Context(), components.Env{Log: slog.New(slog.NewTextHandler(&log, nil))},
		components.Config{Name: "events", Path: "pub_subs.events", Metadata: map[string]any{"password": "s3cret-word"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if text := log.String(); !strings.Contains(text, "connection reconnecting") || strings.Contains(text, "s3cret-word") {
		t.Errorf("log %q", text)
	}
}

// A publish that a backend calls a success although it logs that it is none.
func TestPubSubUnsaid(t *testing.T) {
	w := &fakeWorld{publish: func(_ context.Context, b *fakeBroker, req *contribpubsub.PublishRequest) error {
		if string(req.Data) == "bad" {
			b.log.Errorf("%s: did not confirm", req.Topic)
		}
		return nil
	}}
	b := mustPubSub(t, w, contrib.PubSubTraits{Unsaid: "did not confirm"})
	defer b.Close() //nolint:errcheck // checked elsewhere
	for data, fails := range map[string]bool{"good": false, "bad": true} {
		if err := b.Publish(t.Context(), &pubsub.Message{Topic: "t", Data: []byte(data)}); (err != nil) != fails {
			t.Errorf("%s: %v", data, err)
		}
	}
}

// A backend that takes the end of a context for success, or does not heed it.
func TestPubSubPublishEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &fakeWorld{publish: func(ctx context.Context, _ *fakeBroker, req *contribpubsub.PublishRequest) error {
			if string(req.Data) == "deaf" {
				time.Sleep(time.Minute)
				return nil
			}
			<-ctx.Done()
			return nil
		}}
		b := mustPubSub(t, w, contrib.PubSubTraits{})
		for _, data := range []string{"deaf", "polite"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			start := time.Now()
			if err := b.Publish(ctx, &pubsub.Message{Topic: "t", Data: []byte(data)}); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
				t.Errorf("%s: after %s: %v", data, time.Since(start), err)
			}
			cancel()
		}
		time.Sleep(2 * time.Minute)
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// deliver hands one message to the last subscription's handler.
func (w *fakeWorld) deliver(data string) error {
	b := w.last()
	return b.handler(b.ctx, &contribpubsub.NewMessage{Topic: "t", Data: []byte(data)})
}

// A failed message is handed over again while it is held, and then given back; when
// the subscription ends, the backend hears of it last.
func TestPubSubHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &fakeWorld{}
		b := mustPubSub(t, w, contrib.PubSubTraits{Hold: time.Second, Alone: true, Client: func(p map[string]string, topic string) { p["client"] = topic }})
		ctx, cancel := context.WithCancel(t.Context())
		var calls atomic.Int32
		done, err := b.Subscribe(ctx, pubsub.Subscription{Topic: "t", Grace: time.Second}, func(_ context.Context, m *pubsub.Message) error {
			if calls.Add(1); string(m.Data) == "panic" {
				panic("a defect")
			}
			return errors.New("no")
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(w.all) != 2 || w.properties[1]["client"] != "t" || w.properties[0]["client"] != "" {
			t.Errorf("%d clients, settings %v", len(w.all), w.properties)
		}
		for _, data := range []string{"error", "panic"} {
			calls.Store(0)
			start := time.Now()
			if err := w.deliver(data); err == nil || calls.Load() != 4 || time.Since(start) != 700*time.Millisecond {
				t.Errorf("%s: after %s and %d calls: %v", data, time.Since(start), calls.Load(), err)
			}
		}
		result := make(chan error, 1)
		go func() { result <- w.deliver("late") }()
		time.Sleep(50 * time.Millisecond)
		backend := w.last()
		cancel()
		synctest.Wait()
		select {
		case err := <-result:
			t.Error("the backend was told while its subscription was still alive:", err)
		default:
		}
		<-done
		if err := <-result; err == nil || backend.ctx.Err() == nil {
			t.Errorf("in the end: %v, %v", err, backend.ctx.Err())
		}
		if w.closed.Load() != 1 {
			t.Error("the subscription's own client was not closed")
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// pausingBroker is one that can be paused.
type pausingBroker struct {
	*fakeBroker
	paused, ended bool // whether its subscription had ended when it was paused
}

func (b *pausingBroker) Pause(context.Context) error {
	b.paused, b.ended = true, b.ctx.Err() != nil
	return errors.New("no matter")
}

func (b *pausingBroker) Resume(context.Context) error { return nil }

// The client of a subscription that ends is paused before it hears of the end; one that
// others use goes on.
func TestPubSubPause(t *testing.T) {
	for _, alone := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := &fakeWorld{}
			var last *pausingBroker
			b, err := contrib.PubSub(func(log logger.Logger) contribpubsub.PubSub {
				last = &pausingBroker{fakeBroker: w.make(log).(*fakeBroker)}
				return last
			}, contrib.PubSubTraits{Alone: alone})(t.Context(), components.Env{}, components.Config{Name: "events", Path: "pub_subs.events"})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done, err := b.Subscribe(ctx, pubsub.Subscription{Topic: "t"}, func(context.Context, *pubsub.Message) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			<-done
			if last.paused != alone || last.ended || last.ctx.Err() == nil {
				t.Errorf("alone %t: paused %t, after the end %t", alone, last.paused, last.ended)
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPubSubDelay(t *testing.T) {
	var got map[string]string
	w := &fakeWorld{publish: func(_ context.Context, _ *fakeBroker, req *contribpubsub.PublishRequest) error {
		got = req.Metadata
		return nil
	}}
	if _, ok := mustPubSub(t, w, contrib.PubSubTraits{}).(pubsub.Delayer); ok {
		t.Error("every broker can delay")
	}
	b := mustPubSub(t, w, contrib.PubSubTraits{Delay: func(d time.Duration) (string, string) { return "after", d.String() }})
	mine := map[string]string{"k": "v"}
	if _, err := b.(pubsub.Delayer).PublishDelayed(t.Context(), &pubsub.Message{Topic: "t", Metadata: mine}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if got["after"] != "1m0s" || got["k"] != "v" || len(mine) != 1 {
		t.Errorf("metadata %v, the caller's %v", got, mine)
	}
}

// TestPubSubBroken: what a broker declares and gets wrong is not asked of it, and what
// it tells wrong is put right.
func TestPubSubBroken(t *testing.T) {
	w := &fakeWorld{}
	var sent map[string]string
	w.publish = func(_ context.Context, _ *fakeBroker, req *contribpubsub.PublishRequest) error {
		sent = req.Metadata
		return nil
	}
	b := mustPubSub(t, w, contrib.PubSubTraits{NoTTL: true, Renames: true})
	if b.Features().TTL {
		t.Error("times to live are declared")
	}
	mine := map[string]string{pubsub.TTLKey: "10", "other": "x"}
	if err := b.Publish(t.Context(), &pubsub.Message{Topic: "mine", Data: []byte("x"), Metadata: mine}); err != nil {
		t.Fatal(err)
	}
	if len(sent) != 1 || sent["other"] != "x" || len(mine) != 2 {
		t.Errorf("the backend got %v of %v", sent, mine)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var topic string
	done, err := b.Subscribe(ctx, pubsub.Subscription{Topic: "mine"}, func(_ context.Context, m *pubsub.Message) error {
		topic = m.Topic
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.deliver("x"); err != nil || topic != "mine" {
		t.Errorf("the message came with the topic %q, %v", topic, err)
	}
	cancel()
	<-done
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
