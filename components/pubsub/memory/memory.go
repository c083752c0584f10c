package memory

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
)

// Type is the name of this broker in a configuration.
const Type = "in-memory"

// Metadata is the broker's configuration.
type Metadata struct {
	// ConsumerID is the consumer group; by default the application's id. A
	// subscription's own metadata may name another one under the same key.
	ConsumerID string `json:"consumerID"`
	// Concurrency is how many messages of one subscription are handled at once.
	// With 1, the default, they come in the order of publishing.
	Concurrency int `json:"concurrency" default:"1" min:"1" max:"10000"`
	// QueueDepth and QueueBytes bound what one group of one topic may have
	// outstanding, waiting or being handled.
	QueueDepth int `json:"queueDepth" default:"10000" min:"1"`
	QueueBytes int `json:"queueBytes" default:"67108864" min:"1"`
	// PublishTimeout is how long a publisher waits for room in a full queue.
	PublishTimeout time.Duration `json:"publishTimeout" default:"5s" min:"0s"`
	// RedeliverInterval is the pause before the first redelivery; it doubles up
	// to MaxRedeliverInterval.
	RedeliverInterval    time.Duration `json:"redeliverInterval" default:"100ms" min:"1ms"`
	MaxRedeliverInterval time.Duration `json:"maxRedeliverInterval" default:"10s" min:"1ms"`
}

// Defaults returns the settings of a component without any.
func Defaults() Metadata {
	return Metadata{
		Concurrency: 1, QueueDepth: 10_000, QueueBytes: 64 << 20, PublishTimeout: 5 * time.Second,
		RedeliverInterval: 100 * time.Millisecond, MaxRedeliverInterval: 10 * time.Second,
	}
}

// closeTimeout is how long Close waits for handlers, whose contexts have ended.
const closeTimeout = 5 * time.Second

// Broker keeps messages in this process. Use New. It implements pubsub.Broker and
// pubsub.Delayer.
type Broker struct {
	cfg   Metadata
	group string
	log   *slog.Logger

	mu     sync.Mutex
	topics map[string]map[string]*queue // by topic and group
	// delayed are the timers of messages for later.
	delayed map[*time.Timer]struct{}
	closed  bool

	gone     context.Context // ends with Close
	close    context.CancelFunc
	handlers sync.WaitGroup
}

// New makes a broker. It opens nothing, so it fails only when ctx has ended or
// the metadata cannot be read.
func New(ctx context.Context, env components.Env, cfg components.Config) (pubsub.Broker, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m := Defaults()
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	b := &Broker{cfg: m, group: m.ConsumerID, log: env.Log, topics: make(map[string]map[string]*queue), delayed: make(map[*time.Timer]struct{})}
	if b.group == "" {
		b.group = env.AppID
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	b.gone, b.close = context.WithCancel(context.WithoutCancel(ctx))
	return b, nil
}

// Features implements pubsub.Broker.
func (b *Broker) Features() pubsub.Features {
	return pubsub.Features{TTL: true, Ordered: b.cfg.Concurrency == 1}
}

// Publish implements pubsub.Broker.
func (b *Broker) Publish(ctx context.Context, m *pubsub.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := m.Check(); err != nil {
		return err
	}
	return b.put(ctx, m, b.cfg.PublishTimeout)
}

// put gives m to the queues of all groups; for one that is full it waits.
func (b *Broker) put(ctx context.Context, m *pubsub.Message, wait time.Duration) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return pubsub.ErrClosed
	}
	queues := make([]*queue, 0, len(b.topics[m.Topic]))
	for _, q := range b.topics[m.Topic] {
		queues = append(queues, q)
	}
	b.mu.Unlock()
	if len(queues) == 0 {
		return nil
	}
	var expires time.Time
	if ttl, _ := m.TTL(); ttl > 0 { // it was checked
		expires = time.Now().Add(ttl)
	}
	stored := clone(m) // never changed; each delivery gets a copy
	var errs []error
	for _, q := range queues {
		if err := q.push(ctx, &item{message: stored, expires: expires}, wait); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// PublishDelayed implements pubsub.Delayer. Who gets the message is decided when
// the delay is over.
func (b *Broker) PublishDelayed(ctx context.Context, m *pubsub.Message, delay time.Duration) (string, error) {
	if delay <= 0 {
		return "", b.Publish(ctx, m)
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := m.Check(); err != nil {
		return "", err
	}
	m = clone(m)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return "", pubsub.ErrClosed
	}
	if len(b.delayed) >= b.cfg.QueueDepth {
		return "", fmt.Errorf("%w: %d messages wait for their time already: publish fewer, or raise queueDepth", pubsub.ErrFull, len(b.delayed))
	}
	var timer *time.Timer
	timer = time.AfterFunc(delay, func() {
		b.mu.Lock()
		delete(b.delayed, timer)
		if !b.closed {
			b.handlers.Add(1)
			defer b.handlers.Done()
		}
		b.mu.Unlock()
		// It was accepted, so it waits for room as long as there is a broker.
		if err := b.put(b.gone, m, maxWait); err != nil && b.gone.Err() == nil {
			b.log.Error("a delayed message was lost", "topic", m.Topic, "error", err)
		}
	})
	b.delayed[timer] = struct{}{}
	return rand.Text(), nil
}

// maxWait is for waits that only the end of the broker ends.
const maxWait = time.Duration(1<<63 - 1)

// Subscribe implements pubsub.Broker.
func (b *Broker) Subscribe(ctx context.Context, s pubsub.Subscription, handle pubsub.Handler) (<-chan struct{}, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	group := b.group
	if own := s.Metadata[pubsub.ConsumerKey]; own != "" {
		group = own
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, pubsub.ErrClosed
	}
	q := b.queue(s.Topic, group)
	q.attach(1)
	done := make(chan struct{})
	b.handlers.Go(func() {
		defer close(done)
		b.deliver(ctx, q, s.Grace, handle)
	})
	return done, nil
}

// queue returns the queue of a group, made if need be. b.mu is held.
func (b *Broker) queue(topic, group string) *queue {
	groups := b.topics[topic]
	if groups == nil {
		groups = make(map[string]*queue)
		b.topics[topic] = groups
	}
	q := groups[group]
	if q == nil {
		q = newQueue(b.cfg, b.log.With("topic", topic, "group", group))
		groups[group] = q
	}
	return q
}

// deliver hands messages over until ctx ends or the broker is closed, and waits
// for the handlers.
func (b *Broker) deliver(ctx context.Context, q *queue, grace time.Duration, handle pubsub.Handler) {
	defer q.attach(-1)
	taking, stopTaking := context.WithCancel(ctx)
	defer stopTaking()
	defer context.AfterFunc(b.gone, stopTaking)() //nolint:contextcheck // it ends with the broker, too

	handling, stopHandling := context.WithCancel(context.WithoutCancel(ctx))
	defer stopHandling()
	defer context.AfterFunc(b.gone, stopHandling)() //nolint:contextcheck // as above

	var workers sync.WaitGroup
	for range b.cfg.Concurrency {
		workers.Go(func() { work(taking, handling, q, handle) })
	}
	<-taking.Done()
	timer := time.AfterFunc(grace, stopHandling)
	workers.Wait()
	timer.Stop()
}

// work handles one message after the other until taking ends. handling is the
// context of the handlers.
func work(taking, handling context.Context, q *queue, handle pubsub.Handler) {
	for {
		it := q.pop(taking)
		if it == nil {
			return
		}
		err := call(handling, handle, it.message)
		switch {
		case err == nil:
			q.ack(it)
		case taking.Err() != nil:
			q.back(it)
		default:
			q.retry(it)
		}
	}
}

// call calls the handler with a copy of m. A handler that panics has failed, and
// takes nobody with it.
func call(ctx context.Context, handle pubsub.Handler, m *pubsub.Message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked: %v", p)
		}
	}()
	return handle(ctx, clone(m))
}

func clone(m *pubsub.Message) *pubsub.Message {
	c := *m
	c.Data = append([]byte{}, m.Data...)
	c.Metadata = maps.Clone(m.Metadata)
	return &c
}

// Check implements components.Checker: it is well until it is closed.
func (b *Broker) Check(context.Context) error {
	if b.gone.Err() != nil {
		return pubsub.ErrClosed
	}
	return nil
}

// Close implements pubsub.Broker. What is queued is gone.
func (b *Broker) Close() error {
	b.mu.Lock()
	first := !b.closed
	b.closed = true
	for timer := range b.delayed {
		timer.Stop()
	}
	clear(b.delayed)
	if first {
		for _, groups := range b.topics {
			for _, q := range groups {
				q.close()
			}
		}
	}
	b.mu.Unlock()
	b.close()

	done := make(chan struct{})
	go func() {
		b.handlers.Wait()
		close(done)
	}()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
		return fmt.Errorf("a handler did not end within %s after its context had", closeTimeout)
	}
}
