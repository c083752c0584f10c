package http2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// testService is the server of gRPC's interoperability tests, as far as these
// tests use it.
type testService struct {
	pb.UnimplementedTestServiceServer
	// ended takes the error of the context of each call that waits for its end.
	ended chan error
}

func (s *testService) EmptyCall(ctx context.Context, _ *pb.Empty) (*pb.Empty, error) {
	if _, ok := ctx.Deadline(); ok {
		<-ctx.Done()
		s.ended <- ctx.Err()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	return &pb.Empty{}, nil
}

func (s *testService) UnaryCall(ctx context.Context, req *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		_ = grpc.SetHeader(ctx, metadata.Pairs("x-initial", fmt.Sprint(md["x-initial"])))
		_ = grpc.SetTrailer(ctx, metadata.Pairs("x-trailing-bin", fmt.Sprint(md["x-trailing-bin"])))
	}
	if st := req.ResponseStatus; st != nil {
		return nil, status.Error(codes.Code(st.Code), st.Message)
	}
	return &pb.SimpleResponse{Payload: &pb.Payload{Body: make([]byte, req.ResponseSize)}}, nil
}

func (s *testService) StreamingInputCall(in grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error {
	total := 0
	for {
		m, err := in.Recv()
		if errors.Is(err, io.EOF) {
			return in.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: int32(total)})
		}
		if err != nil {
			s.ended <- in.Context().Err()
			return err
		}
		total += len(m.Payload.Body)
	}
}

func (s *testService) StreamingOutputCall(req *pb.StreamingOutputCallRequest, out grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
	for _, p := range req.ResponseParameters {
		if err := out.Send(&pb.StreamingOutputCallResponse{Payload: &pb.Payload{Body: make([]byte, p.Size)}}); err != nil {
			return err
		}
	}
	return nil
}

func (s *testService) FullDuplexCall(both grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
	for {
		m, err := both.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			s.ended <- both.Context().Err()
			return err
		}
		if st := m.ResponseStatus; st != nil {
			return status.Error(codes.Code(st.Code), st.Message)
		}
		for _, p := range m.ResponseParameters {
			if err := both.Send(&pb.StreamingOutputCallResponse{Payload: &pb.Payload{Body: make([]byte, p.Size)}}); err != nil {
				return err
			}
		}
	}
}

// forward sends each request to a host, over connections that it opens as needed.
type forward struct {
	t    testing.TB
	addr string
	mu   sync.Mutex
	all  []*client
}

func (f *forward) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	if req.Timeout > 0 {
		req.Limit(req.Info.Start.Add(req.Timeout))
	}
	for range 10 {
		cl, err := f.pick()
		if err != nil {
			return nil, err
		}
		resp, err := cl.Handle(ctx, req)
		if err == nil || !stream.AsError(err).Retry || !errors.Is(err, errGoAway) && stream.AsError(err).Kind != stream.Overload {
			return resp, err
		}
	}
	return nil, stream.Errorf(stream.Overload, stream.Local, "no connection has room")
}

func (f *forward) pick() (*client, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, cl := range f.all {
		if cl.room() > 0 {
			return cl, nil
		}
	}
	nc, err := net.Dial("tcp", f.addr)
	if err != nil {
		return nil, &stream.Error{Kind: stream.Connect, Side: stream.Upstream, Err: err}
	}
	cl := dial(f.t, nc)
	f.all = append(f.all, cl)
	return cl, nil
}

// grpcThrough starts a server of gRPC and returns a client that reaches it
// through our server and client.
func grpcThrough(t testing.TB, wrap ...stream.Filter) (pb.TestServiceClient, *testService, *grpc.ClientConn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	svc := &testService{ended: make(chan error, 100)}
	gs := grpc.NewServer(grpc.MaxConcurrentStreams(300))
	pb.RegisterTestServiceServer(gs, svc)
	served := make(chan struct{})
	go func() { defer close(served); _ = gs.Serve(l) }()
	t.Cleanup(func() { gs.Stop(); <-served })

	h := stream.Chain(&forward{t: t, addr: l.Addr().String()}, wrap...)
	addr := listen(t, protocol.ServerOptions{}, h.Handle)
	cc, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return pb.NewTestServiceClient(cc), svc, cc
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func wanted(sizes ...int) *pb.StreamingOutputCallRequest {
	req := &pb.StreamingOutputCallRequest{}
	for _, n := range sizes {
		req.ResponseParameters = append(req.ResponseParameters, &pb.ResponseParameters{Size: int32(n)})
	}
	return req
}

func TestGRPCUnary(t *testing.T) {
	tc, _, cc := grpcThrough(t)
	ctx := context.Background() // with a deadline, EmptyCall would wait
	if _, err := tc.EmptyCall(ctx, &pb.Empty{}); err != nil {
		t.Fatal(err)
	}
	md := metadata.Pairs("x-initial", "a", "x-trailing-bin", "\x00\xab")
	var head, tail metadata.MD
	reply, err := tc.UnaryCall(metadata.NewOutgoingContext(ctx, md), &pb.SimpleRequest{
		ResponseSize: 314159, Payload: &pb.Payload{Body: make([]byte, 271828)},
	}, grpc.Header(&head), grpc.Trailer(&tail))
	if err != nil || len(reply.Payload.Body) != 314159 {
		t.Fatal(err)
	}
	if head.Get("x-initial")[0] != "[a]" || tail.Get("x-trailing-bin")[0] != "[\x00\xab]" {
		t.Fatal(head, tail)
	}
	const special = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
	for _, want := range []string{"test status message", special} {
		_, err = tc.UnaryCall(ctx, &pb.SimpleRequest{ResponseStatus: &pb.EchoStatus{Code: 2, Message: want}})
		if st := status.Convert(err); st.Code() != codes.Unknown || st.Message() != want {
			t.Fatal(err)
		}
	}
	if _, err := tc.UnimplementedCall(ctx, &pb.Empty{}); status.Code(err) != codes.Unimplemented {
		t.Fatal(err)
	}
	if _, err := pb.NewUnimplementedServiceClient(cc).UnimplementedCall(ctx, &pb.Empty{}); status.Code(err) != codes.Unimplemented {
		t.Fatal(err)
	}
}

func TestGRPCStreams(t *testing.T) {
	tc, _, _ := grpcThrough(t)
	ctx := soon(t)
	in, err := tc.StreamingInputCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{27182, 8, 1828, 45904} {
		if err := in.Send(&pb.StreamingInputCallRequest{Payload: &pb.Payload{Body: make([]byte, n)}}); err != nil {
			t.Fatal(err)
		}
	}
	if sum, err := in.CloseAndRecv(); err != nil || sum.AggregatedPayloadSize != 74922 {
		t.Fatal(sum, err)
	}
	out, err := tc.StreamingOutputCall(ctx, wanted(31415, 9, 2653, 58979))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{31415, 9, 2653, 58979} {
		if m, err := out.Recv(); err != nil || len(m.Payload.Body) != n {
			t.Fatal(err)
		}
	}
	if _, err := out.Recv(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

// Each message comes back before the next is sent.
func TestGRPCPingPong(t *testing.T) {
	tc, _, _ := grpcThrough(t)
	both, err := tc.FullDuplexCall(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{31415, 9, 2653, 58979, 1 << 20} {
		if err := both.Send(wanted(n)); err != nil {
			t.Fatal(err)
		}
		if m, err := both.Recv(); err != nil || len(m.Payload.Body) != n {
			t.Fatal(err)
		}
	}
	_ = both.CloseSend()
	if _, err := both.Recv(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	empty, err := tc.FullDuplexCall(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	_ = empty.CloseSend()
	if _, err := empty.Recv(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	// The host ends the call while the caller could go on.
	early, err := tc.FullDuplexCall(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	_ = early.Send(&pb.StreamingOutputCallRequest{ResponseStatus: &pb.EchoStatus{Code: 9, Message: "enough"}})
	if _, err := early.Recv(); status.Code(err) != codes.FailedPrecondition {
		t.Fatal(err)
	}
}

func TestGRPCDeadline(t *testing.T) {
	tc, svc, _ := grpcThrough(t)
	exceeded(t, svc, func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		_, err := tc.EmptyCall(ctx, &pb.Empty{})
		return err
	})
}

// exceeded makes a call with a limit that it does not keep, and checks what it
// fails with and that the host's ends. On a busy machine the time may be over
// before the host is asked: then it makes another.
func exceeded(t *testing.T, svc *testService, call func(limit time.Duration) error) {
	t.Helper()
	for limit := 50 * time.Millisecond; limit < time.Minute; limit *= 3 {
		if err := call(limit); status.Code(err) != codes.DeadlineExceeded {
			t.Fatal(err)
		}
		wait := time.NewTimer(limit)
		select {
		case err := <-svc.ended:
			if err == nil {
				t.Fatal("the host's call went on")
			}
			return
		case <-wait.C:
		}
	}
	t.Fatal("the host was never asked, or its call went on")
}

// The proxy's own deadline is answered as gRPC has it.
func TestGRPCDeadlineOfTheProxy(t *testing.T) {
	var least atomic.Int64
	tc, svc, _ := grpcThrough(t, func(next stream.Handler) stream.Handler {
		return stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			req.Limit(time.Now().Add(time.Duration(least.Load())))
			return next.Handle(ctx, req)
		})
	})
	exceeded(t, svc, func(limit time.Duration) error {
		least.Store(int64(limit))
		_, err := tc.EmptyCall(soon(t), &pb.Empty{})
		return err
	})
}

func TestGRPCCancel(t *testing.T) {
	tc, svc, _ := grpcThrough(t)
	ctx, cancel := context.WithCancel(soon(t))
	in, err := tc.StreamingInputCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_ = in.Send(&pb.StreamingInputCallRequest{Payload: &pb.Payload{Body: make([]byte, 10)}})
	cancel()
	if _, err := in.CloseAndRecv(); status.Code(err) != codes.Canceled {
		t.Fatal(err)
	}
	// Cancelled before it was sent, the call may never have reached the host.
	select {
	case err := <-svc.ended:
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	case <-time.After(100 * time.Millisecond):
	}

	ctx, cancel = context.WithCancel(soon(t))
	both, err := tc.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_ = both.Send(wanted(100))
	if _, err := both.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := both.Recv(); status.Code(err) != codes.Canceled {
		t.Fatal(err)
	}
	if err := <-svc.ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestGRPCErrorsOfTheProxy(t *testing.T) {
	for kind, want := range map[stream.Kind]codes.Code{
		stream.Timeout: codes.DeadlineExceeded, stream.NoRoute: codes.Unimplemented, stream.Connect: codes.Unavailable,
		stream.NoHost: codes.Unavailable, stream.NoCluster: codes.Unavailable, stream.Overload: codes.Unavailable,
		stream.Stopping: codes.Unavailable, stream.Reset: codes.Unavailable, stream.Canceled: codes.Canceled,
		stream.TooLarge: codes.ResourceExhausted, stream.Denied: codes.PermissionDenied, stream.Internal: codes.Internal,
		stream.BadMessage: codes.Internal,
	} {
		t.Run(kind.String(), func(t *testing.T) {
			tc, _, _ := grpcThrough(t, func(stream.Handler) stream.Handler {
				return stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) {
					return nil, stream.Errorf(kind, stream.Local, "secret")
				})
			})
			_, err := tc.EmptyCall(soon(t), &pb.Empty{})
			if st := status.Convert(err); st.Code() != want || st.Message() != kind.String() {
				t.Fatal(err)
			}
		})
	}
}

func TestGRPCManyStreams(t *testing.T) {
	tc, _, _ := grpcThrough(t)
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			both, err := tc.FullDuplexCall(soon(t))
			if err != nil {
				t.Error(err)
				return
			}
			for range 3 {
				if err := both.Send(wanted(1000)); err != nil {
					t.Error(err)
					return
				}
				if _, err := both.Recv(); err != nil {
					t.Error(err)
					return
				}
			}
			_ = both.CloseSend()
			if _, err := both.Recv(); !errors.Is(err, io.EOF) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// 64 MB in each direction, while memory stays where it is.
func TestGRPCBigStreamConstantMemory(t *testing.T) {
	tc, _, _ := grpcThrough(t)
	both, err := tc.FullDuplexCall(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	const size, count = 64 << 10, 1024
	req := wanted(size)
	req.Payload = &pb.Payload{Body: bytes.Repeat([]byte{1}, size)}
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	go func() {
		for range count {
			if both.Send(req) != nil {
				return
			}
		}
		_ = both.CloseSend()
	}()
	for i := range count {
		m, err := both.Recv()
		if err != nil || len(m.Payload.Body) != size {
			t.Fatal(i, err)
		}
		if i%256 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			if grown := int64(now.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
				t.Fatalf("the heap has grown by %d bytes after %d messages", grown, i)
			}
		}
	}
}
