package tcp_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/listener"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/tcp"
	"github.com/ottavo-runtime/ottavo/proxy/tcp/l4"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what must happen soon, on a busy machine.
const patience = time.Minute

// toCluster is the shortest configuration.
var toCluster = config.TCPProxy{L4Proxy: config.L4Proxy{Cluster: "c", StatPrefix: "label"}}

// dialOf connects to the first of the addresses that was not tried.
func dialOf(network string, addresses ...string) l4.Dial {
	return func(ctx context.Context, a l4.Attempt) (l4.Upstream, error) {
		if a.Cluster != "c" {
			return l4.Upstream{}, stream.Errorf(stream.NoCluster, stream.Local, "there is no cluster %q", a.Cluster)
		}
		at := addresses[0]
		for _, other := range addresses {
			if !slices.Contains(a.Tried, other) {
				at = other
				break
			}
		}
		var d net.Dialer
		nc, err := d.DialContext(ctx, network, at)
		return l4.Upstream{Conn: nc, Host: at}, err
	}
}

// records keeps what a Proxy records.
type records chan l4.Record

func (r records) next(t testing.TB) l4.Record {
	t.Helper()
	select {
	case rec := <-r:
		return rec
	case <-time.After(patience):
		t.Fatal("no record")
	}
	panic("unreachable")
}

// server is a listener that a Proxy answers.
type server struct {
	t        testing.TB
	network  string
	listener *listener.Listener
	records  records
	stop     context.CancelFunc
}

// handlerFunc lets a test stand between the listener and the Proxy.
type handlerFunc func(ctx context.Context, c *conn.Conn, next listener.Handler) error

// start runs a listener with a Proxy until the test ends.
func start(t testing.TB, network string, cfg config.TCPProxy, dial l4.Dial, between handlerFunc) *server {
	t.Helper()
	s := &server{t: t, network: network, records: make(records, 10_000)}
	p, err := tcp.New(cfg, tcp.Deps{Listener: "l", Path: "config", Dial: dial, Record: func(r l4.Record) { s.records <- r }})
	if err != nil {
		t.Fatal(err)
	}
	var h listener.Handler = p
	if between != nil {
		h = handler{between, p}
	}
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "proxy")
	}
	ctx, cancel := context.WithCancel(t.Context())
	s.stop = cancel
	s.listener = listener.New(ctx, listener.Options{
		Name: "l", Network: network, Address: address, Handler: h,
		Log: slog.New(slog.DiscardHandler),
	})
	if err := s.listener.Bind(t.Context()); err != nil {
		t.Fatal(err)
	}
	var accepting sync.WaitGroup
	accepting.Go(func() { _ = s.listener.Accept() })
	t.Cleanup(func() {
		cancel()
		s.listener.Close()
		accepting.Wait()
		if n := s.listener.Wait(); n > 0 {
			t.Errorf("%d connections are left", n)
		}
	})
	return s
}

type handler struct {
	between handlerFunc
	next    listener.Handler
}

func (h handler) ServeConn(ctx context.Context, c *conn.Conn) error { return h.between(ctx, c, h.next) }

// dial connects to the proxy.
func (s *server) dial() net.Conn {
	s.t.Helper()
	nc, err := net.Dial(s.network, s.listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(3 * patience))
	s.t.Cleanup(func() { _ = nc.Close() })
	return nc
}

// dialCut makes a connection that the proxy cuts off at once. On a busy machine the
// reset may be there before the connect is over, which fails then.
func (s *server) dialCut() {
	s.t.Helper()
	nc, err := net.Dial(s.network, s.listener.Addr().String())
	if errors.Is(err, syscall.ECONNRESET) {
		return
	}
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(3 * patience))
	if n, err := nc.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		s.t.Errorf("read %d bytes, %v", n, err)
	}
}

// host answers each connection with serve, until the test ends. It returns its address.
func host(t testing.TB, network string, serve func(net.Conn)) string {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "host")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer func() { _ = nc.Close() }()
				_ = nc.SetDeadline(time.Now().Add(3 * patience))
				serve(nc)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	return l.Addr().String()
}

// echo sends back what comes, and then ends.
func echo(nc net.Conn) { _, _ = io.Copy(nc, nc) }

type halfCloser interface{ CloseWrite() error }

func closeWrite(t testing.TB, nc net.Conn) {
	t.Helper()
	if err := nc.(halfCloser).CloseWrite(); err != nil {
		t.Error(err)
	}
}

// expect reads exactly what is wanted.
func expect(t testing.TB, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got[:n], err, want)
	}
}

func expectEOF(t testing.TB, r io.Reader) {
	t.Helper()
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("read %d bytes, %v; want the end", n, err)
	}
}

func send(t testing.TB, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}
