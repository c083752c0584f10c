package runtime_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// subscriber is an application with one subscription.
type subscriber struct {
	runtimev1.UnimplementedAppCallbackServer
	asked  chan struct{}
	handle func(ctx context.Context, e *runtimev1.TopicEventRequest) error
}

func (s *subscriber) ListTopicSubscriptions(context.Context, *emptypb.Empty) (*runtimev1.ListTopicSubscriptionsResponse, error) {
	s.asked <- struct{}{}
	return &runtimev1.ListTopicSubscriptionsResponse{Subscriptions: []*runtimev1.TopicSubscription{{PubsubName: "events", Topic: "orders"}}}, nil
}

func (s *subscriber) OnTopicEvent(ctx context.Context, e *runtimev1.TopicEventRequest) (*runtimev1.TopicEventResponse, error) {
	return &runtimev1.TopicEventResponse{}, s.handle(ctx, e)
}

// serve serves the application and returns its port.
func (s *subscriber) serve(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, done := grpc.NewServer(), make(chan struct{})
	runtimev1.RegisterAppCallbackServer(server, s)
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
	return l.Addr().(*net.TCPAddr).Port
}

// TestStopDuringDelivery: what an application is doing when the runtime stops, it
// may finish, and the API answers it meanwhile.
func TestStopDuringDelivery(t *testing.T) {
	began, stopping, result := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var client runtimev1.RuntimeClient
	app := &subscriber{asked: make(chan struct{}, 10)}
	app.handle = func(ctx context.Context, _ *runtimev1.TopicEventRequest) error {
		close(began)
		<-stopping
		_, err := client.SaveState(ctx, &runtimev1.SaveStateRequest{StoreName: "orders", States: []*runtimev1.StateItem{{Key: "k", Value: []byte("v")}}})
		result <- err
		return err
	}
	rt := runtimetest.Start(t, fmt.Sprintf(`
runtime:
  listen: 127.0.0.1:0
  app: {app_id: shop, grpc_callback_port: %d}
  state: {orders: {type: in-memory}}
  pub_subs: {events: {type: in-memory}}
`, app.serve(t)))
	client = runtimev1.NewRuntimeClient(rt.Client(t))
	<-app.asked
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !rt.Log.Contains("the application is subscribed") {
		<-tick.C
	}
	if _, err := client.PublishEvent(ctx, &runtimev1.PublishEventRequest{PubsubName: "events", Topic: "orders", Data: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	<-began
	stopped := make(chan error, 1)
	go func() { stopped <- rt.Stop() }()
	for !rt.Log.Contains("subscriptions end") {
		select {
		case err := <-stopped:
			t.Fatalf("the runtime has stopped while an event was being handled: %v", err)
		case <-tick.C:
		}
	}
	close(stopping)
	if err := <-result; err != nil {
		t.Errorf("a call of the application during the stop: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
