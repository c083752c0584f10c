// Package pubsub is the contract of message brokers: what is published to a
// topic reaches every consumer group that subscribes to it, at least once.
package pubsub

import (
	"context"
	"errors"
	"time"
)

// Message is what is published, and what arrives. Data and Metadata of one that
// arrives belong to the receiver.
type Message struct {
	Topic       string
	Data        []byte
	ContentType string // may be ""
	// Metadata is what the caller sent along (keys for partitions, TTL), or what
	// the broker knows about the message. It may be nil.
	Metadata map[string]string
}

// Subscription says what is wanted.
type Subscription struct {
	Topic string
	// Metadata is the backend's to read; it may be nil.
	Metadata map[string]string
}

// Handler takes one message. nil acknowledges it; an error has it delivered
// again, as the backend does that. ctx ends when the subscription ends.
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
	// Close ends all subscriptions, waits for their handlers within the backend's
	// own limit, and releases everything. It is safe twice.
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
	// PublishDelayed returns the broker's id of the message, or "".
	PublishDelayed(ctx context.Context, m *Message, delay time.Duration) (id string, err error)
}

// Errors of a broker; test with errors.Is.
var (
	// ErrNotSupported: the broker cannot do what is asked.
	ErrNotSupported = errors.New("not supported by this broker")
	// ErrInvalid: the request itself is wrong.
	ErrInvalid = errors.New("invalid request")
	// ErrClosed: the broker was closed.
	ErrClosed = errors.New("broker is closed")
)
