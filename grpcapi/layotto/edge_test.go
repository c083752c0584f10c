package layotto_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/hello"
	"github.com/ottavo-runtime/ottavo/components/hello/greeting"
	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/memory"
	"github.com/ottavo-runtime/ottavo/grpcapi"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

const testTime = time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve serves the API on a TCP socket and returns a client of it.
func serve(t testing.TB, cfg layotto.Config) (runtimev1.RuntimeClient, *grpc.ClientConn) {
	t.Helper()
	s, err := grpcapi.New(grpcapi.Options{
		Services: []grpcapi.Service{layotto.New(cfg)}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	cc, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTime)
		defer cancel()
		_ = cc.Close()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return runtimev1.NewRuntimeClient(cc), cc
}

func timeout(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTime)
	t.Cleanup(cancel)
	return ctx
}

// wantStatus fails unless err has that code and text, and an ErrorInfo with that
// reason; it returns the ErrorInfo. With no reason it does not look for one.
func wantStatus(t *testing.T, err error, code codes.Code, text, reason string) *errdetails.ErrorInfo {
	t.Helper()
	s := status.Convert(err)
	if s.Code() != code || s.Message() != text {
		t.Errorf("status %v %q\nwant   %v %q", s.Code(), s.Message(), code, text)
	}
	for _, d := range s.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			if info.GetReason() != reason || info.GetDomain() != "ottavo" {
				t.Errorf("details %v, want reason %q", info, reason)
			}
			return info
		}
	}
	if reason != "" {
		t.Errorf("no ErrorInfo in the details of %v", err)
	}
	return nil
}

func newStore(t testing.TB) state.Store {
	t.Helper()
	s, err := memory.New(t.Context(), components.Env{}, components.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// states returns a Config with these stores.
func states(stores map[string]state.Store) layotto.Config {
	all := map[string]capability.StateStore{}
	for name, s := range stores {
		all[name] = capability.StateStore{Store: s, Type: "in-memory"}
	}
	return layotto.Config{State: capability.NewState(all)}
}

type invoker func(ctx context.Context, req *rpc.Request) (*rpc.Response, error)

func (i invoker) Invoke(ctx context.Context, req *rpc.Request) (*rpc.Response, error) {
	return i(ctx, req)
}
func (invoker) Close() error { return nil }

func invokers(i invoker) layotto.Config {
	return layotto.Config{RPC: capability.NewRPC(map[string]rpc.Invoker{"mosn": i})}
}

func greeters(t testing.TB) layotto.Config {
	t.Helper()
	g, err := greeting.New(t.Context(), components.Env{}, components.Config{Rest: map[string]any{"hello": "greeting"}})
	if err != nil {
		t.Fatal(err)
	}
	return layotto.Config{Hello: capability.NewHello(map[string]hello.Greeter{"demo": g})}
}

func insecureCreds() credentials.TransportCredentials { return insecure.NewCredentials() }
