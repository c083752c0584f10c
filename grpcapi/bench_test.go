package grpcapi_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/memory"
	"github.com/ottavo-runtime/ottavo/grpcapi"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// callFunc is the handler of one method as gRPC's server calls it, past the wire.
type callFunc func(ctx context.Context, dec func(any) error) (any, error)

// catcher catches what the guard has made of a service's methods.
type catcher map[string]callFunc

func (c catcher) RegisterService(desc *grpc.ServiceDesc, impl any) {
	for _, m := range desc.Methods {
		c[m.MethodName] = func(ctx context.Context, dec func(any) error) (any, error) { return m.Handler(impl, ctx, dec, nil) }
	}
}

// api returns the Layotto API over an in-memory store that has a 1 KB value
// under "key", and an invoker that answers 1 KB.
func api(b *testing.B) *layotto.API {
	b.Helper()
	store, err := memory.New(b.Context(), components.Env{}, components.Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	if err := store.Write(b.Context(), state.Op{Key: "key", Value: make([]byte, 1024)}); err != nil {
		b.Fatal(err)
	}
	return layotto.New(layotto.Config{
		State: capability.NewState(map[string]capability.StateStore{"s": {Store: store}}),
		RPC:   capability.NewRPC(map[string]rpc.Invoker{"mosn": kilobyte{}}),
	})
}

type kilobyte struct{}

func (kilobyte) Invoke(context.Context, *rpc.Request) (*rpc.Response, error) {
	return &rpc.Response{
		Status: 200, ContentType: "text/plain", Data: make([]byte, 1024),
		Header: []rpc.Pair{{Name: "Date", Value: "Thu, 01 Jan 1970 00:00:00 GMT"}},
	}, nil
}
func (kilobyte) Close() error { return nil }

// BenchmarkStateGet is what a GetState costs between gRPC and the store.
func BenchmarkStateGet(b *testing.B) {
	methods := catcher{}
	api(b).Register(methods)
	dec := func(v any) error {
		req := v.(*runtimev1.GetStateRequest)
		req.StoreName, req.Key = "s", "key"
		return nil
	}
	get := methods["GetState"]
	b.ReportAllocs()
	for b.Loop() {
		if resp, err := get(b.Context(), dec); err != nil || len(resp.(*runtimev1.GetStateResponse).GetData()) != 1024 {
			b.Fatal(resp, err)
		}
	}
}

// BenchmarkUnary is one call over a socket; /handler is gRPC's own server, to
// compare with.
func BenchmarkUnary(b *testing.B) {
	grpcOwn := func(b *testing.B) *grpc.ClientConn {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		s := grpc.NewServer()
		api(b).Register(s)
		go func() { _ = s.Serve(l) }()
		b.Cleanup(s.Stop)
		return dial(b, l.Addr().String())
	}
	ours := func(opts grpcapi.Options) func(b *testing.B) *grpc.ClientConn {
		return func(b *testing.B) *grpc.ClientConn {
			opts.Services = []grpcapi.Service{api(b)}
			_, cc := serve(b, opts)
			return cc
		}
	}
	observed := grpcapi.Options{Observe: func(_ context.Context, c grpcapi.Call) {
		if c.Code != codes.OK {
			panic(c)
		}
	}}
	calls := map[string]func(context.Context, runtimev1.RuntimeClient) error{
		"GetState": func(ctx context.Context, c runtimev1.RuntimeClient) error {
			_, err := c.GetState(ctx, &runtimev1.GetStateRequest{StoreName: "s", Key: "key"})
			return err
		},
		"InvokeService": func(ctx context.Context, c runtimev1.RuntimeClient) error {
			_, err := c.InvokeService(ctx, invocation)
			return err
		},
	}
	for _, server := range []struct {
		name string
		dial func(b *testing.B) *grpc.ClientConn
	}{{"grpc", grpcOwn}, {"ottavo", ours(grpcapi.Options{})}, {"ottavo-observed", ours(observed)}} {
		for _, method := range []string{"GetState", "InvokeService"} {
			for _, inFlight := range []int{1, 64} {
				b.Run(fmt.Sprintf("%s/%s/%d", method, server.name, inFlight), func(b *testing.B) {
					client := runtimev1.NewRuntimeClient(server.dial(b))
					if err := calls[method](b.Context(), client); err != nil {
						b.Fatal(err)
					}
					b.ReportAllocs()
					b.SetParallelism(max(1, inFlight/runtime.GOMAXPROCS(0)))
					if inFlight == 1 {
						for b.Loop() {
							if err := calls[method](b.Context(), client); err != nil {
								b.Fatal(err)
							}
						}
						return
					}
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							if err := calls[method](b.Context(), client); err != nil {
								b.Error(err)
								return
							}
						}
					})
				})
			}
		}
	}
}

var invocation = &runtimev1.InvokeServiceRequest{Id: "svc", Message: &runtimev1.CommonInvokeRequest{
	Method: "/" + strings.Repeat("m", 10), ContentType: "text/plain",
}}

// BenchmarkIdleConnection reports what an idle connection costs the server, its
// goroutines' stacks included.
func BenchmarkIdleConnection(b *testing.B) {
	s := newServer(b, grpcapi.Options{Services: []grpcapi.Service{&fake{}}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	serveOn(b, s, l)
	const conns = 500
	used := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	for b.Loop() {
		before := used()
		var open []net.Conn
		for range conns {
			open = append(open, greet(b, l.Addr().String()))
		}
		b.ReportMetric(float64(used()-before)/conns, "B/conn")
		for _, c := range open {
			_ = c.Close()
		}
	}
}

// greet opens a connection that has said the least that makes it an HTTP/2 one.
func greet(b *testing.B, addr string) net.Conn {
	b.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(testTime)); err != nil {
		b.Fatal(err)
	}
	if _, err := c.Write([]byte(http2.ClientPreface)); err != nil {
		b.Fatal(err)
	}
	f := http2.NewFramer(c, c)
	if err := f.WriteSettings(); err != nil {
		b.Fatal(err)
	}
	for { // until it has answered
		frame, err := f.ReadFrame()
		if err != nil {
			b.Fatal(err)
		}
		if s, ok := frame.(*http2.SettingsFrame); ok && s.IsAck() {
			return c
		}
	}
}
