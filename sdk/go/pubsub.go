package ottavo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	delayqueuev1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/delay_queue"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// PubSub is one message broker of the runtime. It is safe for concurrent use and
// costs nothing to make.
type PubSub struct {
	api    runtimev1.RuntimeClient
	delays delayqueuev1.DelayQueueClient
	name   string
}

// PubSub returns the broker with that name in the runtime's configuration.
// Whether there is one shows in the first call.
func (c *Client) PubSub(name string) *PubSub {
	return &PubSub{api: c.api, delays: delayqueuev1.NewDelayQueueClient(c.conn), name: name}
}

// Publication holds what can be said about an event that is published. The zero
// value is the usual one.
type Publication struct {
	// ContentType describes the data: what is JSON ("application/json") comes as
	// JSON, "application/cloudevents+json" is an event already. "" is "text/plain".
	ContentType string
	// TTL is the time after which nobody wants the event any more, rounded up to
	// seconds. 0: it never expires.
	TTL time.Duration
	// Metadata goes to the broker, which knows the keys.
	Metadata map[string]string
}

// ttlKey is the metadata that say when something ceases to exist.
const ttlKey = "ttlInSeconds"

// metadata is what goes to the broker.
func (p Publication) metadata() (map[string]string, error) {
	if p.TTL == 0 {
		return p.Metadata, nil
	}
	if p.TTL < 0 {
		return nil, fmt.Errorf("ottavo: the TTL of an event must be positive, not %s", p.TTL)
	}
	m := maps.Clone(p.Metadata)
	if m == nil {
		m = make(map[string]string, 1)
	}
	m[ttlKey] = strconv.FormatInt(int64((p.TTL+time.Second-1)/time.Second), 10)
	return m, nil
}

// Publish publishes an event. When it returns nil, the broker has it. At most one
// Publication may be given.
func (p *PubSub) Publish(ctx context.Context, topic string, data []byte, about ...Publication) error {
	pub := first(about)
	metadata, err := pub.metadata()
	if err != nil {
		return err
	}
	_, err = p.api.PublishEvent(ctx, &runtimev1.PublishEventRequest{
		PubsubName: p.name, Topic: topic, Data: data, DataContentType: pub.ContentType, Metadata: metadata,
	})
	return failed("PublishEvent", err)
}

// PublishLater publishes an event that comes to its subscribers after the delay,
// which is rounded up to seconds, and returns the broker's id for it, if it has one. Not
// every broker can.
func (p *PubSub) PublishLater(ctx context.Context, topic string, data []byte, delay time.Duration, about ...Publication) (id string, err error) {
	pub := first(about)
	metadata, err := pub.metadata()
	if err != nil {
		return "", err
	}
	if delay < 0 || delay > 1<<31*time.Second-time.Second {
		return "", fmt.Errorf("ottavo: a delay of %s: it must be positive and below 68 years", delay)
	}
	resp, err := p.delays.PublishDelayMessage(ctx, &delayqueuev1.DelayMessageRequest{
		ComponentName: p.name, Topic: topic, Data: data, DataContentType: pub.ContentType, Metadata: metadata,
		DelayInSeconds: int32((delay + time.Second - 1) / time.Second),
	})
	if err != nil {
		return "", failed("PublishDelayMessage", err)
	}
	return resp.GetMessageId(), nil
}

// first is the one value of options that may be left out.
func first[T any](options []T) T {
	if len(options) > 0 {
		return options[0]
	}
	var zero T
	return zero
}

// Event is an event that was published to a topic.
type Event struct {
	// ID is the same each time the event comes.
	ID string
	// Source and Type are the publisher's words of CloudEvents.
	Source, Type, SpecVersion string
	// PubSub and Topic are where it came from.
	PubSub, Topic string
	ContentType   string
	// Data belongs to the handler.
	Data []byte
	// Metadata is what the broker tells; may be nil.
	Metadata map[string]string
}

func newEvent(m *runtimev1.TopicEventRequest) *Event {
	return &Event{
		ID: m.GetId(), Source: m.GetSource(), Type: m.GetType(), SpecVersion: m.GetSpecVersion(), PubSub: m.GetPubsubName(), Topic: m.GetTopic(),
		ContentType: m.GetDataContentType(), Data: m.GetData(), Metadata: m.GetMetadata(),
	}
}

// Handler does what is to be done about an event. nil: it is done. ErrDrop (or an
// error that wraps it): the event must not come again. Any other error: it
// is to come again, when and how often the broker is set up to.
//
// Delivery is at least once, so an event that was handled may come once more.
type Handler func(ctx context.Context, event *Event) error

// ErrDrop is the error of a handler that can do nothing with an event, now or
// later. It goes to the dead letter topic, where there is one.
var ErrDrop = errors.New("ottavo: drop the event")

// verdict is the answer that a handler's error means.
func verdict(err error) *runtimev1.TopicEventResponse {
	status := runtimev1.TopicEventResponse_SUCCESS
	switch {
	case err == nil:
	case errors.Is(err, ErrDrop):
		status = runtimev1.TopicEventResponse_DROP
	default:
		status = runtimev1.TopicEventResponse_RETRY
	}
	return &runtimev1.TopicEventResponse{Status: status}
}
