package layotto

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// reconnect is how a lost application is looked for: often, as it is beside us.
var reconnect = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
	MinConnectTimeout: 5 * time.Second,
}

// App is the connection to the application's service AppCallback. It implements
// capability.Application.
type App struct {
	conn   *grpc.ClientConn
	client runtimev1.AppCallbackClient
}

// NewApp makes the connection; it is not dialed before somebody asks for a
// session. target is host:port. It must be closed.
func NewApp(target string) (*App, error) {
	conn, err := grpc.NewClient("passthrough:///"+target,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithConnectParams(reconnect), grpc.WithIdleTimeout(0),
		// Whoever answers through a proxy's settings of the environment is not
		// the application beside us.
		grpc.WithNoProxy(),
	)
	if err != nil {
		return nil, fmt.Errorf("the application's address %s: %w", target, err)
	}
	return &App{conn: conn, client: runtimev1.NewAppCallbackClient(conn)}, nil
}

// Close gives the connection up. It is safe twice.
func (a *App) Close() error {
	if err := a.conn.Close(); status.Code(err) != codes.Canceled { // that is: closed already
		return err
	}
	return nil
}

// Ready implements capability.Target: it waits until the application is connected.
func (a *App) Ready(ctx context.Context) error {
	for {
		state := a.conn.GetState()
		switch state {
		case connectivity.Ready:
			return nil
		case connectivity.Shutdown:
			return errors.New("the connection was closed")
		case connectivity.Idle:
			a.conn.Connect()
		}
		if !a.conn.WaitForStateChange(ctx, state) {
			return ctx.Err()
		}
	}
}

// Session implements capability.Application.
func (a *App) Session(ctx context.Context) (context.Context, error) {
	if err := a.Ready(ctx); err != nil {
		return nil, err
	}
	session, end := context.WithCancel(ctx)
	go func() {
		defer end()
		a.conn.WaitForStateChange(ctx, connectivity.Ready)
	}()
	return session, nil
}

// Subscriptions implements capability.Application.
func (a *App) Subscriptions(ctx context.Context) ([]capability.TopicSubscription, error) {
	resp, err := a.client.ListTopicSubscriptions(ctx, &emptypb.Empty{})
	if err != nil {
		return nil, a.failure(err)
	}
	list := make([]capability.TopicSubscription, len(resp.GetSubscriptions()))
	for i, s := range resp.GetSubscriptions() {
		list[i] = capability.TopicSubscription{PubSub: s.GetPubsubName(), Topic: s.GetTopic(), Metadata: s.GetMetadata()}
	}
	return list, nil
}

// Deliver implements capability.Target.
func (a *App) Deliver(ctx context.Context, e *capability.Event) (capability.Verdict, error) {
	event := toTopicEvent(e)
	resp, err := a.client.OnTopicEvent(ctx, event)
	if err != nil {
		if big := tooLarge(ctx, err, proto.Size(event)); big != nil {
			return capability.Retry, big
		}
		return capability.Retry, a.failure(err)
	}
	return toVerdict(resp.GetStatus()), nil
}

// failure says what the error of a call means.
func (a *App) failure(err error) error {
	switch {
	case status.Code(err) == codes.Unimplemented:
		return fmt.Errorf("%w: %w", capability.ErrNotHandled, err)
	case a.conn.GetState() != connectivity.Ready:
		// It crashed, or was never there: that says nothing about the event.
		return fmt.Errorf("%w: %w", capability.ErrUnreached, err)
	}
	return err
}

// toTopicEvent makes an event's message.
func toTopicEvent(e *capability.Event) *runtimev1.TopicEventRequest {
	metadata := make(map[string]string, len(e.Metadata))
	for k, v := range e.Metadata {
		metadata[valid(k)] = valid(v)
	}
	return &runtimev1.TopicEventRequest{
		Id: valid(e.ID), Source: valid(e.Source), Type: valid(e.Type), SpecVersion: valid(e.SpecVersion), DataContentType: valid(e.ContentType),
		Topic: valid(e.Topic), PubsubName: valid(e.PubSub), Data: e.Data, Metadata: metadata,
	}
}

// toVerdict reads the application's answer; what it does not know is a retry.
func toVerdict(s runtimev1.TopicEventResponse_TopicEventResponseStatus) capability.Verdict {
	switch s {
	case runtimev1.TopicEventResponse_SUCCESS:
		return capability.Success
	case runtimev1.TopicEventResponse_DROP:
		return capability.Drop
	}
	return capability.Retry
}
