package grpcapi_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/grpcapi"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

func TestUnaryCall(t *testing.T) {
	_, cc := serve(t, grpcapi.Options{Services: []grpcapi.Service{&fake{}}})
	for name, opts := range map[string][]grpc.CallOption{"plain": nil, "gzip": {grpc.UseCompressor(gzip.Name)}} {
		resp, err := runtimev1.NewRuntimeClient(cc).SayHello(timeout(t), &runtimev1.SayHelloRequest{Name: "eva"}, opts...)
		if err != nil || resp.GetHello() != "hello eva" {
			t.Errorf("%s: SayHello = %v, %v", name, resp, err)
		}
	}
}

func TestMessageTooLarge(t *testing.T) {
	s := &fake{sayHello: func(_ context.Context, req *runtimev1.SayHelloRequest) (*runtimev1.SayHelloResponse, error) {
		return &runtimev1.SayHelloResponse{Hello: strings.Repeat("x", len(req.GetName())*10)}, nil
	}}
	_, cc := serve(t, grpcapi.Options{Services: []grpcapi.Service{s}, MaxRecvBytes: 1000, MaxSendBytes: 2000})
	client := runtimev1.NewRuntimeClient(cc)
	for size, want := range map[int]codes.Code{100: codes.OK, 500: codes.ResourceExhausted, 1200: codes.ResourceExhausted} {
		_, err := client.SayHello(timeout(t), &runtimev1.SayHelloRequest{Name: strings.Repeat("n", size)})
		if status.Code(err) != want {
			t.Errorf("name of %d bytes: %v, want %v", size, err, want)
		}
	}
}

func TestDefaultMessageLimit(t *testing.T) {
	_, cc := serve(t, grpcapi.Options{Services: []grpcapi.Service{&fake{}}})
	client := runtimev1.NewRuntimeClient(cc)
	for size, want := range map[int]codes.Code{4<<20 - 100: codes.OK, 4<<20 + 1: codes.ResourceExhausted} {
		_, err := client.SayHello(timeout(t), &runtimev1.SayHelloRequest{Name: strings.Repeat("n", size)}, grpc.MaxCallRecvMsgSize(8<<20))
		if status.Code(err) != want {
			t.Errorf("name of %d bytes: %v, want %v", size, status.Code(err), want)
		}
	}
}

func TestPanic(t *testing.T) {
	var out logs
	s := &fake{
		sayHello: func(_ context.Context, req *runtimev1.SayHelloRequest) (*runtimev1.SayHelloResponse, error) {
			if req.GetName() == "boom" {
				panic("unary went wrong")
			}
			return &runtimev1.SayHelloResponse{Hello: "alive"}, nil
		},
		getFile: func(_ *runtimev1.GetFileRequest, s runtimev1.Runtime_GetFileServer) error {
			if err := s.Send(&runtimev1.GetFileResponse{Data: []byte("some")}); err != nil {
				return err
			}
			var nothing *runtimev1.GetFileResponse
			nothing.Data = nil // a nil dereference
			return nil
		},
	}
	_, cc := serve(t, grpcapi.Options{Services: []grpcapi.Service{s}, Log: out.logger()})
	client := runtimev1.NewRuntimeClient(cc)

	t.Run("unary", func(t *testing.T) {
		ctx := metadata.AppendToOutgoingContext(timeout(t), "x-request-id", "req-17")
		var trailer metadata.MD
		_, err := client.SayHello(ctx, &runtimev1.SayHelloRequest{Name: "boom"}, grpc.Trailer(&trailer))
		if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "req-17") {
			t.Errorf("error %v, want INTERNAL with the request id", err)
		}
		if strings.Contains(err.Error(), "went wrong") {
			t.Errorf("error %v tells the client what panicked", err)
		}
		if !slices.Equal(trailer.Get("x-request-id"), []string{"req-17"}) {
			t.Errorf("trailer %v does not have the request id", trailer)
		}
		for _, part := range []string{"req-17", "/spec.proto.runtime.v1.Runtime/SayHello", "unary went wrong", "server_test.go"} {
			if !strings.Contains(out.String(), part) {
				t.Errorf("the log does not have %q:\n%s", part, out.String())
			}
		}
	})
	t.Run("stream", func(t *testing.T) {
		// An id that could forge lines of a log is replaced.
		ctx := metadata.AppendToOutgoingContext(timeout(t), "x-request-id", "forged level=INFO")
		stream, err := client.GetFile(ctx, &runtimev1.GetFileRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if msg, err := stream.Recv(); err != nil || string(msg.GetData()) != "some" {
			t.Errorf("first message %v, %v", msg, err)
		}
		_, err = stream.Recv()
		if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "forged") {
			t.Errorf("error %v, want INTERNAL with an id of our own", err)
		}
		msg := status.Convert(err).Message()
		id := msg[strings.LastIndexByte(msg, ' ')+1:]
		if len(id) < 16 || !strings.Contains(out.String(), "request_id="+id) {
			t.Errorf("the id %q of %q is not in the log:\n%s", id, msg, out.String())
		}
	})
	if resp, err := client.SayHello(timeout(t), &runtimev1.SayHelloRequest{}); err != nil || resp.GetHello() != "alive" {
		t.Errorf("after the panics: %v, %v", resp, err)
	}
}

func TestReflection(t *testing.T) {
	_, cc := serve(t, grpcapi.Options{Services: []grpcapi.Service{layotto.New(layotto.Config{})}})
	want := []string{
		"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
		"spec.proto.extension.v1.cryption.CryptionService", "spec.proto.extension.v1.delay_queue.DelayQueue",
		"spec.proto.extension.v1.email.EmailService", "spec.proto.extension.v1.phone.PhoneCallService",
		"spec.proto.extension.v1.s3.ObjectStorageService", "spec.proto.extension.v1.sms.SmsService",
		"spec.proto.runtime.v1.Lifecycle", "spec.proto.runtime.v1.Runtime",
	}
	t.Run("v1", func(t *testing.T) {
		stream, err := reflectionv1.NewServerReflectionClient(cc).ServerReflectionInfo(timeout(t))
		if err != nil {
			t.Fatal(err)
		}
		ask := func(req *reflectionv1.ServerReflectionRequest) *reflectionv1.ServerReflectionResponse {
			if err := stream.Send(req); err != nil {
				t.Fatal(err)
			}
			resp, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			return resp
		}
		resp := ask(&reflectionv1.ServerReflectionRequest{
			MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
		})
		var got []string
		for _, s := range resp.GetListServicesResponse().GetService() {
			got = append(got, s.GetName())
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("services %q, want %q", got, want)
		}
		// Clients such as grpcurl then ask for the file of each service.
		for _, name := range want {
			resp := ask(&reflectionv1.ServerReflectionRequest{
				MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name},
			})
			if len(resp.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
				t.Errorf("no descriptor for %s: %v", name, resp)
			}
		}
		_ = stream.CloseSend()
	})
	t.Run("v1alpha", func(t *testing.T) {
		// The messages are the same as v1's.
		stream, err := cc.NewStream(timeout(t), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
			"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg(&reflectionv1.ServerReflectionRequest{
			MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
		}); err != nil {
			t.Fatal(err)
		}
		resp := &reflectionv1.ServerReflectionResponse{}
		err = stream.RecvMsg(resp)
		if n := len(resp.GetListServicesResponse().GetService()); err != nil || n != len(want) {
			t.Errorf("%d services, %v; want %d", n, err, len(want))
		}
		_ = stream.CloseSend()
	})
}

func TestHealth(t *testing.T) {
	s, cc := serve(t, grpcapi.Options{Services: []grpcapi.Service{&fake{}}})
	client := healthpb.NewHealthClient(cc)
	check := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for _, name := range []string{"", "spec.proto.runtime.v1.Runtime"} {
			resp, err := client.Check(timeout(t), &healthpb.HealthCheckRequest{Service: name})
			if err != nil || resp.GetStatus() != want {
				t.Errorf("health of %q = %v, %v; want %v", name, resp.GetStatus(), err, want)
			}
		}
	}
	check(healthpb.HealthCheckResponse_SERVING)
	s.SetServing(false)
	check(healthpb.HealthCheckResponse_NOT_SERVING)
	s.SetServing(true)
	check(healthpb.HealthCheckResponse_SERVING)

	if _, err := client.Check(timeout(t), &healthpb.HealthCheckRequest{Service: "no.such.Service"}); status.Code(err) != codes.NotFound {
		t.Errorf("health of an unknown service: %v, want NOT_FOUND", err)
	}

	watch, err := client.Watch(timeout(t), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	next := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		if resp, err := watch.Recv(); err != nil || resp.GetStatus() != want {
			t.Errorf("watch: %v, %v; want %v", resp.GetStatus(), err, want)
		}
	}
	next(healthpb.HealthCheckResponse_SERVING)
	s.SetServing(false)
	next(healthpb.HealthCheckResponse_NOT_SERVING)
	s.SetServing(true)
	next(healthpb.HealthCheckResponse_SERVING)

	// A watch does not hold up the end, and tells it.
	if err := s.Shutdown(timeout(t)); err != nil {
		t.Errorf("Shutdown = %v", err)
	}
	s.SetServing(true) // too late
	next(healthpb.HealthCheckResponse_NOT_SERVING)
	for {
		_, err := watch.Recv()
		if err == nil {
			continue // NOT_SERVING again
		}
		if status.Code(err) != codes.Unavailable {
			t.Errorf("watch ended with %v, want UNAVAILABLE", err)
		}
		return
	}
}

func TestUnknownMethod(t *testing.T) {
	calls := make(chan grpcapi.Call, 10)
	_, cc := serve(t, grpcapi.Options{
		Services: []grpcapi.Service{&fake{}},
		Observe:  func(_ context.Context, c grpcapi.Call) { calls <- c },
	})
	for _, method := range []string{"/no.such.Service/Method", "/spec.proto.runtime.v1.Runtime/NoSuchMethod"} {
		err := cc.Invoke(timeout(t), method, &runtimev1.SayHelloRequest{}, &runtimev1.SayHelloResponse{})
		if status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), method) {
			t.Errorf("%s: %v, want UNIMPLEMENTED and the method's name", method, err)
		}
		if c := wait(t, calls); c.Known || c.Code != codes.Unimplemented || c.FullMethod != method {
			t.Errorf("observed %+v", c)
		}
	}
}

func TestObserve(t *testing.T) {
	calls := make(chan grpcapi.Call, 10)
	s := &fake{
		sayHello: func(_ context.Context, req *runtimev1.SayHelloRequest) (*runtimev1.SayHelloResponse, error) {
			switch req.GetName() {
			case "boom":
				panic("boom")
			case "deadline":
				return nil, context.DeadlineExceeded // gRPC makes a code of it
			case "plain":
				return nil, errors.New("a plain error")
			}
			return &runtimev1.SayHelloResponse{}, nil
		},
		getFile: func(*runtimev1.GetFileRequest, runtimev1.Runtime_GetFileServer) error {
			return status.Error(codes.NotFound, "no such file")
		},
	}
	var out logs
	observe := func(_ context.Context, c grpcapi.Call) {
		calls <- c
		panic("an observer with a defect")
	}
	_, cc := serve(t, grpcapi.Options{Services: []grpcapi.Service{s}, Log: out.logger(), MaxRecvBytes: 1000, Observe: observe})
	client := runtimev1.NewRuntimeClient(cc)
	hello := func(name string) error {
		_, err := client.SayHello(timeout(t), &runtimev1.SayHelloRequest{Name: name})
		return err
	}
	for _, tc := range []struct {
		method string
		call   func() error
		code   codes.Code
	}{
		{"SayHello", func() error { return hello("eva") }, codes.OK},
		{"SayHello", func() error { return hello("boom") }, codes.Internal},
		{"SayHello", func() error { return hello("deadline") }, codes.DeadlineExceeded},
		{"SayHello", func() error { return hello("plain") }, codes.Unknown},
		{"SayHello", func() error { return hello(strings.Repeat("n", 2000)) }, codes.ResourceExhausted},
		{"GetFile", func() error {
			stream, err := client.GetFile(timeout(t), &runtimev1.GetFileRequest{})
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		}, codes.NotFound},
	} {
		if err := tc.call(); status.Code(err) != tc.code {
			t.Errorf("%s: the client saw %v, want %v", tc.method, err, tc.code)
		}
		c := wait(t, calls)
		if c.FullMethod != "/spec.proto.runtime.v1.Runtime/"+tc.method || c.Code != tc.code || !c.Known ||
			c.Duration <= 0 || c.Peer == nil || !strings.HasPrefix(c.Peer.String(), "127.0.0.1:") {
			t.Errorf("observed %+v, want %s %v", c, tc.method, tc.code)
		}
	}
	select {
	case c := <-calls:
		t.Errorf("observed one call too many: %+v", c)
	default:
	}
	if !strings.Contains(out.String(), "an observer with a defect") {
		t.Errorf("the observer's panic is not in the log")
	}
}

func TestInterceptors(t *testing.T) {
	var mu sync.Mutex
	var order []string
	note := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, s)
	}
	unary := func(name string) grpc.UnaryServerInterceptor {
		return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			note(name + " " + info.FullMethod)
			return h(ctx, req)
		}
	}
	stream := func(name string) grpc.StreamServerInterceptor {
		return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) error {
			note(name + " " + info.FullMethod)
			if info.IsClientStream || !info.IsServerStream {
				t.Errorf("%+v is not what GetFile is", info)
			}
			if name == "inner" {
				panic("an interceptor with a defect")
			}
			return h(srv, ss)
		}
	}
	var out logs
	_, cc := serve(t, grpcapi.Options{
		Services: []grpcapi.Service{&fake{}}, Log: out.logger(),
		UnaryInterceptors:  []grpc.UnaryServerInterceptor{unary("outer"), unary("inner")},
		StreamInterceptors: []grpc.StreamServerInterceptor{stream("outer"), stream("inner")},
	})
	client := runtimev1.NewRuntimeClient(cc)
	if _, err := client.SayHello(timeout(t), &runtimev1.SayHelloRequest{}); err != nil {
		t.Error(err)
	}
	files, err := client.GetFile(timeout(t), &runtimev1.GetFileRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := files.Recv(); status.Code(err) != codes.Internal {
		t.Errorf("a panic in an interceptor: %v, want INTERNAL", err)
	}
	const service = "/spec.proto.runtime.v1.Runtime/"
	want := []string{"outer " + service + "SayHello", "inner " + service + "SayHello", "outer " + service + "GetFile", "inner " + service + "GetFile"}
	if !slices.Equal(order, want) {
		t.Errorf("interceptors ran as %q, want %q", order, want)
	}
}

func TestClientCancels(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	calls := make(chan grpcapi.Call, 1)
	s := &fake{sayHello: func(ctx context.Context, _ *runtimev1.SayHelloRequest) (*runtimev1.SayHelloResponse, error) {
		close(began)
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}}
	_, cc := serve(t, grpcapi.Options{Services: []grpcapi.Service{s}, Observe: func(_ context.Context, c grpcapi.Call) { calls <- c }})
	ctx, cancel := context.WithCancel(timeout(t))
	go func() {
		<-began
		cancel()
	}()
	_, err := runtimev1.NewRuntimeClient(cc).SayHello(ctx, &runtimev1.SayHelloRequest{})
	if status.Code(err) != codes.Canceled {
		t.Errorf("the client saw %v, want CANCELED", err)
	}
	if err := wait(t, ended); !errors.Is(err, context.Canceled) {
		t.Errorf("the method's context ended with %v", err)
	}
	if c := wait(t, calls); c.Code != codes.Canceled {
		t.Errorf("observed %+v", c)
	}
}

func TestHostileBytes(t *testing.T) {
	s, cc := serve(t, grpcapi.Options{Services: []grpcapi.Service{&fake{}}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, s, l)
	for _, text := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\xff", 100),
		"\x00\x00\x00",
	} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		_ = c.(*net.TCPConn).CloseWrite() // fails when the server has hung up already
		if err := c.SetReadDeadline(time.Now().Add(testTime)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q: the server does not hang up", text)
		}
		_ = c.Close()
	}
	if _, err := runtimev1.NewRuntimeClient(cc).SayHello(timeout(t), &runtimev1.SayHelloRequest{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

type twice struct{ fake }

func (s *twice) Register(r grpc.ServiceRegistrar) {
	s.fake.Register(r)
	s.fake.Register(r)
}

type mismatch struct{}

func (mismatch) Register(r grpc.ServiceRegistrar) {
	r.RegisterService(&runtimev1.Runtime_ServiceDesc, mismatch{})
}

func TestBadOptions(t *testing.T) {
	for want, opts := range map[string]grpcapi.Options{
		"spec.proto.runtime.v1.Runtime is registered twice":             {Services: []grpcapi.Service{&twice{}}},
		"grpcapi_test.mismatch, which is no runtimev1.RuntimeServer":    {Services: []grpcapi.Service{mismatch{}}},
		"MaxRecvBytes -1, MaxSendBytes 0: a limit must not be negative": {MaxRecvBytes: -1},
		"MaxRecvBytes 0, MaxSendBytes -5: a limit must not be negative": {MaxSendBytes: -5},
		"grpc.health.v1.Health is registered twice: list it once":       {Services: []grpcapi.Service{ownHealth{}}},
	} {
		if s, err := grpcapi.New(opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, %v; want an error with %q", s, err, want)
		}
	}
}

type ownHealth struct {
	healthpb.UnimplementedHealthServer
}

func (h ownHealth) Register(r grpc.ServiceRegistrar) { healthpb.RegisterHealthServer(r, h) }
