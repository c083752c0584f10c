package capability

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components/pubsub"
)

// Operations of PubSub in an Error.
const (
	PubSubPublish   Op = "publish"
	PubSubDelay     Op = "publish later"
	PubSubSubscribe Op = "subscribe"
)

// PubSubOptions are what a PubSub is made from.
type PubSubOptions struct {
	// Brokers are the components by their names. The map is copied.
	Brokers map[string]pubsub.Broker
	// App is the application that subscribes by a list of its own; nil: there is none.
	App Application
	// Log takes what becomes of events; nil: nothing is logged.
	Log *slog.Logger
	// DeliveryTimeout is how long an application may take for one event, if its
	// subscription does not say; 0: 60 s.
	DeliveryTimeout time.Duration
	// Grace is how long deliveries that run when the runtime stops may take; 0: 10 s.
	Grace time.Duration
}

// PubSub publishes to, and subscribes at, the brokers it was made from. Its
// methods are safe for concurrent use, also on nil, which has no brokers.
type PubSub struct {
	brokers map[string]pubsub.Broker
	app     Application
	log     *slog.Logger
	timeout time.Duration
	grace   time.Duration
	// oversize are the events that nobody can be given.
	oversize oversize

	mu      sync.Mutex
	subs    map[topicKey]*TopicStream
	stopped bool
	// ending counts subscriptions that have not let go yet.
	ending sync.WaitGroup
}

// topicKey is what there is one subscription for.
type topicKey struct{ pubsub, topic string }

// NewPubSub makes one. The application's subscriptions begin with Run.
func NewPubSub(o PubSubOptions) *PubSub {
	p := &PubSub{
		brokers: maps.Clone(o.Brokers), app: o.App, log: o.Log, timeout: o.DeliveryTimeout, grace: o.Grace,
		subs: make(map[topicKey]*TopicStream),
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if p.timeout <= 0 {
		p.timeout = time.Minute
	}
	if p.grace <= 0 {
		p.grace = 10 * time.Second
	}
	return p
}

func (p *PubSub) find(op Op, name string) (pubsub.Broker, error) {
	var brokers map[string]pubsub.Broker
	if p != nil {
		brokers = p.brokers
	}
	return find(brokers, PubSubName, op, name)
}

// Publication is one message as a caller wants it published.
type Publication struct {
	PubSub, Topic string
	Data          []byte
	// ContentType is the media type of Data; "" is text/plain. With
	// application/cloudevents+json Data is an event already.
	ContentType string
	// Metadata is for the broker; some keys are looked at here: RawPayloadKey,
	// pubsub.TTLKey, and traceparent, tracestate and traceid.
	Metadata map[string]string
	// TraceParent and TraceState are of the call; those in Metadata come first.
	TraceParent, TraceState string
	// Envelope says what an event gets that does not bring it along.
	Envelope Envelope
}

// RawPayloadKey is the key of metadata that says that messages of a topic are no
// events: they are published, and delivered, as they are.
const RawPayloadKey = "rawPayload"

// Publish publishes one message, as a CloudEvent unless it is to be raw. It
// returns when the broker has it.
func (p *PubSub) Publish(ctx context.Context, pub Publication) error {
	broker, m, err := p.prepare(PubSubPublish, &pub)
	if err != nil {
		return err
	}
	if err := broker.Publish(ctx, m); err != nil {
		return pubSubError(ctx, PubSubPublish, &pub, err)
	}
	return nil
}

// PublishDelayed is Publish for a message that is delivered later. It returns the
// broker's name for the message, which may be "".
func (p *PubSub) PublishDelayed(ctx context.Context, pub Publication, delay time.Duration) (string, error) {
	if delay < 0 {
		return "", &Error{
			Kind: InvalidArgument, Capability: PubSubName, Op: PubSubDelay, Component: pub.PubSub, Key: pub.Topic,
			Msg: fmt.Sprintf("the delay of %s is negative: give 0 or more seconds", delay),
		}
	}
	broker, m, err := p.prepare(PubSubDelay, &pub)
	if err != nil {
		return "", err
	}
	delayer, ok := broker.(pubsub.Delayer)
	if !ok {
		return "", &Error{
			Kind: NotSupported, Capability: PubSubName, Op: PubSubDelay, Component: pub.PubSub, Key: pub.Topic,
			Msg: "the broker cannot deliver later", Known: p.delayers(),
		}
	}
	id, err := delayer.PublishDelayed(ctx, m, delay)
	if err != nil {
		return "", pubSubError(ctx, PubSubDelay, &pub, err)
	}
	return id, nil
}

func (p *PubSub) delayers() []string {
	var names []string
	for name, b := range p.brokers {
		if _, ok := b.(pubsub.Delayer); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// prepare finds the broker and makes the message for it.
func (p *PubSub) prepare(op Op, pub *Publication) (pubsub.Broker, *pubsub.Message, error) {
	invalid := func(msg string, err error) error {
		return &Error{Kind: InvalidArgument, Capability: PubSubName, Op: op, Component: pub.PubSub, Key: pub.Topic, Msg: msg, Err: err}
	}
	switch {
	case pub.PubSub == "":
		return nil, nil, invalid("pubsub name is empty", nil)
	case pub.Topic == "":
		return nil, nil, invalid("topic is empty in pubsub "+pub.PubSub, nil)
	}
	broker, err := p.find(op, pub.PubSub)
	if err != nil {
		return nil, nil, err
	}
	m := &pubsub.Message{Topic: pub.Topic, Data: pub.Data, ContentType: pub.ContentType, Metadata: pub.Metadata}
	ttl, err := m.TTL()
	if err != nil {
		return nil, nil, invalid("", err)
	}
	if truthy(lookup(pub.Metadata, RawPayloadKey)) {
		return broker, m, nil
	}
	if broker.Features().TTL {
		ttl = 0 // the broker sees to it
	}
	if m.Data, err = envelop(pub, ttl); err != nil {
		return nil, nil, invalid("bad CloudEvent", err)
	}
	m.ContentType = cloudEventsType
	return broker, m, nil
}

// pubSubError turns what a broker returned into an Error.
func pubSubError(ctx context.Context, op Op, pub *Publication, err error) *Error {
	kind := Internal
	switch {
	case errors.Is(err, pubsub.ErrInvalid):
		kind = InvalidArgument
	case errors.Is(err, pubsub.ErrNotSupported):
		kind = NotSupported
	case op == PubSubDelay && errors.Is(err, pubsub.ErrFull):
		kind = TooLarge
	default:
		if k, ok := lateKind(ctx, err); ok {
			kind = k
		}
	}
	return &Error{Kind: kind, Capability: PubSubName, Op: op, Component: pub.PubSub, Key: pub.Topic, Err: err}
}
