package capability

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components/pubsub"
)

// TooLargeError is a Target's: its transport does not take an event of this size, so
// that the next try will end as this one did.
type TooLargeError struct {
	// Size is the event's, and Limit the most that the receiver takes, in bytes as they
	// are sent; 0: it did not say.
	Size, Limit int64
	// Suspected: the receiver went away over the event and did not say why.
	Suspected bool
	// Err is the cause; it may be nil.
	Err error
}

// Error says it with its numbers.
func (e *TooLargeError) Error() string {
	text := fmt.Sprintf("the event has %d bytes, more than the application takes", e.Size)
	if e.Suspected {
		text = fmt.Sprintf("the application went away over an event of %d bytes, probably more than it takes", e.Size)
	}
	if e.Limit > 0 {
		text += fmt.Sprintf(" (%d)", e.Limit)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *TooLargeError) Unwrap() error { return e.Err }

const (
	// firstOversize is the pause before an event that was too large is tried again; it
	// doubles up to lastOversize, in which the application may have come back with a
	// higher limit.
	firstOversize = time.Second
	lastOversize  = time.Minute
	// maxOversize bounds how many such events are known at once.
	maxOversize = 1000
)

// errOversize is what the broker is told of one whose pause is not over.
var errOversize = errors.New("the event was too large for the application; it is tried again later")

// oversize knows the events that were too large: they outlive the stream that broke
// over them, and must not break each that follows.
type oversize struct {
	mu     sync.Mutex
	events map[oversizeKey]*oversizeEvent
	least  int // no message that is known has fewer bytes
}

type oversizeKey struct {
	topicKey
	print string
}

type oversizeEvent struct {
	failures int
	until    time.Time
}

// mayKnow tells whether a message can be one of those that are known, so that the many
// others need no fingerprint.
func (o *oversize) mayKnow(m *pubsub.Message) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.events) > 0 && len(m.Data) >= o.least
}

// waits tells whether a message was too large and is not to be tried yet.
func (o *oversize) waits(key topicKey, m *pubsub.Message) bool {
	if !o.mayKnow(m) {
		return false
	}
	k := oversizeKey{key, fingerprint(m.Data)}
	o.mu.Lock()
	defer o.mu.Unlock()
	e := o.events[k]
	return e != nil && time.Now().Before(e.until)
}

// failed notes that a message was too large, and returns how often it has been.
func (o *oversize) failed(key topicKey, m *pubsub.Message) int {
	k := oversizeKey{key, fingerprint(m.Data)}
	o.mu.Lock()
	defer o.mu.Unlock()
	e := o.events[k]
	if e == nil {
		if o.events == nil {
			o.events = make(map[oversizeKey]*oversizeEvent)
		}
		if len(o.events) == 0 || len(m.Data) < o.least {
			o.least = len(m.Data)
		}
		if len(o.events) >= maxOversize {
			for other := range o.events { // any one: it is tried again sooner than it should
				delete(o.events, other)
				break
			}
		}
		e = &oversizeEvent{}
		o.events[k] = e
	}
	e.until = time.Now().Add(min(firstOversize<<min(e.failures, 10), lastOversize))
	e.failures++
	return e.failures
}

// forget is for a message that was taken, or is the broker's no longer.
func (o *oversize) forget(key topicKey, m *pubsub.Message) {
	if !o.mayKnow(m) {
		return
	}
	k := oversizeKey{key, fingerprint(m.Data)}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.events, k)
}

// tooLarge is what becomes of an event that is larger than the application takes. It
// is buried, where there is a place for that; at once when it is sure. Else the broker
// keeps it, and it is tried ever more rarely.
func (s *TopicStream) tooLarge(ctx context.Context, log *slog.Logger, m *pubsub.Message, big *TooLargeError) error {
	failures := s.p.oversize.failed(s.key, m)
	log = log.With("size", big.Size, "limit", big.Limit, "failures", failures, "error", big)
	over := s.tries.limit != unlimited && failures > s.tries.limit
	if !big.Suspected && s.wanted.DeadLetterTopic != "" {
		over = true
	}
	switch {
	case over:
		log.Error("an event cannot be delivered: it is larger than the application takes", "dead_letter_topic", s.wanted.DeadLetterTopic)
		if err := s.bury(ctx, m, big.Error()); err != nil {
			return err
		}
		s.p.oversize.forget(s.key, m)
		s.tries.forget(m)
		return nil
	case failures == 1:
		log.Error("an event cannot be delivered: it is larger than the application takes; it is kept, and tried again ever more rarely",
			"remedy", "raise the application's limit for messages that it receives, or name a deadLetterTopic for the subscription, or maxRedeliveries")
	default:
		log.Debug("an event is still larger than the application takes")
	}
	return big
}
