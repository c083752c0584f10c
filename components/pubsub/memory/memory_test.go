package memory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/components/pubsub/pubsubtest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_ pubsub.Delayer     = (*Broker)(nil)
	_ components.Checker = (*Broker)(nil)
)

func newBroker(t testing.TB, metadata map[string]any) *Broker {
	t.Helper()
	b, err := New(t.Context(), components.Env{AppID: "app"}, components.Config{Name: "events", Type: Type, Path: "pub_subs.events", Metadata: metadata})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b.(*Broker)
}

// member is a broker's view of one group.
type member struct {
	*Broker
	group string
}

func (m member) Subscribe(ctx context.Context, s pubsub.Subscription, h pubsub.Handler) (<-chan struct{}, error) {
	s.Metadata = maps.Clone(s.Metadata)
	if s.Metadata == nil {
		s.Metadata = map[string]string{}
	}
	s.Metadata[pubsub.ConsumerKey] = m.group
	return m.Broker.Subscribe(ctx, s, h)
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "pubsub", Type)
	for name, metadata := range map[string]map[string]any{"Ordered": nil, "Parallel": {"concurrency": 16}} {
		t.Run(name, func(t *testing.T) {
			shared := map[*testing.T]*Broker{}
			pubsubtest.Run(t, pubsubtest.Options{FakeTime: true, Connect: func(t *testing.T, group string) pubsub.Broker {
				if shared[t] == nil {
					shared[t] = newBroker(t, metadata)
				}
				return member{shared[t], group}
			}})
		})
	}
}

func message(data string) *pubsub.Message { return &pubsub.Message{Topic: "t", Data: []byte(data)} }

// A publisher waits for room, gets it when a handler is done, and is told when
// there is none in time.
func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, map[string]any{"queueDepth": 2, "publishTimeout": "3s"})
		release := make(chan struct{})
		done, err := b.Subscribe(t.Context(), pubsub.Subscription{Topic: "t"}, func(ctx context.Context, _ *pubsub.Message) error {
			select {
			case <-release:
			case <-ctx.Done():
			}
			return ctx.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			if err := b.Publish(t.Context(), message(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		err = b.Publish(t.Context(), message("too much"))
		if !errors.Is(err, pubsub.ErrFull) || time.Since(start) != 3*time.Second || !strings.Contains(err.Error(), "queueDepth") {
			t.Errorf("a full queue after %s: %v", time.Since(start), err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Publish(short, message("in a hurry")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller out of time: %v", err)
		}
		go func() {
			time.Sleep(time.Second)
			release <- struct{}{}
		}()
		start = time.Now()
		if err := b.Publish(t.Context(), message("patient")); err != nil || time.Since(start) != time.Second {
			t.Errorf("room after %s: %v", time.Since(start), err)
		}
		_ = b.Close()
		<-done
	})
}

func TestTooLargeForever(t *testing.T) {
	b := newBroker(t, map[string]any{"queueBytes": 10})
	done, err := b.Subscribe(t.Context(), pubsub.Subscription{Topic: "t"}, func(context.Context, *pubsub.Message) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), message("eleven bytes")); !errors.Is(err, pubsub.ErrFull) {
		t.Errorf("a message larger than the queue: %v", err)
	}
	_ = b.Close()
	<-done
}

// A group that is gone keeps the newest messages and stops nobody.
func TestAbandonedGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, map[string]any{"queueDepth": 3})
		ctx, cancel := context.WithCancel(t.Context())
		done, err := b.Subscribe(ctx, pubsub.Subscription{Topic: "t"}, func(context.Context, *pubsub.Message) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		<-done
		for i := range 10 {
			if err := b.Publish(t.Context(), message(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		done, err = b.Subscribe(t.Context(), pubsub.Subscription{Topic: "t"}, func(_ context.Context, m *pubsub.Message) error {
			got = append(got, string(m.Data))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		_ = b.Close()
		<-done
		if fmt.Sprint(got) != "[7 8 9]" {
			t.Errorf("got %v, want the newest three", got)
		}
	})
}

// The pauses before redeliveries double, up to the limit.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, map[string]any{"redeliverInterval": "1s", "maxRedeliverInterval": "5s"})
		var at []time.Duration
		start := time.Now()
		if _, err := b.Subscribe(t.Context(), pubsub.Subscription{Topic: "t"}, func(context.Context, *pubsub.Message) error {
			at = append(at, time.Since(start))
			if len(at) == 3 {
				panic("a handler with a defect")
			}
			return errors.New("no")
		}); err != nil {
			t.Fatal(err)
		}
		if err := b.Publish(t.Context(), message("x")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		_ = b.Close()
		if fmt.Sprint(at) != "[0s 1s 3s 7s 12s 17s]" {
			t.Errorf("delivered at %v", at)
		}
	})
}

// Publish does not wait for handlers.
func TestPublishDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, nil)
		var handled atomic.Int32
		if _, err := b.Subscribe(t.Context(), pubsub.Subscription{Topic: "t"}, func(context.Context, *pubsub.Message) error {
			time.Sleep(time.Hour)
			handled.Add(1)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for range 100 {
			if err := b.Publish(t.Context(), message("x")); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("publishing took %s", d)
		}
		time.Sleep(101 * time.Hour)
		if n := handled.Load(); n != 100 {
			t.Errorf("%d were handled", n)
		}
	})
}

// A handler that does not heed its context is told of, and Close ends.
func TestCloseBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New(t.Context(), components.Env{}, components.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Subscribe(t.Context(), pubsub.Subscription{Topic: "t"}, func(context.Context, *pubsub.Message) error {
			time.Sleep(time.Hour)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := b.Publish(t.Context(), message("x")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		start := time.Now()
		if err := b.Close(); err == nil || time.Since(start) != closeTimeout {
			t.Errorf("Close after %s: %v", time.Since(start), err)
		}
		time.Sleep(time.Hour)
	})
}

func TestBadMetadata(t *testing.T) {
	for _, metadata := range []map[string]any{{"concurrency": 0}, {"queueDepth": -1}, {"publishTimeout": "soon"}} {
		if _, err := New(t.Context(), components.Env{}, components.Config{Path: "p", Metadata: metadata}); err == nil {
			t.Errorf("%v: no error", metadata)
		}
	}
}

func BenchmarkPublish(b *testing.B) {
	br := newBroker(b, map[string]any{"concurrency": 4})
	done, err := br.Subscribe(b.Context(), pubsub.Subscription{Topic: "t"}, func(context.Context, *pubsub.Message) error { return nil })
	if err != nil {
		b.Fatal(err)
	}
	m := message(strings.Repeat("x", 1024))
	b.ReportAllocs()
	for b.Loop() {
		if err := br.Publish(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
	_ = br.Close()
	<-done
}
