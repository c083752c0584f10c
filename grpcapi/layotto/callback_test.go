package layotto_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// fakeApp is an application with an AppCallback service on a socket. It keeps
// what it got over restarts.
type fakeApp struct {
	runtimev1.UnimplementedAppCallbackServer
	t    testing.TB
	addr string
	opts []grpc.ServerOption

	mu     sync.Mutex
	server *grpc.Server
	done   chan struct{}
	topics []*runtimev1.TopicSubscription
	answer func(ctx context.Context, e *runtimev1.TopicEventRequest) (*runtimev1.TopicEventResponse, error)
	events chan *runtimev1.TopicEventRequest
}

// newFakeApp makes one that is not up yet; its address is free.
func newFakeApp(t testing.TB) *fakeApp {
	t.Helper()
	a := &fakeApp{t: t, addr: testserver.Addr(t), events: make(chan *runtimev1.TopicEventRequest, 1000)}
	t.Cleanup(a.kill)
	return a
}

func (a *fakeApp) start(topics ...*runtimev1.TopicSubscription) {
	a.t.Helper()
	var l net.Listener
	var err error
	for range 100 { // the port may not be free yet
		if l, err = net.Listen("tcp", a.addr); err == nil {
			break
		}
	}
	if err != nil {
		a.t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.topics = topics
	server, done := grpc.NewServer(a.opts...), make(chan struct{})
	runtimev1.RegisterAppCallbackServer(server, a)
	a.server, a.done = server, done
	go func() {
		defer close(done)
		_ = server.Serve(l) // it is stopped in the end
	}()
}

// kill breaks the application's connections, as a crash does.
func (a *fakeApp) kill() {
	a.mu.Lock()
	server, done := a.server, a.done
	a.server = nil
	a.mu.Unlock()
	if server != nil {
		server.Stop()
		<-done
	}
}

func (a *fakeApp) ListTopicSubscriptions(context.Context, *emptypb.Empty) (*runtimev1.ListTopicSubscriptionsResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return &runtimev1.ListTopicSubscriptionsResponse{Subscriptions: a.topics}, nil
}

func (a *fakeApp) OnTopicEvent(ctx context.Context, e *runtimev1.TopicEventRequest) (*runtimev1.TopicEventResponse, error) {
	a.events <- e
	a.mu.Lock()
	answer := a.answer
	a.mu.Unlock()
	if answer == nil {
		return &runtimev1.TopicEventResponse{}, nil
	}
	return answer(ctx, e)
}

// next returns what comes next, without what until has published.
func (a *fakeApp) next() *runtimev1.TopicEventRequest {
	a.t.Helper()
	timer := time.NewTimer(testTime)
	defer timer.Stop()
	for {
		select {
		case e := <-a.events:
			if !strings.HasPrefix(string(e.GetData()), knocks) {
				return e
			}
		case <-timer.C:
			a.t.Fatal("no event")
			return nil
		}
	}
}

// want receives until the event with these data comes, and no other in between.
func (a *fakeApp) want(data string) *runtimev1.TopicEventRequest {
	a.t.Helper()
	e := a.next()
	if string(e.GetData()) != data {
		a.t.Fatalf("got %q, want %q", e.GetData(), data)
	}
	return e
}

func topic(name string, metadata ...string) *runtimev1.TopicSubscription {
	s := &runtimev1.TopicSubscription{PubsubName: "events", Topic: name, Metadata: map[string]string{}}
	for i := 0; i < len(metadata); i += 2 {
		s.Metadata[metadata[i]] = metadata[i+1]
	}
	return s
}

// serveWithApp serves the API with an application beside it.
func serveWithApp(t testing.TB, a *fakeApp) runtimev1.RuntimeClient {
	t.Helper()
	callback, err := layotto.NewApp(a.addr)
	if err != nil {
		t.Fatal(err)
	}
	p := newEvents(t, callback)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		for range 2 {
			if err := callback.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	client, _ := serve(t, layotto.Config{PubSub: p})
	return client
}

// knocks is how the data of events begin that until publishes.
const knocks = "hello "

// until publishes to a topic until the application gets something: it may not be
// subscribed yet. More of that may come later.
func (a *fakeApp) until(client runtimev1.RuntimeClient, topic string) {
	a.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 3000 {
		publish(a.t, client, topic, knocks+topic)
		select {
		case e := <-a.events:
			if e.GetTopic() != topic {
				continue
			}
			return
		case <-tick.C:
		}
	}
	a.t.Fatalf("the application was never subscribed to %q", topic)
}

func TestCallback(t *testing.T) {
	a := newFakeApp(t)
	client := serveWithApp(t, a)
	publish(t, client, "t", "before anybody subscribed")
	a.start(topic("t"), topic("bad", "maxConcurrency", "none"))
	a.until(client, "t")
	_, err := client.PublishEvent(timeout(t), &runtimev1.PublishEventRequest{
		PubsubName: "events", Topic: "t", Data: []byte("\x89PNG"), DataContentType: "image/png", Metadata: map[string]string{"k": "v"},
	})
	if err != nil {
		t.Fatal(err)
	}
	e := a.want("\x89PNG")
	if e.GetDataContentType() != "image/png" || e.GetTopic() != "t" || e.GetPubsubName() != "events" || e.GetMetadata()["k"] != "v" || e.GetId() == "" || e.GetSource() != "runtime" {
		t.Errorf("event %v", e)
	}
}

func TestCallbackVerdicts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status runtimev1.TopicEventResponse_TopicEventResponseStatus
		err    error
		again  bool
	}{
		{"SUCCESS", runtimev1.TopicEventResponse_SUCCESS, nil, false},
		{"RETRY", runtimev1.TopicEventResponse_RETRY, nil, true},
		{"DROP", runtimev1.TopicEventResponse_DROP, nil, false},
		{"unknown", 42, nil, true},
		{"UNIMPLEMENTED", 0, status.Error(codes.Unimplemented, "no"), false},
		{"INTERNAL", 0, status.Error(codes.Internal, "no"), true},
		{"UNAVAILABLE", 0, status.Error(codes.Unavailable, "no"), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newFakeApp(t)
			client := serveWithApp(t, a)
			a.start(topic("t"))
			a.until(client, "t")
			var once sync.Once
			a.mu.Lock()
			a.answer = func(_ context.Context, e *runtimev1.TopicEventRequest) (*runtimev1.TopicEventResponse, error) {
				resp, err := &runtimev1.TopicEventResponse{}, error(nil)
				if string(e.GetData()) != "judged" {
					return resp, err
				}
				once.Do(func() { resp, err = &runtimev1.TopicEventResponse{Status: tt.status}, tt.err })
				return resp, err
			}
			a.mu.Unlock()
			publish(t, client, "t", "judged")
			id := a.want("judged").GetId()
			if tt.again {
				if a.want("judged").GetId() != id {
					t.Error("the id changed")
				}
			}
			publish(t, client, "t", "after")
			a.want("after")
		})
	}
}

// An application that crashes with an event in its hands gets it again; one that
// comes back with another list gets what it wants now.
func TestCallbackCrash(t *testing.T) {
	a := newFakeApp(t)
	client := serveWithApp(t, a)
	a.start(topic("t"), topic("old"))
	a.until(client, "t")
	a.until(client, "old")
	a.mu.Lock()
	a.answer = func(ctx context.Context, _ *runtimev1.TopicEventRequest) (*runtimev1.TopicEventResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	a.mu.Unlock()
	publish(t, client, "t", "held")
	a.want("held")
	a.kill()
	const more = 20
	for i := range more {
		publish(t, client, "t", fmt.Sprint("while it was down ", i))
	}
	a.mu.Lock()
	a.answer = nil
	a.mu.Unlock()
	a.start(topic("t"), topic("new"))
	got := map[string]int{}
	for len(got) < more+1 {
		got[string(a.next().GetData())]++
	}
	if got["held"] == 0 {
		t.Errorf("what the application held is lost: %v", got)
	}
	a.until(client, "new")
	publish(t, client, "old", "not wanted any more")
	publish(t, client, "t", "last")
	a.want("last")
}

// Without the method there is nothing to get, and no harm.
func TestCallbackUnimplemented(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, done := grpc.NewServer(), make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	defer func() { server.Stop(); <-done }()
	callback, err := layotto.NewApp(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer callback.Close() //nolint:errcheck // checked elsewhere
	session, err := callback.Session(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := callback.Subscriptions(session); err == nil {
		t.Error("no error")
	}
	server.Stop()
	<-session.Done()
}
