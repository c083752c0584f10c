package contrib

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/dapr/components-contrib/health"
	"github.com/dapr/components-contrib/metadata"
	contribpubsub "github.com/dapr/components-contrib/pubsub"
	"github.com/dapr/kit/logger"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
)

// PubSubTraits is what has to be known of one of contrib's brokers beyond what it
// tells. The zero value takes it at its word.
type PubSubTraits struct {
	// Volatile: a published message may be gone when the server ends.
	Volatile bool
	// Ordered tells by the settings whether messages come in the order of
	// publishing; nil: they do not.
	Ordered func(properties map[string]string) bool
	// Hold is how long a message whose handler fails is kept and handed over again,
	// with growing pauses, before the broker is told: for brokers that deliver again
	// at once, late, or, with Forever, never.
	Hold time.Duration
	// Alone: each subscription gets a client of its own, closed when it ends: for
	// brokers that give messages back only with the end of a connection. Client, if
	// not nil, changes the settings of such a client for a topic.
	Alone  bool
	Client func(properties map[string]string, topic string)
	// Prepare, if not nil, completes the settings before the broker is made.
	Prepare func(properties map[string]string)
	// Delay, if not nil, returns the key and value of a message's metadata with
	// which the broker delivers it later.
	Delay func(delay time.Duration) (key, value string)
	// Texts: the broker carries UTF-8 only, and would change other bytes.
	Texts bool
	// Unsaid is part of what the broker logs, as an error, when a publish has failed
	// that it then calls a success. Publishes are one at a time then; "": it is honest.
	Unsaid string
	// NoTTL: the broker declares times to live, but does not keep its promise. It is not
	// told of them.
	NoTTL bool
	// Renames: a message comes with another topic than it was published to; the
	// subscription's counts.
	Renames bool
	// Addresses, if not nil, returns where the servers are, as host:port; the
	// component counts as well while one of them accepts connections. A broker that
	// can be pinged needs none.
	Addresses func(properties map[string]string) []string
}

// Forever is for PubSubTraits.Hold.
const Forever = time.Duration(1<<63 - 1)

const (
	// firstHold is the pause before a failed handler is called again; it doubles
	// up to lastHold.
	firstHold = 100 * time.Millisecond
	lastHold  = 5 * time.Second
	// settleTime is left to a backend to acknowledge what its handlers have done.
	settleTime = 50 * time.Millisecond
)

// PubSub makes a constructor of pubsub.Broker of one of contrib's.
func PubSub(newBroker func(logger.Logger) contribpubsub.PubSub, traits PubSubTraits) components.Factory[pubsub.Broker] {
	return func(ctx context.Context, env components.Env, cfg components.Config) (pubsub.Broker, error) {
		base := Base(cfg)
		setMissing(base.Properties, pubsub.ConsumerKey, env.AppID, cfg.Name)
		if traits.Prepare != nil {
			traits.Prepare(base.Properties)
		}
		p := &pubSub{base: base, traits: traits, log: env.Log, turn: make(chan struct{}, 1)}
		p.open = func() contribpubsub.PubSub { return newBroker(NewLogger(env.Log)) }
		if p.log == nil {
			p.log = slog.New(slog.DiscardHandler)
		}
		if p.backend = p.open(); traits.Unsaid != "" {
			p.listener = &listener{Logger: NewLogger(env.Log), text: traits.Unsaid}
			p.backend = newBroker(p.listener)
		}
		WarnUnknown(cfg, p.backend, pubsub.ConsumerKey)
		p.features = pubsub.Features{
			TTL:     contribpubsub.FeatureMessageTTL.IsPresent(p.backend.Features()) && !traits.NoTTL,
			Durable: !traits.Volatile, Ordered: traits.Ordered != nil && traits.Ordered(base.Properties),
		}
		if err := p.init(ctx, p.backend, base.Properties); err != nil {
			return nil, err
		}
		p.gone, p.end = context.WithCancel(context.WithoutCancel(ctx))
		if traits.Delay != nil {
			return &delayingPubSub{p}, nil
		}
		return p, nil
	}
}

// setMissing sets a setting that is not there, or blank, to the first value that
// is not.
func setMissing(properties map[string]string, key string, values ...string) {
	for k, v := range properties {
		if strings.EqualFold(k, key) {
			if strings.TrimSpace(v) != "" {
				return
			}
			delete(properties, k)
		}
	}
	for _, v := range values {
		if v != "" {
			properties[key] = v
			return
		}
	}
}

// pubSub is one of contrib's brokers. It implements pubsub.Broker and
// components.Checker.
type pubSub struct {
	base     metadata.Base
	traits   PubSubTraits
	features pubsub.Features
	log      *slog.Logger
	open     func() contribpubsub.PubSub
	backend  contribpubsub.PubSub
	gate     gate
	// listener hears what the backend does not say; turn is held while it publishes.
	listener *listener
	turn     chan struct{}

	mu      sync.Mutex
	closed  bool
	gone    context.Context // ends with Close
	end     context.CancelFunc
	running sync.WaitGroup
	closing sync.Once
}

// delayingPubSub is one that implements pubsub.Delayer, too.
type delayingPubSub struct {
	*pubSub
}

// init makes a backend ready, or closes it. One that does not heed ctx is closed
// when it is done at last.
func (p *pubSub) init(ctx context.Context, backend contribpubsub.PubSub, properties map[string]string) error {
	done := make(chan error, 1)
	go func() {
		_, err := protect(ctx, func(ctx context.Context) (struct{}, error) {
			own := metadata.Base{Name: p.base.Name, Properties: maps.Clone(properties)} // some backends change it
			return struct{}{}, backend.Init(ctx, contribpubsub.Metadata{Base: own})
		}).unpack()
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return hideSecrets(errors.Join(p.at(err), closeFailed(backend)), p.base.Properties)
		}
		return nil
	case <-ctx.Done():
		go func() { // it ends when Init does, which nobody waits for any more
			<-done //nolint:errcheck // nobody wants to know
			_ = closeFailed(backend)
		}()
		return p.at(fmt.Errorf("cannot connect in time: %w", context.Cause(ctx)))
	}
}

// at says where the servers are, unless err does.
func (p *pubSub) at(err error) error {
	if p.traits.Addresses == nil {
		return err
	}
	addrs := p.traits.Addresses(p.base.Properties)
	if len(addrs) == 0 || slices.ContainsFunc(addrs, func(addr string) bool { return strings.Contains(err.Error(), addr) }) {
		return err
	}
	return fmt.Errorf("%s: %w", strings.Join(addrs, ", "), err)
}

// Features implements pubsub.Broker.
func (p *pubSub) Features() pubsub.Features { return p.features }

// Publish implements pubsub.Broker.
func (p *pubSub) Publish(ctx context.Context, m *pubsub.Message) error {
	return p.publish(ctx, m, nil)
}

// PublishDelayed implements pubsub.Delayer. Brokers do not tell an id.
func (p *delayingPubSub) PublishDelayed(ctx context.Context, m *pubsub.Message, delay time.Duration) (string, error) {
	if delay <= 0 {
		return "", p.Publish(ctx, m)
	}
	key, value := p.traits.Delay(delay)
	return "", p.publish(ctx, m, map[string]string{key: value})
}

func (p *pubSub) publish(ctx context.Context, m *pubsub.Message, more map[string]string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := m.Check(); err != nil {
		return err
	}
	if p.traits.Texts && !utf8.Valid(m.Data) {
		return fmt.Errorf("%w: this broker carries texts, and the data is none: leave rawPayload out, or send it as base64", pubsub.ErrInvalid)
	}
	// A backend that does not heed ctx may still read when we have returned.
	req := &contribpubsub.PublishRequest{Data: bytes.Clone(m.Data), PubsubName: p.base.Name, Topic: m.Topic, Metadata: maps.Clone(m.Metadata)}
	if req.Metadata == nil {
		req.Metadata = map[string]string{}
	}
	maps.Copy(req.Metadata, more)
	if p.traits.NoTTL {
		delete(req.Metadata, pubsub.TTLKey)
	}
	if m.ContentType != "" {
		req.ContentType = &m.ContentType
	}
	err := p.call(ctx, func(ctx context.Context) error { return p.send(ctx, req) })
	// Some backends take the end of ctx for success.
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	return hideSecrets(err, p.base.Properties)
}

// Subscribe implements pubsub.Broker.
func (p *pubSub) Subscribe(ctx context.Context, s pubsub.Subscription, handle pubsub.Handler) (<-chan struct{}, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, pubsub.ErrClosed
	}
	p.running.Add(1)
	p.mu.Unlock()
	sub, err := p.begin(ctx, s, handle)
	if err != nil {
		p.running.Done()
		if p.gone.Err() != nil {
			return nil, pubsub.ErrClosed
		}
		return nil, hideSecrets(err, p.base.Properties)
	}
	done := make(chan struct{})
	go func() {
		defer p.running.Done()
		defer close(done)
		sub.drain(s.Grace)
	}()
	return done, nil
}

// begin subscribes at the backend.
func (p *pubSub) begin(ctx context.Context, s pubsub.Subscription, handle pubsub.Handler) (*pubSubSubscription, error) {
	sub := &pubSubSubscription{p: p, handle: handle, backend: p.backend, topic: s.Topic}
	if p.traits.Alone {
		properties := maps.Clone(p.base.Properties)
		if p.traits.Client != nil {
			p.traits.Client(properties, s.Topic)
		}
		sub.backend, sub.own = p.open(), true
		if err := p.init(ctx, sub.backend, properties); err != nil {
			return nil, err
		}
	}
	var stopTaking context.CancelFunc
	sub.taking, stopTaking = context.WithCancel(ctx)
	sub.stopWatching = context.AfterFunc(p.gone, stopTaking) //nolint:contextcheck // it ends with the broker, too
	sub.life, sub.kill = context.WithCancel(context.WithoutCancel(ctx))
	err := run(ctx, func(context.Context) error {
		return sub.backend.Subscribe(sub.life, contribpubsub.SubscribeRequest{Topic: s.Topic, Metadata: maps.Clone(s.Metadata)}, sub.take) //nolint:contextcheck // the subscription outlives the call
	})
	if err != nil {
		stopTaking()
		sub.finish()
		return nil, err
	}
	return sub, nil
}

// Close implements pubsub.Broker. What a backend has to say about its end, such as that
// its server is away, is logged and no error: what was not acknowledged comes again.
func (p *pubSub) Close() (err error) {
	p.closing.Do(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		p.end()
		p.gate.shut()
		late := !within(drainTimeout, p.running.Wait)
		if err := closeWithin(drainTimeout, p.backend); err != nil {
			p.log.Warn("the broker's connection did not end in order; what was not acknowledged comes again", "error", hideSecrets(err, p.base.Properties))
		}
		if late {
			err = fmt.Errorf("a subscription did not end within %s", drainTimeout)
		}
	})
	return err
}

// within calls f and waits for it; false when it takes longer than d.
func within(d time.Duration, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// closeWithin closes a backend; one that takes longer than d is left alone.
func closeWithin(d time.Duration, backend contribpubsub.PubSub) error {
	result := make(chan error, 1)
	if !within(d, func() { result <- closeQuietly(backend) }) {
		return fmt.Errorf("the backend did not close within %s", d)
	}
	return <-result
}

// send publishes, and finds out whether it is true.
func (p *pubSub) send(ctx context.Context, req *contribpubsub.PublishRequest) error {
	if p.listener == nil {
		return p.backend.Publish(ctx, req)
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	before := p.listener.heard.Load()
	err := p.backend.Publish(ctx, req)
	if err == nil && p.listener.heard.Load() != before {
		return errors.New("the server did not confirm the message: " + p.traits.Unsaid)
	}
	return err
}

// listener is a log that counts the errors with a text.
type listener struct {
	logger.Logger
	text  string
	heard atomic.Int64
}

// Errorf implements logger.Logger.
func (l *listener) Errorf(format string, args ...any) {
	if strings.Contains(fmt.Sprintf(format, args...), l.text) {
		l.heard.Add(1)
	}
	l.Logger.Errorf(format, args...)
}

// call calls the backend while the broker is open.
func (p *pubSub) call(ctx context.Context, call func(context.Context) error) error {
	_, err := answered(ctx, func(ctx context.Context) (struct{}, error) {
		if !p.gate.enter() {
			return struct{}{}, pubsub.ErrClosed
		}
		defer p.gate.leave()
		return struct{}{}, call(ctx)
	})
	return err
}

// Check implements components.Checker.
func (p *pubSub) Check(ctx context.Context) error {
	if pinger, ok := p.backend.(health.Pinger); ok {
		return hideSecrets(p.call(ctx, pinger.Ping), p.base.Properties)
	}
	if p.gone.Err() != nil {
		return pubsub.ErrClosed
	}
	if p.traits.Addresses == nil {
		return nil
	}
	return reach(ctx, p.traits.Addresses(p.base.Properties))
}
