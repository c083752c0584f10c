package pluggable_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/components/pubsub/memory"
	"github.com/ottavo-runtime/ottavo/components/pubsub/pubsubtest"
	daprv1 "github.com/ottavo-runtime/ottavo/spec/proto/dapr/components/v1"
)

// brokerServer serves a broker as Dapr's components do. A component's name is its
// consumer group.
type brokerServer struct {
	daprv1.UnimplementedPubSubServer
	daprInit
	broker pubsub.Broker
	silent bool // says nothing when a subscription stands
}

func newBrokerServer(t *testing.T, concurrency int) *brokerServer {
	t.Helper()
	b, err := memory.New(t.Context(), components.Env{}, components.Config{Path: "x", Metadata: map[string]any{"concurrency": concurrency}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return &brokerServer{broker: b}
}

func (s *brokerServer) register(g *grpc.Server) { daprv1.RegisterPubSubServer(g, s) }

func (s *brokerServer) Init(ctx context.Context, r *daprv1.PubSubInitRequest) (*daprv1.PubSubInitResponse, error) {
	return &daprv1.PubSubInitResponse{}, s.init(ctx, r.GetMetadata())
}

func (s *brokerServer) Ping(ctx context.Context, r *daprv1.PingRequest) (*daprv1.PingResponse, error) {
	return s.daprInit.Ping(ctx, r)
}

func (s *brokerServer) Features(context.Context, *daprv1.FeaturesRequest) (*daprv1.FeaturesResponse, error) {
	return &daprv1.FeaturesResponse{Features: []string{"MESSAGE_TTL"}}, nil
}

func (s *brokerServer) Publish(ctx context.Context, r *daprv1.PublishRequest) (*daprv1.PublishResponse, error) {
	err := s.broker.Publish(ctx, &pubsub.Message{Topic: r.GetTopic(), Data: r.GetData(), ContentType: r.GetContentType(), Metadata: r.GetMetadata()})
	return &daprv1.PublishResponse{}, coded(err, map[error]codes.Code{pubsub.ErrInvalid: codes.InvalidArgument, pubsub.ErrFull: codes.ResourceExhausted})
}

// waiting are messages whose answers are awaited, by id.
type waiting[T any] struct {
	mu   sync.Mutex
	last int
	by   map[string]chan T
}

func (w *waiting[T]) add() (id string, answer chan T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by == nil {
		w.by = make(map[string]chan T)
	}
	w.last++
	id, answer = strconv.Itoa(w.last), make(chan T, 1)
	w.by[id] = answer
	return id, answer
}

func (w *waiting[T]) answer(id string, a T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c, ok := w.by[id]; ok {
		c <- a
		delete(w.by, id)
	}
}

func (s *brokerServer) PullMessages(stream grpc.BidiStreamingServer[daprv1.PullMessagesRequest, daprv1.PullMessagesResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	var (
		pending waiting[*daprv1.PullMessagesRequest]
		sending sync.Mutex
		gone    = make(chan struct{})
	)
	done, err := s.broker.Subscribe(ctx, pubsub.Subscription{
		Topic: first.GetTopic().GetName(), Metadata: map[string]string{"consumerID": caller(ctx)}, Grace: time.Second,
	}, func(_ context.Context, m *pubsub.Message) error {
		id, answer := pending.add()
		sending.Lock()
		err := stream.Send(&daprv1.PullMessagesResponse{Id: id, Data: m.Data, TopicName: m.Topic, Metadata: m.Metadata, ContentType: m.ContentType})
		sending.Unlock()
		if err != nil {
			return err
		}
		select {
		case a := <-answer:
			if a.GetAckError() != nil {
				return errors.New(a.GetAckError().GetMessage())
			}
			return nil
		case <-gone:
			select { // the answer may have come last
			case a := <-answer:
				if a.GetAckError() == nil {
					return nil
				}
			default:
			}
			return errors.New("the subscriber is gone")
		}
	})
	if err != nil {
		return coded(err, nil)
	}
	if !s.silent {
		_ = stream.SendHeader(nil)
	}
	for {
		r, err := stream.Recv()
		if err != nil {
			close(gone)
			cancel()
			<-done
			return nil
		}
		pending.answer(r.GetAckMessageId(), r)
	}
}

func TestPubSub(t *testing.T) {
	for name, concurrency := range map[string]int{"parallel": 64, "single": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows := start(t, newBrokerServer(t, concurrency).register).rows().Brokers
			pubsubtest.Run(t, pubsubtest.Options{Connect: func(t *testing.T, group string) pubsub.Broker {
				b, err := tryOpen(t, rows, components.Config{Name: group, Metadata: map[string]any{"concurrencyMode": name}})
				if err != nil {
					t.Fatal(err)
				}
				return b
			}})
		})
	}
}

// Subscriptions go on when the process was killed and is back; what was not answered
// comes again, and nothing is lost.
func TestPubSubRestart(t *testing.T) {
	t.Parallel()
	server := newBrokerServer(t, 8)
	server.silent = true // as most components
	p := start(t, server.register)
	b := open(t, p.rows().Brokers, nil)
	var mu sync.Mutex
	got := map[string]int{}
	var failed atomic.Bool
	_, err := b.Subscribe(t.Context(), pubsub.Subscription{Topic: "t"}, func(_ context.Context, m *pubsub.Message) error {
		mu.Lock()
		defer mu.Unlock()
		got[string(m.Data)]++
		if string(m.Data) == "3" && !failed.Swap(true) {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	publish := func(i int) error {
		return b.Publish(t.Context(), &pubsub.Message{Topic: "t", Data: []byte(strconv.Itoa(i))})
	}
	for i := range 30 {
		if i%10 == 5 {
			p.kill()
			p.up()
		}
		eventually(t, "a message is published", func() error { return publish(i) })
	}
	eventually(t, "all messages arrive", func() error {
		mu.Lock()
		defer mu.Unlock()
		if len(got) < 30 || got["3"] < 2 {
			return status.Errorf(codes.Internal, "%v", got)
		}
		return nil
	})
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// A subscription that is refused at once is an error, not a subscription.
func TestSubscribeRefused(t *testing.T) {
	t.Parallel()
	p := start(t, func(g *grpc.Server) { daprv1.RegisterPubSubServer(g, &refusing{}) })
	b := open(t, p.rows().Brokers, nil)
	defer func() { _ = b.Close() }()
	_, err := b.Subscribe(t.Context(), pubsub.Subscription{Topic: "t"}, nil)
	if !errors.Is(err, pubsub.ErrNotSupported) {
		t.Error(err)
	}
}

type refusing struct {
	daprv1.UnimplementedPubSubServer
}

func (*refusing) Init(context.Context, *daprv1.PubSubInitRequest) (*daprv1.PubSubInitResponse, error) {
	return &daprv1.PubSubInitResponse{}, nil
}
