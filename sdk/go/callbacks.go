package ottavo

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// Callbacks is the server by which an application gets events that the runtime
// brings: the runtime's configuration says where it listens (app.grpc_callback_port).
// Unlike Subscribe it needs a port, and no loop of the application's: the runtime
// asks for the list of topics, and again when the application has been restarted.
//
// Topics are added by On before Serve.
type Callbacks struct {
	// StopTimeout is how long Serve waits at its end for handlers. 0 is ten seconds.
	StopTimeout time.Duration

	mu       sync.Mutex
	serving  bool
	list     []*runtimev1.TopicSubscription
	handlers map[topic]Handler
}

type topic struct{ pubSub, name string }

// On has the events of a broker's topic handled, several at a time. The metadata go to the
// broker. At most one handler may be given to a topic, and none after Serve.
func (c *Callbacks) On(pubSub, topicName string, handle Handler, metadata ...map[string]string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := topic{pubSub, topicName}
	switch {
	case c.serving:
		return fmt.Errorf("ottavo: topic %q of %q: the runtime has the list already: call On before Serve", topicName, pubSub)
	case c.handlers[key] != nil:
		return fmt.Errorf("ottavo: topic %q of %q has a handler already", topicName, pubSub)
	}
	if c.handlers == nil {
		c.handlers = make(map[topic]Handler)
	}
	c.handlers[key] = handle
	c.list = append(c.list, &runtimev1.TopicSubscription{PubsubName: pubSub, Topic: topicName, Metadata: first(metadata)})
	return nil
}

// ListenAndServe is Serve on a TCP address, such as "127.0.0.1:9999".
func (c *Callbacks) ListenAndServe(ctx context.Context, address string, opts ...grpc.ServerOption) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("ottavo: callbacks: %w", err)
	}
	return c.Serve(ctx, l, opts...)
}

// Serve answers the runtime until ctx ends; then it takes nothing new, waits for
// the handlers that run, and returns nil. The listener is closed in any case. It may be
// called once.
func (c *Callbacks) Serve(ctx context.Context, l net.Listener, opts ...grpc.ServerOption) error {
	c.mu.Lock()
	c.serving = true
	c.mu.Unlock()
	server := grpc.NewServer(opts...)
	runtimev1.RegisterAppCallbackServer(server, &callbackServer{list: c.list, handlers: c.handlers})
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("ottavo: callbacks: %w", err)
	case <-ctx.Done():
	}
	timeout := c.StopTimeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	timer := time.AfterFunc(timeout, server.Stop) // ends the handlers' contexts
	server.GracefulStop()
	timer.Stop()
	if err := <-served; err != nil {
		return fmt.Errorf("ottavo: callbacks: %w", err)
	}
	return nil
}

// callbackServer answers spec.proto.runtime.v1.AppCallback.
type callbackServer struct {
	runtimev1.UnimplementedAppCallbackServer
	list     []*runtimev1.TopicSubscription
	handlers map[topic]Handler
}

// ListTopicSubscriptions tells the runtime which topics there are handlers for.
func (s *callbackServer) ListTopicSubscriptions(context.Context, *emptypb.Empty) (*runtimev1.ListTopicSubscriptionsResponse, error) {
	return &runtimev1.ListTopicSubscriptionsResponse{Subscriptions: slices.Clone(s.list)}, nil
}

// OnTopicEvent handles an event.
func (s *callbackServer) OnTopicEvent(ctx context.Context, req *runtimev1.TopicEventRequest) (*runtimev1.TopicEventResponse, error) {
	handle := s.handlers[topic{req.GetPubsubName(), req.GetTopic()}]
	if handle == nil {
		// UNIMPLEMENTED would drop it; it may be for the next version of this program.
		return nil, status.Errorf(codes.NotFound, "topic %q of %q has no handler here", req.GetTopic(), req.GetPubsubName())
	}
	return verdict(handle(ctx, newEvent(req))), nil
}
