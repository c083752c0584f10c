package grpcapi_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/ottavo-runtime/ottavo/grpcapi"
	"github.com/ottavo-runtime/ottavo/internal/logtest"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// testTime bounds every wait of these tests.
const testTime = time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a service whose methods a test fills in.
type fake struct {
	runtimev1.UnimplementedRuntimeServer
	sayHello  func(context.Context, *runtimev1.SayHelloRequest) (*runtimev1.SayHelloResponse, error)
	getFile   func(*runtimev1.GetFileRequest, runtimev1.Runtime_GetFileServer) error
	subscribe func(runtimev1.Runtime_SubscribeTopicEventsServer) error
}

func (f *fake) Register(r grpc.ServiceRegistrar) { runtimev1.RegisterRuntimeServer(r, f) }

func (f *fake) SayHello(ctx context.Context, req *runtimev1.SayHelloRequest) (*runtimev1.SayHelloResponse, error) {
	if f.sayHello == nil {
		return &runtimev1.SayHelloResponse{Hello: "hello " + req.GetName()}, nil
	}
	return f.sayHello(ctx, req)
}

func (f *fake) GetFile(req *runtimev1.GetFileRequest, s runtimev1.Runtime_GetFileServer) error {
	return f.getFile(req, s)
}

func (f *fake) SubscribeTopicEvents(s runtimev1.Runtime_SubscribeTopicEventsServer) error {
	return f.subscribe(s)
}

// logs is a logger's output.
type logs struct{ logtest.Log }

func (l *logs) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// newServer makes a server that the end of the test shuts down.
func newServer(t testing.TB, opts grpcapi.Options) *grpcapi.Server {
	t.Helper()
	s, err := grpcapi.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTime)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil && !t.Failed() {
			t.Logf("shutdown at the end of the test: %v", err)
		}
	})
	return s
}

// serve makes a server of these services on a TCP socket and connects to it.
func serve(t testing.TB, opts grpcapi.Options) (*grpcapi.Server, *grpc.ClientConn) {
	t.Helper()
	s := newServer(t, opts)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, s, l)
	return s, dial(t, l.Addr().String())
}

// serveOn serves l until the end of the test.
func serveOn(t testing.TB, s *grpcapi.Server, l net.Listener) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTime)
		defer cancel()
		_ = s.Shutdown(ctx) // the error is the test's business
		if err := wait(t, done); err != nil {
			t.Errorf("Serve = %v, want nil after Shutdown", err)
		}
	})
}

func dial(t testing.TB, target string, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	cc, err := grpc.NewClient(target, append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}

// wait returns what ch delivers, soon.
func wait[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	timer := time.NewTimer(testTime)
	defer timer.Stop()
	select {
	case v := <-ch:
		return v
	case <-timer.C:
		t.Fatal("nothing happened for too long")
		panic("unreachable")
	}
}

func timeout(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTime)
	t.Cleanup(cancel)
	return ctx
}
