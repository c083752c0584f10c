package capability

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components/pubsub"
)

// handle delivers one message. ctx is the broker's: it lasts as long as the
// subscription, and its grace.
func (s *TopicStream) handle(ctx context.Context, m *pubsub.Message) error {
	if s.p.oversize.waits(s.key, m) {
		return errOversize
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-s.taking.Done():
		return s.taking.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
	event, expires, malformed := openEvent(s.key.pubsub, m, s.raw)
	log := s.p.log.With("pubsub", s.key.pubsub, "topic", m.Topic, "id", event.ID)
	if malformed != nil {
		log.Warn("a message is no CloudEvent: it is delivered as it is; metadata rawPayload: true says that this is meant", "error", malformed)
	}
	if !expires.IsZero() && !time.Now().Before(expires) {
		log.Info("an event was dropped: its time to live has passed", "expired", expires)
		s.p.oversize.forget(s.key, m)
		return nil
	}
	verdict, err := s.deliver(ctx, event)
	if big, ok := errors.AsType[*TooLargeError](err); ok {
		return s.tooLarge(ctx, log, m, big)
	}
	switch {
	case errors.Is(err, ErrUnreached):
		return err // it was not a try
	case errors.Is(err, ErrNotHandled):
		log.Warn("an event is dropped: the application has no method for events")
		return s.bury(ctx, m, "not handled")
	case err == nil && verdict == Success:
		s.tries.forget(m)
		s.p.oversize.forget(s.key, m)
		return nil
	case err == nil && verdict == Drop:
		log.Warn("an event is dropped: the application wants it so")
		s.tries.forget(m)
		s.p.oversize.forget(s.key, m)
		return s.bury(ctx, m, "dropped by the application")
	}
	if err == nil {
		err = errUndelivered
	}
	failed, over := s.tries.failed(m)
	if !over {
		log.Warn("an event was not taken; it will be delivered again", "error", err, "failures", failed)
		return err
	}
	log.Error("an event has failed too often", "error", err, "failures", failed, "dead_letter_topic", s.wanted.DeadLetterTopic)
	if buried := s.bury(ctx, m, fmt.Sprintf("failed %d times: %v", failed, err)); buried != nil {
		return buried
	}
	s.tries.forget(m)
	return nil
}

// deliver waits for the target and gives it the event.
func (s *TopicStream) deliver(ctx context.Context, event *Event) (Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	// Nobody waits for a target that is away when the subscription ends.
	waiting, stop := context.WithCancel(ctx)
	defer context.AfterFunc(s.taking, stop)() //nolint:contextcheck // it is what is waited for
	err := s.target.Ready(waiting)
	stop()
	if err != nil {
		return Retry, fmt.Errorf("%w: %w", ErrUnreached, err)
	}
	return s.target.Deliver(ctx, event)
}

// Metadata that a dead letter carries.
const (
	deadLetterReason = "deadLetterReason"
	deadLetterFrom   = "deadLetterFromTopic"
)

// bury sends a message that nobody takes to the topic for dead letters, if there
// is one. An error has the message delivered again: it is not lost.
func (s *TopicStream) bury(ctx context.Context, m *pubsub.Message, reason string) error {
	if s.wanted.DeadLetterTopic == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := s.broker.Publish(ctx, &pubsub.Message{
		Topic: s.wanted.DeadLetterTopic, Data: m.Data, ContentType: m.ContentType,
		Metadata: map[string]string{deadLetterReason: reason, deadLetterFrom: m.Topic},
	})
	if err != nil {
		s.p.log.Error("a dead letter could not be published; the event will be delivered again", "pubsub", s.key.pubsub,
			"topic", m.Topic, "dead_letter_topic", s.wanted.DeadLetterTopic, "error", err)
		return fmt.Errorf("publishing to the topic for dead letters %q: %w", s.wanted.DeadLetterTopic, err)
	}
	return nil
}

// maxTried bounds how many failing messages are counted at once.
const maxTried = 10_000

// tries counts how often messages have failed, in this process: brokers do not
// tell. Messages are told apart by what is in them.
type tries struct {
	limit int // redeliveries; unlimited: nothing is counted

	mu    sync.Mutex
	count map[string]int
}

// failed counts a failure. over says that it was the last one allowed.
func (t *tries) failed(m *pubsub.Message) (n int, over bool) {
	if t.limit == unlimited {
		return 0, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := fingerprint(m.Data)
	if t.count == nil {
		t.count = make(map[string]int)
	}
	if len(t.count) >= maxTried && t.count[key] == 0 {
		for other := range t.count { // any one: it gets more tries than it should
			delete(t.count, other)
			break
		}
	}
	t.count[key]++
	return t.count[key], t.count[key] > t.limit
}

func (t *tries) forget(m *pubsub.Message) {
	if t.limit == unlimited {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.count) > 0 {
		delete(t.count, fingerprint(m.Data))
	}
}
