package pubsubtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// Options say what to test.
type Options struct {
	// Connect makes a broker that belongs to a consumer group. Brokers of one test
	// share a server, so that what one publishes reaches the others. The suite
	// closes them.
	Connect func(t *testing.T, group string) pubsub.Broker
	// FakeTime runs every test in a testing/synctest bubble: exact and instant.
	// Connect is called inside of it, so it is only for brokers whose goroutines
	// and clock live in this process.
	FakeTime bool
	// MaxMessage is the size in bytes of the big message; 0 is 1 MiB.
	MaxMessage int
	// Redelivery is the longest time until a failed message comes again; 0: 5 s.
	Redelivery time.Duration
	// Texts: the broker carries UTF-8 only; it must refuse other bytes with ErrInvalid.
	Texts bool
	// Skip names tests that the broker cannot pass, each with the reason.
	Skip map[string]string
}

// patience bounds every wait for something that must happen; quiet is how long
// nothing must happen where nothing may.
const (
	patience = testserver.Patience
	quiet    = 300 * time.Millisecond
)

// Run tests the broker that o makes.
func Run(t *testing.T, o Options) {
	t.Helper()
	if o.MaxMessage == 0 {
		o.MaxMessage = 1 << 20
	}
	if o.Redelivery == 0 {
		o.Redelivery = 5 * time.Second
	}
	tests := []struct {
		name string
		fn   func(*suite)
	}{
		{"Deliver", testDeliver},
		{"Topics", testTopics},
		{"Invalid", testInvalid},
		{"CopiesAreTheHandlers", testCopies},
		{"FanOut", testFanOut},
		{"Competing", testCompeting},
		{"Redelivery", testRedelivery},
		{"Ordered", testOrdered},
		{"TTL", testTTL},
		{"BigMessage", testBigMessage},
		{"Concurrency", testConcurrency},
		{"CancelledContext", testCancelled},
		{"EndOfSubscription", testEnd},
		{"Grace", testGrace},
		{"Unacknowledged", testUnacknowledged},
		{"KeptForTheGroup", testKept},
		{"CloseDuringDelivery", testCloseDuring},
		{"Closed", testClosed},
		{"Delayed", testDelayed},
	}
	known := map[string]bool{}
	for _, tt := range tests {
		known[tt.name] = true
		t.Run(tt.name, func(t *testing.T) {
			if why := o.Skip[tt.name]; why != "" {
				t.Skip("SKIP: " + why)
			}
			if o.FakeTime {
				synctest.Test(t, func(t *testing.T) { tt.fn(newSuite(t, o)) })
				return
			}
			tt.fn(newSuite(t, o))
		})
	}
	for name := range o.Skip {
		if !known[name] {
			t.Errorf("Skip names %q, which is no test of the suite", name)
		}
	}
}

// suite is one test's surroundings. Its helpers end the test when something goes
// wrong that must not.
type suite struct {
	*testing.T
	opts Options
	// topic and group are names that only this test uses.
	topic, group string
}

func newSuite(t *testing.T, o Options) *suite {
	t.Helper()
	unique := strings.ToLower(rand.Text()[:10])
	return &suite{T: t, opts: o, topic: "t" + unique, group: "g" + unique}
}

// connect makes a broker of a group and closes it in the end.
func (s *suite) connect(group string) pubsub.Broker {
	s.Helper()
	b := s.opts.Connect(s.T, group)
	s.Cleanup(func() {
		if err := b.Close(); err != nil {
			s.Errorf("Close: %v", err)
		}
	})
	return b
}

func (s *suite) publish(b pubsub.Broker, topic, data string) {
	s.Helper()
	s.send(b, &pubsub.Message{Topic: topic, Data: []byte(data)})
}

func (s *suite) send(b pubsub.Broker, m *pubsub.Message) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	if err := b.Publish(ctx, m); err != nil {
		s.Fatalf("Publish to %q: %v", m.Topic, err)
	}
}

// subscription is a subscription of a test.
type subscription struct {
	s    *suite
	end  context.CancelFunc
	done <-chan struct{}
}

// subscribe subscribes until the test ends, or stop is called.
func (s *suite) subscribe(b pubsub.Broker, topic string, grace time.Duration, handle pubsub.Handler) *subscription {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	done, err := b.Subscribe(ctx, pubsub.Subscription{Topic: topic, Grace: grace}, handle)
	if err != nil {
		cancel()
		s.Fatalf("Subscribe to %q: %v", topic, err)
	}
	sub := &subscription{s: s, end: cancel, done: done}
	s.Cleanup(sub.stop)
	return sub
}

// stop ends the subscription and waits for it.
func (sub *subscription) stop() {
	sub.s.Helper()
	sub.end()
	sub.s.wait(sub.done, "the end of the subscription")
}

// wait waits for a channel to be closed.
func (s *suite) wait(ch <-chan struct{}, what string) {
	s.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ch:
	case <-timer.C:
		s.Fatalf("%s: not after %s", what, patience)
	}
}

// inbox collects what arrives.
type inbox struct {
	mu    sync.Mutex
	all   []*pubsub.Message
	count map[string]int // by data
	news  chan struct{}  // capacity 1
}

func newInbox() *inbox { return &inbox{count: map[string]int{}, news: make(chan struct{}, 1)} }

// take is a handler that keeps everything.
func (in *inbox) take(_ context.Context, m *pubsub.Message) error {
	in.mu.Lock()
	in.all = append(in.all, m)
	in.count[string(m.Data)]++
	in.mu.Unlock()
	select {
	case in.news <- struct{}{}:
	default:
	}
	return nil
}

func (in *inbox) snapshot() (all []*pubsub.Message, count map[string]int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	count = make(map[string]int, len(in.count))
	for k, v := range in.count {
		count[k] = v
	}
	return append([]*pubsub.Message(nil), in.all...), count
}

// until waits until cond holds of what has arrived, by data, and returns it all.
func (s *suite) until(in *inbox, what string, cond func(count map[string]int) bool) []*pubsub.Message {
	s.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		all, count := in.snapshot()
		if cond(count) {
			return all
		}
		select {
		case <-in.news:
		case <-timer.C:
			s.Fatalf("%s: not after %s; %d different messages arrived", what, patience, len(count))
		}
	}
}

// distinct waits until that many different messages have arrived, and returns all.
func (s *suite) distinct(in *inbox, want int) []*pubsub.Message {
	s.Helper()
	all := s.until(in, fmt.Sprint(want, " messages"), func(count map[string]int) bool { return len(count) >= want })
	if _, count := in.snapshot(); len(count) > want {
		s.Fatalf("%d different messages arrived, want %d", len(count), want)
	}
	return all
}

// nothing fails when more than want different messages arrive for a while.
func (s *suite) nothing(in *inbox, want int, d time.Duration) {
	s.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
	if _, count := in.snapshot(); len(count) != want {
		s.Fatalf("%d different messages arrived, want %d: %v", len(count), want, names(count))
	}
}

func names(count map[string]int) []string {
	var out []string
	for k := range count {
		out = append(out, short(k))
	}
	return out
}

func short(v string) string {
	if len(v) > 40 {
		return fmt.Sprintf("%q… (%d bytes)", v[:40], len(v))
	}
	return fmt.Sprintf("%q", v)
}

// errAgain is what handlers of the suite fail with.
var errAgain = errors.New("not this time")

// need skips the test when the broker does not declare what it is about.
func (s *suite) need(has bool, what string) {
	s.Helper()
	if !has {
		s.Skipf("SKIP: the broker does not declare %s", what)
	}
}
