package tcp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/listener"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/tcp"
	"github.com/ottavo-runtime/ottavo/proxy/tcp/l4"
)

// networks are what clients and hosts can be connected by.
var networks = []struct{ client, host string }{{"tcp", "tcp"}, {"unix", "tcp"}, {"tcp", "unix"}, {"unix", "unix"}}

func eachNetwork(t *testing.T, f func(t *testing.T, client, host string)) {
	t.Parallel()
	for _, n := range networks {
		t.Run(n.client+" to "+n.host, func(t *testing.T) {
			t.Parallel()
			f(t, n.client, n.host)
		})
	}
}

func TestNewMistakes(t *testing.T) {
	t.Parallel()
	_, err := tcp.New(config.TCPProxy{}, tcp.Deps{Path: "p"})
	if ps, ok := errors.AsType[decode.Problems](err); !ok || len(ps) != 2 {
		t.Errorf("%v; want two problems", err)
	}
}

func TestHalfCloseByClient(t *testing.T) {
	eachNetwork(t, func(t *testing.T, client, network string) {
		at := host(t, network, func(nc net.Conn) {
			all, err := io.ReadAll(nc) // the client's end must come through
			if err != nil {
				t.Error(err)
			}
			send(t, nc, "answer to "+string(all))
		})
		s := start(t, client, toCluster, dialOf(network, at), nil)
		nc := s.dial()
		send(t, nc, "question")
		closeWrite(t, nc)
		expect(t, nc, "answer to question")
		expectEOF(t, nc)
		r := s.records.next(t)
		if r.End != l4.ClientClosed || r.Err != nil || r.Sent != 8 || r.Received != 18 || r.Host != at || r.Cluster != "c" ||
			r.Attempts != 1 || r.Listener != "l" || r.Label != "label" || r.Duration < r.Connect || r.Connect <= 0 {
			t.Errorf("record %+v", r)
		}
		if client == "tcp" && r.Source != netip.MustParseAddrPort(nc.LocalAddr().String()) {
			t.Errorf("source %v, want %v", r.Source, nc.LocalAddr())
		}
		if client == "tcp" && r.Destination != netip.MustParseAddrPort(nc.RemoteAddr().String()) {
			t.Errorf("destination %v, want %v", r.Destination, nc.RemoteAddr())
		}
	})
}

func TestHalfCloseByHost(t *testing.T) {
	eachNetwork(t, func(t *testing.T, client, network string) {
		got := make(chan string, 1)
		at := host(t, network, func(nc net.Conn) {
			send(t, nc, "that is all")
			closeWrite(t, nc)
			all, err := io.ReadAll(nc)
			if err != nil {
				t.Error(err)
			}
			got <- string(all)
		})
		s := start(t, client, toCluster, dialOf(network, at), nil)
		nc := s.dial()
		expect(t, nc, "that is all") // the server speaks first
		expectEOF(t, nc)
		send(t, nc, "and now ")
		send(t, nc, "mine")
		closeWrite(t, nc)
		if text := <-got; text != "and now mine" {
			t.Errorf("the host got %q", text)
		}
		if r := s.records.next(t); r.End != l4.HostClosed || r.Err != nil || r.Sent != 12 || r.Received != 11 {
			t.Errorf("record %+v", r)
		}
	})
}

// TestNothingSaid: both sides close without a word.
func TestNothingSaid(t *testing.T) {
	eachNetwork(t, func(t *testing.T, client, network string) {
		at := host(t, network, echo)
		s := start(t, client, toCluster, dialOf(network, at), nil)
		_ = s.dial().Close()
		if r := s.records.next(t); r.End != l4.ClientClosed || r.Err != nil || r.Sent != 0 || r.Received != 0 {
			t.Errorf("record %+v", r)
		}
	})
}

// TestBufferedFirst: bytes that somebody looked at before come first, however
// they are held.
func TestBufferedFirst(t *testing.T) {
	t.Parallel()
	first := strings.Repeat("0123456789", 900) // more than a Conn's buffer
	looks := map[string]handlerFunc{
		"nobody": nil,
		"peek": func(ctx context.Context, c *conn.Conn, next listener.Handler) error {
			_, _ = c.Reader().Peek(5)
			return next.ServeConn(ctx, c)
		},
		"grown": func(ctx context.Context, c *conn.Conn, next listener.Handler) error {
			c.Grow(16 << 10)
			_, _ = c.Reader().Peek(8000)
			return next.ServeConn(ctx, c)
		},
		"waited": func(ctx context.Context, c *conn.Conn, next listener.Handler) error {
			_ = c.WaitRequest(0)
			return next.ServeConn(ctx, c)
		},
	}
	for name, look := range looks {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, client, network string) {
				at := host(t, network, echo)
				s := start(t, client, toCluster, dialOf(network, at), look)
				nc := s.dial()
				send(t, nc, first)
				send(t, nc, "then")
				closeWrite(t, nc)
				expect(t, nc, first+"then")
				expectEOF(t, nc)
			})
		})
	}
}

func TestAttempts(t *testing.T) {
	t.Parallel()
	up := host(t, "tcp", echo)
	s := start(t, "tcp", toCluster, dialOf("tcp", testserver.Addr(t), testserver.Addr(t), up), nil)
	nc := s.dial()
	send(t, nc, "ping")
	closeWrite(t, nc)
	expect(t, nc, "ping")
	expectEOF(t, nc)
	if r := s.records.next(t); r.Attempts != 3 || r.Host != up {
		t.Errorf("record %+v", r)
	}
}

func TestNotConnected(t *testing.T) {
	t.Parallel()
	two := toCluster
	two.MaxConnectAttempts = 2
	elsewhere := toCluster
	elsewhere.Cluster = "nowhere"
	noRoute := config.TCPProxy{L4Proxy: config.L4Proxy{Routes: []config.L4Route{{Cluster: "c", SourcePort: "0"}}}}
	dead := []string{testserver.Addr(t), testserver.Addr(t), testserver.Addr(t)}
	tests := []struct {
		name     string
		cfg      config.TCPProxy
		end      l4.End
		kind     stream.Kind
		attempts int
		host     string
	}{
		{"all down", toCluster, l4.NotConnected, stream.Connect, 3, dead[2]},
		{"two attempts", two, l4.NotConnected, stream.Connect, 2, dead[1]},
		{"no cluster", elsewhere, l4.NotConnected, stream.NoCluster, 1, ""},
		{"no route", noRoute, l4.NoRoute, stream.NoRoute, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, "tcp", tt.cfg, dialOf("tcp", dead...), nil)
			expectEOF(t, s.dial())
			r := s.records.next(t)
			if e := stream.AsError(r.Err); r.End != tt.end || e.Kind != tt.kind || r.Attempts != tt.attempts || r.Host != tt.host {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// reset breaks a connection off.
func reset(nc net.Conn) {
	_ = nc.(*net.TCPConn).SetLinger(0)
	_ = nc.Close()
}

func TestClientBreaksOff(t *testing.T) {
	t.Parallel()
	got := make(chan error, 1)
	at := host(t, "tcp", func(nc net.Conn) {
		expect(t, nc, "begin")
		send(t, nc, "go on")
		_, err := io.Copy(io.Discard, nc)
		got <- err
	})
	s := start(t, "tcp", toCluster, dialOf("tcp", at), nil)
	nc := s.dial()
	send(t, nc, "begin")
	expect(t, nc, "go on")
	reset(nc)
	if err := <-got; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the host saw %v, want a reset", err)
	}
	if r := s.records.next(t); r.End != l4.ClientBroke || r.Sent != 5 || r.Received != 5 || stream.AsError(r.Err).Side != stream.Downstream {
		t.Errorf("record %+v", r)
	}
}

// TestHostBreaksOff: a client whose upload meets the reset must not take the
// end of the answer for an end in order. Whether the reset is seen by a read
// or by a write is a matter of luck, so there are many rounds.
func TestHostBreaksOff(t *testing.T) {
	t.Parallel()
	at := host(t, "tcp", func(nc net.Conn) {
		expect(t, nc, "xxxx")
		send(t, nc, "part of an ans")
		reset(nc)
	})
	var done, hosts atomic.Int32
	dial := dialOf("tcp", at)
	s := start(t, "tcp", toCluster, func(ctx context.Context, a l4.Attempt) (l4.Upstream, error) {
		up, err := dial(ctx, a)
		up.Done = func(err error) {
			done.Add(1)
			if err != nil {
				hosts.Add(1)
			}
		}
		return up, err
	}, nil)
	const rounds = 100
	for i := range rounds {
		nc := s.dial()
		wrote := make(chan error, 1)
		go func() {
			x := bytes.Repeat([]byte("x"), 4)
			for {
				if _, err := nc.Write(x); err != nil {
					wrote <- err
					return
				}
			}
		}()
		_, err := io.Copy(io.Discard, nc)
		// The client, too, is told of a reset only once.
		if also := <-wrote; !errors.Is(err, syscall.ECONNRESET) && !errors.Is(also, syscall.ECONNRESET) {
			t.Fatalf("round %d: the client saw %v and %v, want a reset; record %+v", i, err, also, s.records.next(t))
		}
		_ = nc.Close()
		if r := s.records.next(t); r.End != l4.HostBroke || stream.AsError(r.Err).Side != stream.Upstream {
			t.Fatalf("round %d: record %+v", i, r)
		}
	}
	if done.Load() != rounds || hosts.Load() != rounds {
		t.Errorf("Done was called %d times, with an error %d times; want %d", done.Load(), hosts.Load(), rounds)
	}
}

// TestEarlyAnswer: a host that answers before it has read everything, and then
// closes in order, is heard.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	at := host(t, "tcp", func(nc net.Conn) {
		expect(t, nc, "upload")
		send(t, nc, "too large")
		closeWrite(t, nc)
		_, _ = io.Copy(io.Discard, nc)
	})
	s := start(t, "tcp", toCluster, dialOf("tcp", at), nil)
	nc := s.dial()
	send(t, nc, "upload")
	go func() {
		b := make([]byte, 64<<10)
		for range 200 {
			if _, err := nc.Write(b); err != nil {
				return
			}
		}
		_ = nc.(halfCloser).CloseWrite()
	}()
	expect(t, nc, "too large")
	expectEOF(t, nc)
	if r := s.records.next(t); r.End != l4.HostClosed || r.Sent != 6+200*64<<10 {
		t.Errorf("record %+v", r)
	}
}

func TestStopped(t *testing.T) {
	t.Parallel()
	got := make(chan error, 1)
	at := host(t, "tcp", func(nc net.Conn) {
		send(t, nc, "x")
		_, err := io.Copy(io.Discard, nc)
		got <- err
	})
	s := start(t, "tcp", toCluster, dialOf("tcp", at), nil)
	nc := s.dial()
	expect(t, nc, "x")
	s.stop()
	if n, err := nc.Read(make([]byte, 1)); err == nil {
		t.Errorf("the client read %d bytes", n)
	}
	if err := <-got; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the host saw %v, want a reset", err)
	}
	if r := s.records.next(t); r.End != l4.Stopped || stream.AsError(r.Err).Kind != stream.Stopping {
		t.Errorf("record %+v", r)
	}
}

// TestDrain: a connection goes on while the listener drains, until it ends by itself.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := start(t, "tcp", toCluster, dialOf("tcp", host(t, "tcp", echo)), nil)
	nc := s.dial()
	send(t, nc, "before")
	expect(t, nc, "before")
	drained := make(chan error, 1)
	go func() { drained <- s.listener.Drain(t.Context()) }()
	for range 10 {
		send(t, nc, "during")
		expect(t, nc, "during")
	}
	_ = nc.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if r := s.records.next(t); r.End != l4.ClientClosed || r.Err != nil {
		t.Errorf("record %+v", r)
	}
}

// panicky is a connection with a defect.
type panicky struct{ net.Conn }

func (panicky) Read([]byte) (int, error) { panic("a defect") }

func TestPanic(t *testing.T) {
	t.Parallel()
	dial := dialOf("tcp", host(t, "tcp", echo))
	var calls atomic.Int32
	s := start(t, "tcp", toCluster, func(ctx context.Context, a l4.Attempt) (l4.Upstream, error) {
		call := calls.Add(1)
		if call == 3 {
			panic("another defect")
		}
		up, err := dial(ctx, a)
		if call == 2 {
			up.Conn = panicky{up.Conn}
		}
		return up, err
	}, nil)
	good := s.dial()
	send(t, good, "a")
	expect(t, good, "a")
	s.dialCut()
	if r := s.records.next(t); r.End != l4.Unknown || stream.AsError(r.Err).Kind != stream.Internal {
		t.Errorf("record %+v", r)
	}
	s.dialCut() // its Dial panics
	if r := s.records.next(t); r.End != l4.Unknown {
		t.Errorf("record %+v", r)
	}
	send(t, good, "b")
	expect(t, good, "b")
}
