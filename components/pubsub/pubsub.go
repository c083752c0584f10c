package pubsub

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Message is what is published, and what arrives. A broker neither keeps nor
// changes a message that is published after Publish has returned. Data and
// Metadata of one that arrives belong to the handler.
type Message struct {
	Topic       string
	Data        []byte
	ContentType string // may be "", also when the publisher gave one
	// Metadata is what the caller sent along (keys for partitions, TTL), or what
	// the broker knows about the message. It may be nil.
	Metadata map[string]string
}

// Subscription says what is wanted.
type Subscription struct {
	Topic string
	// Metadata is the backend's to read; it may be nil.
	Metadata map[string]string
	// Grace is how long calls of the handler that run when the subscription ends
	// may go on. Their messages are acknowledged as usual.
	Grace time.Duration
}

// Handler takes one message. nil acknowledges it; an error has it delivered
// again, as the backend does that. It is called from several goroutines at once
// unless the broker is Ordered. ctx ends after the subscription has ended, and its
// grace has passed; what is not acknowledged by then is delivered again to the
// next subscriber of the group, where the backend keeps messages for it.
type Handler func(ctx context.Context, m *Message) error

// Broker is the contract. All methods are safe for concurrent use and return
// promptly when ctx ends, with ctx's error.
type Broker interface {
	// Publish returns when the broker has the message.
	Publish(ctx context.Context, m *Message) error
	// Subscribe delivers messages to handle until ctx ends or the broker is
	// closed. It returns once the subscription stands, or an error. done is
	// closed after the last call of handle has returned.
	Subscribe(ctx context.Context, s Subscription, handle Handler) (done <-chan struct{}, err error)
	// Features says what the broker can do.
	Features() Features
	// Close ends all subscriptions at once, whatever their grace, waits for their
	// handlers within the backend's own limit, and releases everything. It is safe
	// twice.
	Close() error
}

// Features is what a broker can do.
type Features struct {
	// TTL: the broker itself drops messages whose `ttlInSeconds` has passed.
	TTL bool
	// Durable: an acknowledged publish survives the end of this process.
	Durable bool
	// Ordered: a subscriber sees one publisher's messages (of one key, where the
	// backend has keys) in the order of publishing, as long as none is delivered again.
	Ordered bool
}

// Delayer is an optional ability: a message that arrives later.
type Delayer interface {
	// PublishDelayed returns the broker's id of the message, or "". A delay of 0
	// or less is none.
	PublishDelayed(ctx context.Context, m *Message, delay time.Duration) (id string, err error)
}

// Keys of metadata that mean the same for every broker.
const (
	// TTLKey is how long a message is worth delivering, in whole seconds.
	TTLKey = "ttlInSeconds"
	// ConsumerKey is the setting of a component that names its consumer group.
	ConsumerKey = "consumerID"
)

// Errors of a broker; test with errors.Is.
var (
	// ErrNotSupported: the broker cannot do what is asked.
	ErrNotSupported = errors.New("not supported by this broker")
	// ErrInvalid: the request itself is wrong.
	ErrInvalid = errors.New("invalid request")
	// ErrFull: there is no room for the message.
	ErrFull = errors.New("the broker is full")
	// ErrClosed: the broker was closed.
	ErrClosed = errors.New("broker is closed")
)

// Check returns an error that wraps ErrInvalid when the message cannot be
// published.
func (m *Message) Check() error {
	if m.Topic == "" {
		return fmt.Errorf("%w: the topic is empty", ErrInvalid)
	}
	_, err := m.TTL()
	return err
}

// maxTTLSeconds is what fits into a time.Duration, about 292 years.
const maxTTLSeconds = int64(1<<63-1) / int64(time.Second)

// TTL reads TTLKey of the metadata; 0 when there is none. Anything but a positive
// whole number is an error that wraps ErrInvalid.
func (m *Message) TTL() (time.Duration, error) {
	value := m.Metadata[TTLKey]
	if value == "" {
		return 0, nil
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil || seconds <= 0 || seconds > maxTTLSeconds {
		return 0, fmt.Errorf("%w: metadata %s %q: must be a whole number of seconds, 1 to %d", ErrInvalid, TTLKey, value, maxTTLSeconds)
	}
	return time.Duration(seconds) * time.Second, nil
}

// Check returns an error that wraps ErrInvalid when nothing can be subscribed to.
func (s Subscription) Check() error {
	if s.Topic == "" {
		return fmt.Errorf("%w: the topic is empty", ErrInvalid)
	}
	return nil
}
