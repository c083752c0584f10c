package grpcapi_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"

	"github.com/ottavo-runtime/ottavo/grpcapi"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

func memoryPair(testing.TB) (client, server net.Conn) { return net.Pipe() }

func tcpPair(t testing.TB) (client, server net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// Connections that the proxy's listener accepted, or made in memory, are served
// as ours are.
func TestServeConn(t *testing.T) {
	for name, pair := range map[string]func(testing.TB) (net.Conn, net.Conn){"memory": memoryPair, "tcp": tcpPair} {
		t.Run(name, func(t *testing.T) {
			srv := newServer(t, grpcapi.Options{Services: []grpcapi.Service{&fake{}}})
			served := make(chan error, 10)
			// The context is the server's, not that of the client's dialing.
			serveConn := func(c net.Conn) { served <- srv.ServeConn(t.Context(), c) }
			cc := dial(t, "passthrough:///memory", grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
				a, b := pair(t)
				go serveConn(b)
				return a, nil
			}))
			client := runtimev1.NewRuntimeClient(cc)
			for _, size := range []int{0, 1, 1000, 5000, 100_000, 1 << 20} {
				want := strings.Repeat("x", size)
				resp, err := client.SayHello(timeout(t), &runtimev1.SayHelloRequest{Name: want})
				if err != nil || resp.GetHello() != "hello "+want {
					t.Fatalf("%d bytes: %d bytes, %v", size, len(resp.GetHello()), err)
				}
			}
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					if _, err := client.SayHello(timeout(t), &runtimev1.SayHelloRequest{Name: "x"}); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			select {
			case err := <-served:
				t.Errorf("ServeConn = %v while the connection is open", err)
			default:
			}
			if err := cc.Close(); err != nil {
				t.Error(err)
			}
			if err := wait(t, served); err != nil {
				t.Errorf("ServeConn = %v after the client has gone", err)
			}
		})
	}
}

func TestServeConnEnds(t *testing.T) {
	t.Run("with its context", func(t *testing.T) {
		srv := newServer(t, grpcapi.Options{})
		a, b := net.Pipe()
		defer func() { _ = a.Close() }()
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- srv.ServeConn(ctx, b) }()
		if _, err := a.Read(make([]byte, 1)); err != nil { // it is being served
			t.Fatal(err)
		}
		cancel()
		if err := wait(t, served); !errors.Is(err, context.Canceled) {
			t.Errorf("ServeConn = %v", err)
		}
		if _, err := io.Copy(io.Discard, a); err != nil {
			t.Errorf("the connection ended with %v, want EOF", err)
		}
	})
	t.Run("with the server", func(t *testing.T) {
		srv := newServer(t, grpcapi.Options{})
		a, b := tcpPair(t)
		defer func() { _ = a.Close() }()
		served := make(chan error, 1)
		go func() { served <- srv.ServeConn(t.Context(), b) }()
		if _, err := a.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := srv.Shutdown(timeout(t)); err != nil {
			t.Error(err)
		}
		if err := wait(t, served); err != nil {
			t.Errorf("ServeConn = %v", err)
		}
	})
}

// countingListener counts the writes of the connections that it accepts.
type countingListener struct {
	net.Listener
	writes atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return countingConn{c, &l.writes}, err
}

type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countingConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// countWrites listens on a socket and counts what is written.
func countWrites(t testing.TB) *countingListener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return &countingListener{Listener: l}
}

// Answers to calls that run at once leave together, also those that gRPC does
// not hold back because they are not tiny.
func TestAnswersLeaveTogether(t *testing.T) {
	const callers, each = 64, 50
	l := countWrites(t)
	serveOn(t, newServer(t, grpcapi.Options{Services: []grpcapi.Service{&fake{}}}), l)
	client := runtimev1.NewRuntimeClient(dial(t, l.Addr().String()))
	name := strings.Repeat("x", 1200)
	ctx := timeout(t)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				if resp, err := client.SayHello(ctx, &runtimev1.SayHelloRequest{Name: name}); err != nil || len(resp.GetHello()) < len(name) {
					t.Errorf("%d bytes, %v", len(resp.GetHello()), err)
					return
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%.2f writes per answer", float64(l.writes.Load())/(callers*each))
	if n := l.writes.Load(); n > callers*each/2 {
		t.Errorf("%d writes for %d answers, want at most half as many", n, callers*each)
	}
}
