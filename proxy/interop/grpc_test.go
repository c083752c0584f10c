package interop

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
)

// TestGRPCInterop runs grpc-go's own interoperability cases, built from its
// module, with plaintext and TLS on either side of the core.
func TestGRPCInterop(t *testing.T) {
	if testing.Short() {
		t.Skip("grpc-go's cases are left out with -short: they are built first")
	}
	folder, err := filepath.Abs(filepath.Join("..", "..", "tools", "grpcinterop"))
	if err != nil {
		t.Fatal(err)
	}
	p := program{filepath.Join(t.TempDir(), "grpcinterop"), t.TempDir()}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // the first time, gRPC is compiled
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-o", p.path, ".")
	build.Dir = folder
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: tools/grpcinterop cannot be built here, so grpc-go's cases were NOT run: %v\n%s", err, out)
	}
	c := newCerts(t)
	cert, key := p.file(t, "cert", []byte(c.chain)), p.file(t, "key", []byte(c.key))
	for _, to := range []string{"plaintext", "TLS"} {
		args := []string{"serve"}
		if to == "TLS" {
			args = append(args, cert, key)
		}
		r := newRig(t, c, backend{proxytest.Cluster("grpc", interopServer(t, p, args...)), via("/grpc.testing.", "grpc", "Http2"), to == "TLS"})
		for _, from := range []string{"plaintext", "TLS"} {
			t.Run(from+" to "+to, func(t *testing.T) {
				args := []string{"call", r.addr}
				if from == "TLS" {
					args = append(args, r.file, serverName)
				}
				if out := p.must(t, args...); strings.Count(out, "ok ") != 15 {
					t.Errorf("not all 15 cases were run:\n%s", out)
				}
			})
		}
	}
}

// interopServer starts the program as a server and returns its address.
func interopServer(t *testing.T, p program, args ...string) string {
	t.Helper()
	cmd := exec.Command(p.path, args...) //nolint:noctx // it ends with its standard input
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	return strings.TrimSpace(line)
}

// testService is a host of gRPC for what those cases do not look at.
type testService struct {
	pb.UnimplementedTestServiceServer
	// left takes the time that each EmptyCall has when it comes, 0 for all
	// of it. Those with a limit, and FullDuplexCall, wait for their end, which
	// ended takes.
	left  chan time.Duration
	ended chan error
}

func (s *testService) EmptyCall(ctx context.Context, _ *pb.Empty) (*pb.Empty, error) {
	by, ok := ctx.Deadline()
	if !ok {
		s.left <- 0
		return &pb.Empty{}, nil
	}
	s.left <- time.Until(by)
	<-ctx.Done()
	s.ended <- ctx.Err()
	return nil, status.FromContextError(ctx.Err()).Err()
}

// UnaryCall never ends before its caller goes away.
func (s *testService) UnaryCall(ctx context.Context, _ *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	<-ctx.Done()
	s.ended <- ctx.Err()
	return nil, status.FromContextError(ctx.Err()).Err()
}

// FullDuplexCall sends each message back as it comes.
func (s *testService) FullDuplexCall(both grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
	for {
		m, err := both.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			s.ended <- both.Context().Err()
			return err
		}
		if err := both.Send(&pb.StreamingOutputCallResponse{Payload: m.Payload}); err != nil {
			s.ended <- both.Context().Err()
			return err
		}
	}
}

// grpcRig is a rig with a host of gRPC behind it, all with TLS or all without.
type grpcRig struct {
	*rig
	secure  bool
	service *testService
	// conn is a connection to the port.
	conn *grpc.ClientConn
	pb.TestServiceClient
}

// newGRPC starts one, with or without TLS on both sides.
func newGRPC(t testing.TB, secure bool, more ...backend) *grpcRig {
	t.Helper()
	c := newCerts(t)
	g := &grpcRig{secure: secure, service: &testService{left: make(chan time.Duration, 100), ended: make(chan error, 100)}}
	var opts []grpc.ServerOption
	if secure {
		opts = append(opts, grpc.Creds(credentials.NewTLS(c.ofHosts())))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(opts...)
	pb.RegisterTestServiceServer(server, g.service)
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() { server.Stop(); wg.Wait() })
	g.rig = newRig(t, c, append(more, backend{proxytest.Cluster("grpc", l.Addr().String()), via("/grpc.testing.", "grpc", ""), secure})...)
	g.conn = g.dial(t, secure)
	g.TestServiceClient = pb.NewTestServiceClient(g.conn)
	return g
}

// dial makes a connection of grpc-go's to the port.
func (r *rig) dial(t testing.TB, secure bool) *grpc.ClientConn {
	t.Helper()
	creds := insecure.NewCredentials()
	if secure {
		creds = credentials.NewTLS(r.ofCallers())
	}
	cc, err := grpc.NewClient("passthrough:///"+r.addr, grpc.WithTransportCredentials(creds), grpc.WithDisableServiceConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}

// eachGRPC runs a test with plaintext and with TLS.
func eachGRPC(t *testing.T, run func(*testing.T, *grpcRig)) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", secure), func(t *testing.T) { run(t, newGRPC(t, secure)) })
	}
}

func message(n int) *pb.StreamingOutputCallRequest {
	return &pb.StreamingOutputCallRequest{Payload: &pb.Payload{Body: noise(n)}}
}

// TestGRPCAsItComes: message 1 is answered before message 2 is sent, on 64
// calls at a time.
func TestGRPCAsItComes(t *testing.T) {
	eachGRPC(t, func(t *testing.T, g *grpcRig) {
		var begun, wg sync.WaitGroup
		begun.Add(64)
		for range 64 {
			wg.Go(func() {
				both, err := g.FullDuplexCall(soon(t))
				if err != nil {
					t.Error(err)
					begun.Done()
					return
				}
				for turn := range 10 {
					m := message(1 + turn*1000)
					if err := both.Send(m); err != nil {
						t.Error(err)
					}
					got, err := both.Recv()
					if err != nil || !bytes.Equal(got.Payload.Body, m.Payload.Body) {
						t.Errorf("turn %d: %v", turn, err)
					}
					if turn == 0 { // all of them are open at once
						begun.Done()
						begun.Wait()
					}
				}
				_ = both.CloseSend()
				if _, err := both.Recv(); !errors.Is(err, io.EOF) {
					t.Errorf("the end: %v", err)
				}
			})
		}
		wg.Wait()
	})
}

// TestGRPCDeadline: the host learns how much time is left, and both ends that
// it is over.
func TestGRPCDeadline(t *testing.T) {
	eachGRPC(t, func(t *testing.T, g *grpcRig) {
		if _, err := g.EmptyCall(context.Background(), &pb.Empty{}); err != nil {
			t.Fatal(err)
		}
		if left := take(t, g.service.left); left != 0 {
			t.Errorf("a call without a limit has %v", left)
		}
		// On a busy machine the time may be over before the host is asked: then
		// there is another call, with more of it.
		for limit := time.Second; ; limit *= 3 {
			if limit > patience {
				t.Fatal("the host was never given any time")
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			_, err := g.EmptyCall(ctx, &pb.Empty{})
			cancel()
			if status.Code(err) != codes.DeadlineExceeded {
				t.Fatalf("got %v", err)
			}
			wait := time.NewTimer(limit)
			select {
			case left := <-g.service.left:
				if left > limit {
					t.Errorf("the host was given %v of %v", left, limit)
				}
				if take(t, g.service.ended) == nil {
					t.Error("the host's call did not end")
				}
				if left > 0 {
					return
				}
			case <-wait.C:
			}
		}
	})
}

// TestGRPCCancel: the host learns that the caller has gone.
func TestGRPCCancel(t *testing.T) {
	eachGRPC(t, func(t *testing.T, g *grpcRig) {
		ctx, cancel := context.WithCancel(soon(t))
		both, err := g.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := both.Send(message(100)); err != nil {
			t.Fatal(err)
		}
		if _, err := both.Recv(); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := both.Recv(); status.Code(err) != codes.Canceled {
			t.Errorf("got %v", err)
		}
		if err := take(t, g.service.ended); !errors.Is(err, context.Canceled) {
			t.Errorf("the host's call ended with %v", err)
		}
		// The connection goes on.
		if _, err := g.EmptyCall(context.Background(), &pb.Empty{}); err != nil {
			t.Error(err)
		}
	})
}

// TestGRPCErrorsOfTheProxy: what no host answers, the caller sees as a status.
func TestGRPCErrorsOfTheProxy(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", secure), func(t *testing.T) {
			slow := via("/grpc.testing.TestService/UnaryCall", "grpc", "")
			slow.Route.Timeout = time.Second
			g := newGRPC(t, secure,
				backend{proxytest.Cluster("no", testserver.Addr(t)), via("/refused.", "no", ""), secure},
				backend{proxytest.Cluster("nobody"), via("/empty.", "nobody", ""), secure},
				backend{route: slow},
			)
			type want struct {
				code    codes.Code
				message string
			}
			check := func(method string, want want) {
				t.Helper()
				var head, tail metadata.MD
				err := g.conn.Invoke(soon(t), method, &pb.SimpleRequest{}, &pb.SimpleResponse{}, grpc.Header(&head), grpc.Trailer(&tail))
				if s := status.Convert(err); s.Code() != want.code || s.Message() != want.message {
					t.Errorf("%s: %v, want %s %q", method, err, want.code, want.message)
				}
			}
			for method, want := range map[string]want{
				"/other.Service/Call":   {codes.Unimplemented, "no route"},
				"/refused.Service/Call": {codes.Unavailable, "connect"},
				"/empty.Service/Call":   {codes.Unavailable, "no host"},
			} {
				check(method, want)
			}
			// The time may be over before the host is asked: then it is another call's.
			for range 30 {
				check("/grpc.testing.TestService/UnaryCall", want{codes.DeadlineExceeded, "timeout"})
				wait := time.NewTimer(time.Second)
				select {
				case err := <-g.service.ended:
					if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("the host's call ended with %v", err)
					}
					return
				case <-wait.C:
				}
			}
			t.Error("the host was never asked, or its call went on")
		})
	}
}

// TestGRPCBigStream: 64 MB (with TLS, 16) in each direction at the same time;
// the core, the caller and the host together keep little of it.
func TestGRPCBigStream(t *testing.T) {
	eachGRPC(t, func(t *testing.T, g *grpcRig) {
		both, err := g.FullDuplexCall(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		const size = 64 << 10
		count := 1024
		if g.secure {
			count /= 4 // the race detector makes little of TLS's speed
		}
		m := message(size)
		var before, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var wg sync.WaitGroup
		wg.Go(func() {
			for range count {
				if both.Send(m) != nil {
					return // Recv has the reason
				}
			}
			_ = both.CloseSend()
		})
		defer wg.Wait()
		for i := range count {
			got, err := both.Recv()
			if err != nil || !bytes.Equal(got.Payload.Body, m.Payload.Body) {
				t.Fatalf("message %d: %v", i, err)
			}
			if i%256 == 255 {
				runtime.GC()
				runtime.ReadMemStats(&now)
				if grown := int64(now.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 { // most of it grpc-go's own windows
					t.Errorf("after %d messages the heap has grown by %d bytes", i+1, grown)
				}
			}
		}
		if _, err := both.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("the end: %v", err)
		}
	})
}
