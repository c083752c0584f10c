package capability

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ottavo-runtime/ottavo/components/pubsub"
)

// TopicSubscription is the wish for the events of one topic.
type TopicSubscription struct {
	PubSub, Topic string
	// Metadata is for the broker; the keys below are looked at here.
	Metadata map[string]string
	// DeadLetterTopic is where events go that are dropped, or have failed too
	// often; "": DeadLetterKey of the metadata, and without it nowhere.
	DeadLetterTopic string
}

// deadLetters returns the topic for dead letters, or "".
func (t TopicSubscription) deadLetters() string {
	if t.DeadLetterTopic != "" {
		return t.DeadLetterTopic
	}
	return lookup(t.Metadata, DeadLetterKey)
}

// Keys of a subscription's metadata, beside RawPayloadKey.
const (
	// DeadLetterKey names the topic, of the same component, for events that are
	// dropped or have failed too often.
	DeadLetterKey = "deadLetterTopic"
	// MaxRedeliveriesKey is how often an event that failed is delivered again; 0:
	// never. Without it there is no end, or 3 with a topic for dead letters.
	MaxRedeliveriesKey = "maxRedeliveries"
	// DeliveryTimeoutKey is how long one delivery may take, a Go duration.
	DeliveryTimeoutKey = "deliveryTimeout"
	// MaxConcurrencyKey is how many events are with the application at once; by
	// default 64. The rest waits at the broker.
	MaxConcurrencyKey = "maxConcurrency"
)

const (
	defaultRedeliveries = 3
	defaultConcurrency  = 64
	unlimited           = -1
)

// Verdict is what the receiver of an event says.
type Verdict uint8

// Verdicts.
const (
	Success Verdict = iota
	Retry
	Drop
)

// Target receives the events of a subscription. It is called from several
// goroutines at once.
type Target interface {
	// Ready waits until events can be delivered, or ctx ends.
	Ready(ctx context.Context) error
	// Deliver hands one event over and waits for the verdict. An error is taken
	// for Retry, except ErrNotHandled and a *TooLargeError.
	Deliver(ctx context.Context, e *Event) (Verdict, error)
}

// Errors of a Target; test with errors.Is.
var (
	// ErrNotHandled: the receiver does not take events at all; they are dropped.
	ErrNotHandled = errors.New("the application does not take events")
	// ErrUnreached: the receiver has not seen the event, so that it does not
	// count as delivered.
	ErrUnreached = errors.New("the application could not be reached")
)

// errUndelivered is what the broker is told of an event that is to come again.
var errUndelivered = errors.New("the event was not taken")

// TopicStream is a subscription that runs.
type TopicStream struct {
	p      *PubSub
	key    topicKey
	cancel context.CancelFunc
	// taking ends when the subscription is to end; done is closed when it has.
	taking context.Context
	done   chan struct{}

	wanted  TopicSubscription
	target  Target
	broker  pubsub.Broker
	raw     bool
	timeout time.Duration
	slots   chan struct{} // one for each event that is with the target
	tries   tries
}

// Done is closed when the subscription has ended, by End or as the runtime stops,
// and no delivery runs any more.
func (s *TopicStream) Done() <-chan struct{} { return s.done }

// Ending is closed when no further event will be delivered.
func (s *TopicStream) Ending() <-chan struct{} { return s.taking.Done() }

// End ends the subscription; deliveries that run may finish. It does not wait.
func (s *TopicStream) End() { s.cancel() }

// Subscribe begins a subscription, which ends with End, with ctx, or when the
// runtime stops. There is one for a topic at a time.
func (p *PubSub) Subscribe(ctx context.Context, wanted TopicSubscription, target Target) (*TopicStream, error) {
	fail := func(kind Kind, msg string, err error) error {
		return &Error{Kind: kind, Capability: PubSubName, Op: PubSubSubscribe, Component: wanted.PubSub, Key: wanted.Topic, Msg: msg, Err: err}
	}
	switch {
	case wanted.PubSub == "":
		return nil, fail(InvalidArgument, "pubsub name is empty", nil)
	case wanted.Topic == "":
		return nil, fail(InvalidArgument, "topic is empty in pubsub "+wanted.PubSub, nil)
	}
	broker, err := p.find(PubSubSubscribe, wanted.PubSub)
	if err != nil {
		return nil, err
	}
	s := &TopicStream{p: p, key: topicKey{wanted.PubSub, wanted.Topic}, done: make(chan struct{}), wanted: wanted, target: target, broker: broker}
	if err := s.configure(); err != nil {
		return nil, fail(InvalidArgument, "", err)
	}
	s.taking, s.cancel = context.WithCancel(ctx)
	if err := p.reserve(s); err != nil {
		s.cancel()
		return nil, err
	}
	var ended <-chan struct{}
	err = Guard(func() (err error) {
		ended, err = broker.Subscribe(s.taking, pubsub.Subscription{Topic: wanted.Topic, Metadata: wanted.Metadata, Grace: p.grace}, s.handle)
		return err
	})
	if err != nil {
		if _, panicked := errors.AsType[*Panic](err); panicked {
			p.log.Error("a broker panicked", "pubsub", wanted.PubSub, "topic", wanted.Topic, "panic", err)
			err = errors.New("the broker has a defect: the log has more")
		}
		s.cancel()
		p.release(s)
		if kind, over := contextKind(ctx); over {
			return nil, fail(kind, "", err)
		}
		return nil, fail(Internal, "", err)
	}
	go func() {
		<-ended
		s.cancel()
		p.release(s)
	}()
	return s, nil
}

// reserve makes s the one subscription of its topic.
func (p *PubSub) reserve(s *TopicStream) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return &Error{Kind: Unavailable, Capability: PubSubName, Op: PubSubSubscribe, Component: s.key.pubsub, Key: s.key.topic, Msg: "the runtime is stopping"}
	}
	if circle := p.letterCircle(s); circle != "" {
		return &Error{
			Kind: InvalidArgument, Capability: PubSubName, Op: PubSubSubscribe, Component: s.key.pubsub, Key: s.key.topic,
			Msg: "dead letters would go in a circle, for ever: " + circle + ": let one of these topics have no topic for dead letters",
		}
	}
	if p.subs[s.key] != nil {
		return &Error{
			Kind: Exists, Capability: PubSubName, Op: PubSubSubscribe, Component: s.key.pubsub, Key: s.key.topic,
			Msg: fmt.Sprintf("already subscribed to pubsub %q topic %q", s.key.pubsub, s.key.topic),
		}
	}
	p.subs[s.key] = s
	p.ending.Add(1)
	return nil
}

// letterCircle returns the topics through which a dead letter of s would come back to
// its own, or "". p.mu is held.
func (p *PubSub) letterCircle(s *TopicStream) string {
	way, next := s.key.topic, s.wanted.DeadLetterTopic
	for range len(p.subs) + 1 {
		if way += " -> " + next; next == s.key.topic {
			return way
		}
		other := p.subs[topicKey{s.key.pubsub, next}]
		if other == nil || other.wanted.DeadLetterTopic == "" {
			return ""
		}
		next = other.wanted.DeadLetterTopic
	}
	return ""
}

func (p *PubSub) release(s *TopicStream) {
	p.mu.Lock()
	delete(p.subs, s.key)
	p.mu.Unlock()
	close(s.done)
	p.ending.Done()
}

// Stop ends all subscriptions, waits for the deliveries that run, at most as long
// as their grace, and lets no new subscription begin.
func (p *PubSub) Stop() {
	p.mu.Lock()
	p.stopped = true
	for _, s := range p.subs {
		s.cancel()
	}
	p.mu.Unlock()
	done := make(chan struct{})
	go func() {
		p.ending.Wait()
		close(done)
	}()
	// Brokers end by themselves after the grace; one that does not must not keep
	// the process.
	timer := time.NewTimer(p.grace + 5*time.Second)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		p.log.Warn("subscriptions did not end in time")
	}
}

// configure reads the subscription's metadata.
func (s *TopicStream) configure() error {
	md := s.wanted.Metadata
	s.raw = truthy(lookup(md, RawPayloadKey))
	s.wanted.DeadLetterTopic = s.wanted.deadLetters()
	if s.wanted.DeadLetterTopic == s.wanted.Topic {
		return fmt.Errorf("the topic %q is its own topic for dead letters: name another one", s.wanted.Topic)
	}
	fallback := unlimited
	if s.wanted.DeadLetterTopic != "" {
		fallback = defaultRedeliveries
	}
	redeliveries, err := number(md, MaxRedeliveriesKey, 0, fallback)
	if err != nil {
		return err
	}
	s.tries.limit = redeliveries
	concurrency, err := number(md, MaxConcurrencyKey, 1, defaultConcurrency)
	if err != nil {
		return err
	}
	s.slots = make(chan struct{}, concurrency)
	s.timeout = s.p.timeout
	if text := lookup(md, DeliveryTimeoutKey); text != "" {
		if s.timeout, err = time.ParseDuration(text); err != nil || s.timeout <= 0 {
			return fmt.Errorf(`metadata %s %q: must be a duration above 0, such as "30s"`, DeliveryTimeoutKey, text)
		}
	}
	return nil
}

// maxNumber bounds the numbers in a subscription's metadata.
const maxNumber = 100_000

func number(metadata map[string]string, key string, least, fallback int) (int, error) {
	text := lookup(metadata, key)
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > maxNumber {
		return 0, fmt.Errorf("metadata %s %q: must be a whole number, %d to %d", key, text, least, maxNumber)
	}
	return n, nil
}
