package pluggable

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	daprv1 "github.com/ottavo-runtime/ottavo/spec/proto/dapr/components/v1"
)

const (
	featureMessageTTL = "MESSAGE_TTL"
	// concurrencyKey is the setting that has messages handled one after the other,
	// with the value "single". Dapr's components have it, too.
	concurrencyKey = "concurrencyMode"
	// atOnce is how many messages of a subscription are handled at once otherwise.
	atOnce = 64
)

// broker is a message broker in a process of its own.
type broker struct {
	*link
	client   daprv1.PubSubClient
	features atomic.Pointer[[]string]
	single   bool
}

func brokerErrors() kindErrors {
	return kindErrors{closed: pubsub.ErrClosed, codes: map[codes.Code]error{
		codes.InvalidArgument: pubsub.ErrInvalid, codes.Unimplemented: pubsub.ErrNotSupported, codes.ResourceExhausted: pubsub.ErrFull,
	}}
}

func newBroker(ctx context.Context, l *link, _ Socket, _ components.Env, cfg components.Config) (pubsub.Broker, error) {
	b := &broker{link: l, client: daprv1.NewPubSubClient(l)}
	for key, value := range cfg.Metadata {
		b.single = b.single || strings.EqualFold(key, concurrencyKey) && value == "single"
	}
	l.ping = l.pingDapr(daprv1.PubSub_ServiceDesc)
	l.start = func(ctx context.Context, conn grpc.ClientConnInterface) error {
		if err := startDapr(ctx, conn, daprv1.PubSub_ServiceDesc, cfg); err != nil {
			return err
		}
		features, err := featuresOf(ctx, conn, daprv1.PubSub_ServiceDesc)
		b.features.Store(&features)
		return err
	}
	if err := l.connect(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

// Features implements pubsub.Broker. A process of its own outlives this one.
func (b *broker) Features() pubsub.Features {
	return pubsub.Features{TTL: slices.Contains(*b.features.Load(), featureMessageTTL), Durable: true, Ordered: b.single}
}

// Publish implements pubsub.Broker.
func (b *broker) Publish(ctx context.Context, m *pubsub.Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	_, err := b.client.Publish(ctx, &daprv1.PublishRequest{
		Data: m.Data, PubsubName: b.instance, Topic: m.Topic, Metadata: m.Metadata, ContentType: m.ContentType,
	})
	return b.explain(ctx, err, brokerErrors())
}

// Subscribe implements pubsub.Broker.
func (b *broker) Subscribe(ctx context.Context, s pubsub.Subscription, handle pubsub.Handler) (<-chan struct{}, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	p := &pull[daprv1.PullMessagesRequest, daprv1.PullMessagesResponse]{
		link: b.link, what: "topic " + s.Topic, kind: brokerErrors(), open: b.client.PullMessages, grace: s.Grace,
		first: &daprv1.PullMessagesRequest{Topic: &daprv1.Topic{Name: s.Topic, Metadata: s.Metadata}},
		handle: func(ctx context.Context, m *daprv1.PullMessagesResponse) *daprv1.PullMessagesRequest {
			topic := m.GetTopicName()
			if topic == "" {
				topic = s.Topic
			}
			answer := &daprv1.PullMessagesRequest{AckMessageId: m.GetId()}
			err := handle(ctx, &pubsub.Message{Topic: topic, Data: m.GetData(), ContentType: m.GetContentType(), Metadata: m.GetMetadata()})
			if err != nil {
				answer.AckError = &daprv1.AckMessageError{Message: err.Error()}
			}
			return answer
		},
	}
	if b.single {
		return p.start(ctx, 1)
	}
	return p.start(ctx, atOnce)
}

// Close implements pubsub.Broker.
func (b *broker) Close() error {
	b.close()
	return nil
}
