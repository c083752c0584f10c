package capability_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/components/pubsub/memory"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

func newMemoryBroker(t *testing.T) pubsub.Broker {
	t.Helper()
	b, err := memory.New(t.Context(), components.Env{AppID: "app"}, components.Config{Metadata: map[string]any{"concurrency": 8, "redeliverInterval": "1s"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// brokerStub is a broker that keeps what is published, and can fail.
type brokerStub struct {
	pubsub.Broker
	features pubsub.Features

	mu        sync.Mutex
	published []*pubsub.Message
	err       error // of Publish and Subscribe
	handle    pubsub.Handler
	subs      int
}

func (b *brokerStub) Features() pubsub.Features { return b.features }
func (b *brokerStub) Close() error              { return nil }

func (b *brokerStub) Publish(_ context.Context, m *pubsub.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.published = append(b.published, m)
	}
	return b.err
}

func (b *brokerStub) Subscribe(ctx context.Context, s pubsub.Subscription, h pubsub.Handler) (<-chan struct{}, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subs++
	if b.err != nil {
		return nil, b.err
	}
	b.handle = h
	done := make(chan struct{})
	context.AfterFunc(ctx, func() { close(done) })
	return done, nil
}

func (b *brokerStub) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func TestPublishErrors(t *testing.T) {
	b := &brokerStub{}
	p := capability.NewPubSub(capability.PubSubOptions{Brokers: map[string]pubsub.Broker{"p": b}})
	e := wantError(t, p.Publish(t.Context(), capability.Publication{}), capability.InvalidArgument)
	if e.Msg != "pubsub name is empty" {
		t.Errorf("%q", e.Msg)
	}
	e = wantError(t, p.Publish(t.Context(), capability.Publication{PubSub: "p"}), capability.InvalidArgument)
	if e.Msg != "topic is empty in pubsub p" {
		t.Errorf("%q", e.Msg)
	}
	e = wantError(t, p.Publish(t.Context(), capability.Publication{PubSub: "q", Topic: "t"}), capability.UnknownComponent)
	if fmt.Sprint(e.Known) != "[p]" {
		t.Errorf("known %v", e.Known)
	}
	wantError(t, (*capability.PubSub)(nil).Publish(t.Context(), capability.Publication{PubSub: "q", Topic: "t"}), capability.NotConfigured)
	wantError(t, p.Publish(t.Context(), capability.Publication{PubSub: "p", Topic: "t", Metadata: map[string]string{"ttlInSeconds": "x"}}), capability.InvalidArgument)
	wantError(t, p.Publish(t.Context(), capability.Publication{PubSub: "p", Topic: "t", ContentType: "application/cloudevents+json", Data: []byte("x")}), capability.InvalidArgument)
	b.fail(errors.New("down"))
	wantError(t, p.Publish(t.Context(), capability.Publication{PubSub: "p", Topic: "t"}), capability.Internal)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantError(t, p.Publish(ctx, capability.Publication{PubSub: "p", Topic: "t"}), capability.Canceled)
	_, err := p.PublishDelayed(t.Context(), capability.Publication{PubSub: "p", Topic: "t"}, time.Second)
	wantError(t, err, capability.NotSupported)
	_, err = p.PublishDelayed(t.Context(), capability.Publication{PubSub: "p", Topic: "t"}, -time.Second)
	wantError(t, err, capability.InvalidArgument)
}

func TestPublishForms(t *testing.T) {
	b := &brokerStub{}
	p := capability.NewPubSub(capability.PubSubOptions{Brokers: map[string]pubsub.Broker{"p": b}})
	publish := func(metadata map[string]string) *pubsub.Message {
		t.Helper()
		if err := p.Publish(t.Context(), capability.Publication{PubSub: "p", Topic: "t", Data: []byte("data"), Metadata: metadata}); err != nil {
			t.Fatal(err)
		}
		return b.published[len(b.published)-1]
	}
	if m := publish(map[string]string{"rawPayload": "true", "key": "k"}); string(m.Data) != "data" || m.Metadata["key"] != "k" {
		t.Errorf("a raw payload: %+v", m)
	}
	ttl := map[string]string{"ttlInSeconds": "60"}
	if m := publish(ttl); !strings.Contains(string(m.Data), `"expiration":"20`) || m.Metadata["ttlInSeconds"] != "60" || m.ContentType != "application/cloudevents+json" {
		t.Errorf("a broker without TTL: %s %+v", m.Data, m)
	}
	b.features.TTL = true
	if m := publish(ttl); strings.Contains(string(m.Data), "expiration") {
		t.Errorf("a broker with TTL: %s", m.Data)
	}
}

// target is a receiver whose answers the test decides.
type target struct {
	answer func(ctx context.Context, e *capability.Event) (capability.Verdict, error)
	ready  func(ctx context.Context) error

	mu  sync.Mutex
	got []string
}

func (r *target) Ready(ctx context.Context) error {
	if r.ready == nil {
		return nil
	}
	return r.ready(ctx)
}

func (r *target) Deliver(ctx context.Context, e *capability.Event) (capability.Verdict, error) {
	r.mu.Lock()
	r.got = append(r.got, string(e.Data))
	r.mu.Unlock()
	if r.answer == nil {
		return capability.Success, nil
	}
	return r.answer(ctx, e)
}

func (r *target) received() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.got...)
}

// world is a PubSub over a broker in memory, inside a bubble.
type world struct {
	*testing.T
	*capability.PubSub
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{t, capability.NewPubSub(capability.PubSubOptions{Brokers: map[string]pubsub.Broker{"p": newMemoryBroker(t)}, Grace: 5 * time.Second})}
}

func (w *world) publish(topic, data string, metadata map[string]string) {
	w.Helper()
	if err := w.Publish(w.Context(), capability.Publication{PubSub: "p", Topic: topic, Data: []byte(data), Metadata: metadata}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) subscribe(topic string, r *target, metadata map[string]string) *capability.TopicStream {
	w.Helper()
	s, err := w.Subscribe(w.Context(), capability.TopicSubscription{PubSub: "p", Topic: topic, Metadata: metadata}, r)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func bubble(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f(w)
		w.Stop()
	})
}

func TestVerdicts(t *testing.T) {
	for _, tt := range []struct {
		name     string
		verdict  capability.Verdict
		err      error
		metadata map[string]string
		calls    int // within a minute; 0: more than 5
		dead     int
	}{
		{"success", capability.Success, nil, map[string]string{"deadLetterTopic": "dead"}, 1, 0},
		{"drop", capability.Drop, nil, nil, 1, 0},
		{"drop with dead letters", capability.Drop, nil, map[string]string{"deadLetterTopic": "dead"}, 1, 1},
		{"retry", capability.Retry, nil, nil, 0, 0},
		{"error", capability.Success, errors.New("no"), nil, 0, 0},
		{"unknown verdict", capability.Verdict(9), nil, nil, 0, 0},
		{"not handled", capability.Success, capability.ErrNotHandled, map[string]string{"deadLetterTopic": "dead"}, 1, 1},
		{"not reached does not count", capability.Success, capability.ErrUnreached, map[string]string{"deadLetterTopic": "dead", "maxRedeliveries": "1"}, 0, 0},
		{"dead letters after 3 more", capability.Retry, nil, map[string]string{"deadLetterTopic": "dead"}, 4, 1},
		{"a limit without dead letters", capability.Retry, nil, map[string]string{"maxRedeliveries": "0"}, 1, 0},
		{"a limit with dead letters", capability.Success, errors.New("no"), map[string]string{"DeadLetterTopic": "dead", "maxRedeliveries": "1"}, 2, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(w *world) {
				dead := &target{}
				w.subscribe("dead", dead, nil)
				r := &target{answer: func(context.Context, *capability.Event) (capability.Verdict, error) { return tt.verdict, tt.err }}
				w.subscribe("t", r, tt.metadata)
				w.publish("t", "data", nil)
				time.Sleep(time.Minute)
				n := len(r.received())
				if n != tt.calls && (tt.calls != 0 || n <= 5) {
					w.Errorf("%d deliveries, want %d", n, tt.calls)
				}
				if n := len(dead.received()); n != tt.dead {
					w.Errorf("%d dead letters, want %d", n, tt.dead)
				}
			})
		})
	}
}

// A dead letter is the event as it was, and says why.
func TestDeadLetter(t *testing.T) {
	bubble(t, func(w *world) {
		var letter *capability.Event
		w.subscribe("dead", &target{answer: func(_ context.Context, e *capability.Event) (capability.Verdict, error) {
			letter = e
			return capability.Success, nil
		}}, nil)
		w.subscribe("t", &target{answer: func(context.Context, *capability.Event) (capability.Verdict, error) { return capability.Drop, nil }}, map[string]string{"deadLetterTopic": "dead"})
		w.publish("t", "data", map[string]string{"traceparent": "tp"})
		synctest.Wait()
		if letter == nil || string(letter.Data) != "data" || letter.Metadata["deadLetterFromTopic"] != "t" || letter.Metadata["traceparent"] != "tp" || letter.Metadata["deadLetterReason"] == "" || letter.Topic != "dead" {
			t.Errorf("letter %+v", letter)
		}
	})
}

func TestExpiredEventIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &brokerStub{}
		p := capability.NewPubSub(capability.PubSubOptions{Brokers: map[string]pubsub.Broker{"p": b}})
		r := &target{}
		if _, err := p.Subscribe(t.Context(), capability.TopicSubscription{PubSub: "p", Topic: "t"}, r); err != nil {
			t.Fatal(err)
		}
		if err := p.Publish(t.Context(), capability.Publication{PubSub: "p", Topic: "t", Data: []byte("x"), Metadata: map[string]string{"ttlInSeconds": "5"}}); err != nil {
			t.Fatal(err)
		}
		for _, after := range []time.Duration{4 * time.Second, 2 * time.Second} {
			time.Sleep(after)
			if err := b.handle(t.Context(), b.published[0]); err != nil {
				t.Error(err)
			}
		}
		if n := len(r.received()); n != 1 {
			t.Errorf("%d deliveries, want the one in time", n)
		}
		p.Stop()
	})
}

// An application that does not answer in time gets the event again.
func TestDeliveryTimeout(t *testing.T) {
	bubble(t, func(w *world) {
		r := &target{}
		r.answer = func(ctx context.Context, _ *capability.Event) (capability.Verdict, error) {
			if len(r.received()) > 1 {
				return capability.Success, nil
			}
			<-ctx.Done()
			return capability.Success, ctx.Err()
		}
		w.subscribe("t", r, map[string]string{"deliveryTimeout": "3s"})
		w.publish("t", "x", nil)
		time.Sleep(3500 * time.Millisecond)
		if n := len(r.received()); n != 1 {
			t.Errorf("%d deliveries before the redelivery", n)
		}
		time.Sleep(time.Second)
		if n := len(r.received()); n != 2 {
			t.Errorf("%d deliveries, want 2", n)
		}
	})
}

func TestConcurrencyLimit(t *testing.T) {
	bubble(t, func(w *world) {
		var mu sync.Mutex
		now, most := 0, 0
		r := &target{answer: func(context.Context, *capability.Event) (capability.Verdict, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			return capability.Success, nil
		}}
		w.subscribe("t", r, map[string]string{"maxConcurrency": "3"})
		for i := range 12 {
			w.publish("t", fmt.Sprint(i), nil)
		}
		time.Sleep(5 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if n := len(r.received()); n != 12 || most != 3 {
			t.Errorf("%d delivered, %d at once", n, most)
		}
	})
}

func TestSubscribeErrors(t *testing.T) {
	bubble(t, func(w *world) {
		for _, tt := range []struct {
			s    capability.TopicSubscription
			kind capability.Kind
		}{
			{capability.TopicSubscription{Topic: "t"}, capability.InvalidArgument},
			{capability.TopicSubscription{PubSub: "p"}, capability.InvalidArgument},
			{capability.TopicSubscription{PubSub: "q", Topic: "t"}, capability.UnknownComponent},
			{capability.TopicSubscription{PubSub: "p", Topic: "t", DeadLetterTopic: "t"}, capability.InvalidArgument},
			{capability.TopicSubscription{PubSub: "p", Topic: "t", Metadata: map[string]string{"maxRedeliveries": "-1"}}, capability.InvalidArgument},
			{capability.TopicSubscription{PubSub: "p", Topic: "t", Metadata: map[string]string{"maxConcurrency": "0"}}, capability.InvalidArgument},
			{capability.TopicSubscription{PubSub: "p", Topic: "t", Metadata: map[string]string{"deliveryTimeout": "5"}}, capability.InvalidArgument},
		} {
			_, err := w.Subscribe(w.Context(), tt.s, &target{})
			wantError(t, err, tt.kind)
		}
		s := w.subscribe("t", &target{}, nil)
		_, err := w.Subscribe(w.Context(), capability.TopicSubscription{PubSub: "p", Topic: "t"}, &target{})
		if e := wantError(t, err, capability.Exists); e.Msg != `already subscribed to pubsub "p" topic "t"` {
			t.Errorf("%q", e.Msg)
		}
		s.End()
		<-s.Done()
		w.subscribe("t", &target{}, nil)
		w.Stop()
		_, err = w.Subscribe(w.Context(), capability.TopicSubscription{PubSub: "p", Topic: "t"}, &target{})
		wantError(t, err, capability.Unavailable)
	})
}

// Topics for dead letters that lead back to where they begin are refused: what nobody
// takes would go round for ever.
func TestDeadLetterCircle(t *testing.T) {
	bubble(t, func(w *world) {
		to := func(topic string) map[string]string { return map[string]string{"deadLetterTopic": topic} }
		w.subscribe("a", &target{}, to("b"))
		b := w.subscribe("b", &target{}, to("c"))
		_, err := w.Subscribe(w.Context(), capability.TopicSubscription{PubSub: "p", Topic: "c", Metadata: to("a")}, &target{})
		if e := wantError(t, err, capability.InvalidArgument); !strings.Contains(e.Msg, "c -> a -> b -> c") {
			t.Errorf("%q", e.Msg)
		}
		b.End()
		<-b.Done()
		w.subscribe("c", &target{}, to("a"))
		w.subscribe("d", &target{}, to("c"))
	})
}

// Stop lets what runs finish, takes nothing new, and does not wait for a receiver
// that is away.
func TestStopDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		finished := 0
		r := &target{answer: func(ctx context.Context, _ *capability.Event) (capability.Verdict, error) {
			select {
			case <-time.After(3 * time.Second):
				finished++
				return capability.Success, nil
			case <-ctx.Done():
				return capability.Success, ctx.Err()
			}
		}}
		w.subscribe("t", r, map[string]string{"maxConcurrency": "1"})
		w.subscribe("away", &target{ready: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}}, nil)
		w.publish("t", "1", nil)
		w.publish("t", "2", nil)
		w.publish("away", "3", nil)
		synctest.Wait()
		start := time.Now()
		w.Stop()
		if d := time.Since(start); d != 3*time.Second || finished != 1 || len(r.received()) != 1 {
			t.Errorf("stopped after %s; %d finished, %d delivered", d, finished, len(r.received()))
		}
	})
}
