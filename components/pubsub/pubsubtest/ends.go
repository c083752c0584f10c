package pubsubtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// A subscription that has ended delivers nothing, and another one may follow.
func testEnd(s *suite) {
	b := s.connect(s.group)
	in := newInbox()
	for i := range 3 {
		sub := s.subscribe(b, s.topic, 0, in.take)
		s.publish(b, s.topic, fmt.Sprint("message ", i))
		s.distinct(in, i+1)
		sub.stop()
	}
	late := newInbox()
	b2 := s.connect(s.group + "2")
	s.subscribe(b2, s.topic, 0, late.take)
	s.publish(b, s.topic, "late")
	// Brokers that keep everything give the new group the rest, too.
	s.until(late, "the late message", func(count map[string]int) bool { return count["late"] > 0 })
	s.nothing(in, 3, quiet)
}

// A handler that runs when its subscription ends may finish.
func testGrace(s *suite) {
	b := s.connect(s.group)
	began, finish := make(chan struct{}), make(chan struct{})
	var calls, cut atomic.Int32
	sub := s.subscribe(b, s.topic, patience, func(ctx context.Context, _ *pubsub.Message) error {
		if calls.Add(1) > 1 {
			return nil
		}
		close(began)
		select {
		case <-finish:
		case <-ctx.Done():
			cut.Add(1)
		}
		return nil
	})
	s.publish(b, s.topic, "work")
	s.wait(began, "the delivery")
	sub.end()
	timer := time.NewTimer(quiet)
	<-timer.C
	select {
	case <-sub.done:
		s.Fatal("the subscription is done while a handler runs")
	default:
	}
	if cut.Load() > 0 {
		s.Fatal("the handler's context ended although its grace had not passed")
	}
	close(finish)
	s.wait(sub.done, "the end of the subscription")
	if n := calls.Load(); n != 1 {
		s.Errorf("%d calls, want 1", n)
	}
}

// What was not acknowledged when a subscription ended comes to the next one.
func testUnacknowledged(s *suite) {
	b := s.connect(s.group)
	began := make(chan struct{}, 100)
	sub := s.subscribe(b, s.topic, 0, func(ctx context.Context, _ *pubsub.Message) error {
		began <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	const messages = 10
	for i := range messages {
		s.publish(b, s.topic, fmt.Sprint("message ", i))
	}
	<-began
	sub.stop()
	in := newInbox()
	s.subscribe(b, s.topic, 0, in.take)
	s.distinct(in, messages)
}

// What is published while nobody of a known group is there waits for it.
func testKept(s *suite) {
	b := s.connect(s.group)
	in := newInbox()
	s.subscribe(b, s.topic, 0, in.take).stop()
	const messages = 10
	for i := range messages {
		s.publish(b, s.topic, fmt.Sprint("message ", i))
	}
	s.subscribe(b, s.topic, 0, in.take)
	s.distinct(in, messages)
}

// Close during a delivery ends soon; the message is not lost where the broker
// outlives its clients.
func testCloseDuring(s *suite) {
	b := s.connect(s.group)
	durable := b.Features().Durable
	began := make(chan struct{}, 100)
	sub := s.subscribe(b, s.topic, patience, func(ctx context.Context, _ *pubsub.Message) error {
		began <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	s.publish(b, s.topic, "unfinished")
	<-began
	start := time.Now()
	if err := b.Close(); err != nil {
		s.Errorf("Close: %v", err)
	}
	if d := time.Since(start); d > patience/2 {
		s.Errorf("Close took %s", d)
	}
	s.wait(sub.done, "the end of the subscription")
	if !durable {
		return
	}
	in := newInbox()
	s.subscribe(s.connect(s.group), s.topic, 0, in.take)
	s.distinct(in, 1)
}

func testClosed(s *suite) {
	b := s.connect(s.group)
	for range 2 {
		if err := b.Close(); err != nil {
			s.Errorf("Close: %v", err)
		}
	}
	if err := b.Publish(s.Context(), &pubsub.Message{Topic: s.topic, Data: []byte("x")}); !errors.Is(err, pubsub.ErrClosed) {
		s.Errorf("Publish after Close: %v, want ErrClosed", err)
	}
	if _, err := b.Subscribe(s.Context(), pubsub.Subscription{Topic: s.topic}, newInbox().take); !errors.Is(err, pubsub.ErrClosed) {
		s.Errorf("Subscribe after Close: %v, want ErrClosed", err)
	}
}

func testDelayed(s *suite) {
	b := s.connect(s.group)
	d, ok := b.(pubsub.Delayer)
	s.need(ok, "delays")
	if _, err := d.PublishDelayed(s.Context(), &pubsub.Message{Data: []byte("x")}, time.Second); !errors.Is(err, pubsub.ErrInvalid) {
		s.Errorf("without a topic: %v, want ErrInvalid", err)
	}
	step := time.Second
	testserver.OnceOf(s, func(try int) error {
		defer func() { step *= 2 }()
		return s.delayed(b, d, fmt.Sprint(s.topic, try), step)
	})
}

// delayed publishes for now, a step later and two steps later. It returns an error when
// they come in another order, as they may when the machine stands still for a step.
func (s *suite) delayed(b pubsub.Broker, d pubsub.Delayer, topic string, step time.Duration) error {
	s.Helper()
	var mu sync.Mutex
	came := map[string]time.Time{}
	var order []string
	in := newInbox()
	sub := s.subscribe(b, topic, 0, func(ctx context.Context, m *pubsub.Message) error {
		mu.Lock()
		if data := string(m.Data); came[data].IsZero() {
			came[data], order = time.Now(), append(order, data)
		}
		mu.Unlock()
		return in.take(ctx, m)
	})
	defer sub.stop()
	published := map[string]time.Time{}
	for data, delay := range map[string]time.Duration{"later": 2 * step, "soon": step, "now": 0} {
		published[data] = time.Now().Add(delay)
		if _, err := d.PublishDelayed(s.Context(), &pubsub.Message{Topic: topic, Data: []byte(data)}, delay); err != nil {
			s.Fatal(err)
		}
	}
	s.distinct(in, 3)
	mu.Lock()
	defer mu.Unlock()
	for data, due := range published {
		if early := due.Sub(came[data]); early > 0 {
			s.Errorf("%s arrived %s before its time", data, early)
		}
	}
	if fmt.Sprint(order) != "[now soon later]" {
		return fmt.Errorf("arrived in the order %v, want now, soon, later", order)
	}
	return nil
}
