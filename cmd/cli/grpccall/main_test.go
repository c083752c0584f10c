package grpccall_test

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/ottavo-runtime/ottavo/cmd/cli/grpccall"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTime bounds a wait in a test.
const testTime = time.Minute

func timeout(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTime)
	t.Cleanup(cancel)
	return ctx
}

// fake is a server with a method of each kind.
type fake struct {
	runtimev1.UnimplementedRuntimeServer
	requests chan string // what GetFile and SayHello were asked for
}

// SayHello answers with the data it got, and fails on the name "fail".
func (f *fake) SayHello(ctx context.Context, req *runtimev1.SayHelloRequest) (*runtimev1.SayHelloResponse, error) {
	f.requests <- req.GetName()
	md, _ := metadata.FromIncomingContext(ctx)
	_ = grpc.SetHeader(ctx, metadata.Pairs("echo", first(md.Get("x-test")), "raw-bin", "\x00\xff"))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("end", "reached"))
	switch req.GetName() {
	case "fail":
		s, err := status.New(codes.NotFound, "no such thing").WithDetails(
			&errdetails.ErrorInfo{Reason: "GONE", Domain: "test", Metadata: map[string]string{"k": "v"}})
		if err != nil {
			return nil, err
		}
		p := s.Proto()
		p.Details = append(p.Details, &anypb.Any{TypeUrl: "example.test/un.Known", Value: []byte{0xff, 0xfe}})
		return nil, status.FromProto(p).Err()
	case "wait":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &runtimev1.SayHelloResponse{Hello: "hello " + req.GetName(), Data: req.GetData()}, nil
}

// GetFile streams its name, letter by letter.
func (f *fake) GetFile(req *runtimev1.GetFileRequest, s runtimev1.Runtime_GetFileServer) error {
	f.requests <- req.GetName()
	for _, b := range []byte(req.GetName()) {
		if err := s.Send(&runtimev1.GetFileResponse{Data: []byte{b}}); err != nil {
			return err
		}
	}
	if req.GetStoreName() == "torn" {
		return status.Error(codes.DataLoss, "torn off")
	}
	return nil
}

// PutFile reads everything, and refuses the store "full" at once.
func (f *fake) PutFile(s runtimev1.Runtime_PutFileServer) error {
	for n := 0; ; n++ {
		req, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return s.SendAndClose(nil)
		}
		if err != nil {
			f.requests <- "broken: " + status.Code(err).String()
			return err
		}
		if req.GetStoreName() == "full" {
			return status.Error(codes.ResourceExhausted, "no room")
		}
		f.requests <- string(req.GetData())
	}
}

// SubscribeConfiguration answers each request with its store's name.
func (f *fake) SubscribeConfiguration(s runtimev1.Runtime_SubscribeConfigurationServer) error {
	for {
		req, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.Send(&runtimev1.SubscribeConfigurationResponse{StoreName: req.GetStoreName()}); err != nil {
			return err
		}
	}
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// serve starts a server, on a unix socket if the network says so, and returns its
// address.
func serve(t testing.TB, network string, register func(*grpc.Server)) string {
	t.Helper()
	address, listen := "", "127.0.0.1:0"
	if network == "unix" {
		listen = filepath.Join(t.TempDir(), "s.sock")
		address = "unix:" + listen
	}
	l, err := net.Listen(network, listen)
	if err != nil {
		t.Fatal(err)
	}
	if address == "" {
		address = l.Addr().String()
	}
	s := grpc.NewServer()
	register(s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
	return address
}

// serveFake serves a fake with reflection, and a second service whose name ends
// as the first one's.
func serveFake(t testing.TB) (*fake, *grpccall.Client) {
	t.Helper()
	f := &fake{requests: make(chan string, 100)}
	return f, client(t, serve(t, "tcp", func(s *grpc.Server) {
		runtimev1.RegisterRuntimeServer(s, f)
		runtimev1.RegisterLifecycleServer(s, runtimev1.UnimplementedLifecycleServer{})
		s.RegisterService(&grpc.ServiceDesc{ServiceName: "other.v1.Lifecycle", HandlerType: (*any)(nil)}, nil)
		reflection.Register(s)
	}))
}

func client(t testing.TB, address string) *grpccall.Client {
	t.Helper()
	c, err := grpccall.New(grpccall.Options{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
