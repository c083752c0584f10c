package listener

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/internal/logtest"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// handlerFunc lets a function be a Handler.
type handlerFunc func(ctx context.Context, c *conn.Conn) error

func (f handlerFunc) ServeConn(ctx context.Context, c *conn.Conn) error { return f(ctx, c) }

// echo answers each byte by itself until the connection ends or drains.
var echo = handlerFunc(func(ctx context.Context, c *conn.Conn) error {
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	var b [1]byte
	for {
		if err := c.WaitRequest(0); err != nil {
			return nil
		}
		if _, err := c.Read(b[:]); err != nil {
			return err
		}
		if _, err := c.Write(b[:]); err != nil {
			return err
		}
	}
})

// newListener makes a listener; it is closed at the end of the test.
func newListener(t *testing.T, o Options) (*Listener, *logtest.Log) {
	t.Helper()
	log := &logtest.Log{}
	o.Name = "web"
	o.Log = slog.New(slog.NewTextHandler(log, nil))
	if o.Handler == nil {
		o.Handler = echo
	}
	l := New(t.Context(), o)
	t.Cleanup(func() {
		l.Close()
		if n := l.Wait(); n != 0 {
			t.Errorf("%d connections do not end", n)
		}
	})
	return l, log
}

// pipe injects a connection and returns the other end.
func pipe(t *testing.T, l *Listener) net.Conn {
	t.Helper()
	client, server := conn.Pipe()
	t.Cleanup(func() { _ = client.Close() })
	if err := l.Inject(server); err != nil {
		t.Fatal(err)
	}
	return client
}

// ping checks that a connection is served.
func ping(t *testing.T, c net.Conn) {
	t.Helper()
	var b [1]byte
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, b[:]); err != nil || b[0] != 'x' {
		t.Fatalf("read %q, %v", b, err)
	}
}

// wantEOF checks that the other end ends the connection.
func wantEOF(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read %d bytes, %v, want the end", n, err)
	}
}

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log := newListener(t, Options{Unbound: true, MaxConnections: 2})
		a, b := pipe(t, l), pipe(t, l)
		for range 3 {
			client, server := conn.Pipe()
			if err := l.Inject(server); !errors.Is(err, ErrFull) {
				t.Fatalf("%v, want ErrFull", err)
			}
			wantEOF(t, client)
		}
		ping(t, a)
		ping(t, b)
		if accepted, refused := l.Counts(); accepted != 2 || refused != 3 {
			t.Errorf("%d accepted, %d refused, want 2 and 3", accepted, refused)
		}
		if n := strings.Count(log.String(), "the limit is reached"); n != 1 {
			t.Errorf("said %d times that the limit is reached, want once in a while:\n%s", n, log)
		}
		l.SetLimits(3, 0)
		c := pipe(t, l)
		ping(t, c)
		l.SetLimits(1, 0) // nobody is thrown out
		ping(t, a)
		ping(t, c)
	})
}

func TestPanicCostsOneConnection(t *testing.T) {
	l, log := newListener(t, Options{Unbound: true, Handler: handlerFunc(func(ctx context.Context, c *conn.Conn) error {
		if b, _ := c.Reader().Peek(1); len(b) > 0 && b[0] == '!' {
			panic("handler's defect")
		}
		return echo(ctx, c)
	})})
	good, bad := pipe(t, l), pipe(t, l)
	ping(t, good)
	if _, err := bad.Write([]byte("!")); err != nil {
		t.Fatal(err)
	}
	wantEOF(t, bad)
	ping(t, good)
	ping(t, pipe(t, l))
	for _, want := range []string{"handler's defect", "listener=web", "listener_test.go", "stack="} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
	// The peer sees the end a moment before the connection is counted out.
	for end := time.Now().Add(time.Minute); l.Connections() != 2; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d connections are counted, want 2", l.Connections())
		}
	}
}

// shortListener fails to accept until it is given a connection.
type shortListener struct {
	mu    sync.Mutex
	tries []time.Time
	conns chan net.Conn
	done  chan struct{}
	err   error
}

func (s *shortListener) Accept() (net.Conn, error) {
	select {
	case <-s.done:
		return nil, net.ErrClosed
	case c := <-s.conns:
		return c, nil
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries = append(s.tries, time.Now())
	return nil, s.err
}

func (s *shortListener) Close() error   { close(s.done); return nil }
func (s *shortListener) Addr() net.Addr { return &net.TCPAddr{} }

func TestAcceptErrorsAreWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log := newListener(t, Options{})
		nl := &shortListener{conns: make(chan net.Conn, 1), done: make(chan struct{}), err: &net.OpError{Op: "accept", Err: syscall.EMFILE}}
		l.socket = newSocket(nl, l)
		ended := make(chan error, 1)
		go func() { ended <- l.Accept() }()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		nl.mu.Lock()
		n := len(nl.tries)
		pause := nl.tries[n-1].Sub(nl.tries[n-2])
		nl.mu.Unlock()
		if n > 20 || pause != longestPause {
			t.Errorf("%d tries in 10 s, the last after %v: no back-off", n, pause)
		}
		if !strings.Contains(log.String(), "too many open files") {
			t.Errorf("the log does not tell why:\n%s", log)
		}
		client, server := conn.Pipe()
		nl.conns <- server
		time.Sleep(longestPause)
		ping(t, client)
		// A pause does not hold up the end.
		time.Sleep(10 * time.Millisecond)
		begin := time.Now()
		_ = client.Close()
		l.StopAccepting()
		if err := <-ended; err != nil || time.Since(begin) != 0 {
			t.Errorf("Accept returned %v after %v", err, time.Since(begin))
		}
	})
}

func TestAcceptReportsALostSocket(t *testing.T) {
	l, _ := newListener(t, Options{Address: "127.0.0.1:0"})
	if err := l.Bind(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = l.socket.Listener.Close() // not by us
	if err := l.Accept(); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), `"web"`) {
		t.Errorf("Accept: %v", err)
	}
}

// accepting binds a listener, accepts, and returns how to dial it.
func accepting(t *testing.T, l *Listener) (dial func() net.Conn) {
	t.Helper()
	if err := l.Bind(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- l.Accept() }()
	t.Cleanup(func() {
		l.Close()
		if err := <-ended; err != nil {
			t.Errorf("Accept: %v", err)
		}
	})
	a := l.Addr()
	return func() net.Conn {
		c, err := net.Dial(a.Network(), a.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
}

func TestDrainWaits(t *testing.T) {
	working, release := make(chan struct{}), make(chan struct{})
	l, _ := newListener(t, Options{Address: testserver.Addr(t), Handler: handlerFunc(func(ctx context.Context, c *conn.Conn) error {
		if b, _ := c.Reader().Peek(1); len(b) > 0 && b[0] == 'w' { // works on something
			close(working)
			<-release
			_, err := c.Write([]byte("done"))
			return err
		}
		return echo(ctx, c)
	})})
	dial := accepting(t, l)
	idle, busy := dial(), dial()
	ping(t, idle)
	if _, err := busy.Write([]byte("w")); err != nil {
		t.Fatal(err)
	}
	<-working
	drained := make(chan error, 1)
	go func() { drained <- l.Drain(t.Context()) }()
	wantEOF(t, idle) // at once
	select {
	case err := <-drained:
		t.Fatalf("Drain returned %v before the work was done", err)
	default:
	}
	if _, err := net.Dial("tcp", l.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a new connection: %v, want refused", err)
	}
	close(release)
	if b, err := io.ReadAll(busy); string(b) != "done" || err != nil {
		t.Errorf("the work ended with %q, %v", b, err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if err := l.Inject(idle); !errors.Is(err, ErrStopped) {
		t.Errorf("Inject after Drain: %v", err)
	}
	if err := l.Drain(t.Context()); err != nil {
		t.Errorf("second Drain: %v", err)
	}
}

// Connections that are idle when the listener stops, be they new or not, get
// one more answer if they ask soon.
func TestDrainSparesTheIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := newListener(t, Options{Unbound: true})
		used, kept, late, never := pipe(t, l), pipe(t, l), pipe(t, l), pipe(t, l)
		ping(t, used)
		ping(t, kept)
		synctest.Wait()
		begin := time.Now()
		drained := make(chan error, 1)
		go func() { drained <- l.Drain(t.Context()) }()
		time.Sleep(conn.LastCall - 1)
		ping(t, late)
		ping(t, kept)
		for _, c := range []net.Conn{used, never} {
			wantEOF(t, c)
			if d := time.Since(begin); d != conn.LastCall {
				t.Errorf("an idle connection ended after %v", d)
			}
		}
		wantEOF(t, late)
		wantEOF(t, kept)
		if err := <-drained; err != nil || time.Since(begin) >= 2*conn.LastCall {
			t.Errorf("Drain returned %v after %v", err, time.Since(begin))
		}
	})
}

// Connections that wait in the socket's queue when it is closed are served:
// their callers know nothing of a queue.
func TestStopServesTheQueue(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the queue can be emptied on Linux only")
	}
	for _, address := range []string{testserver.Addr(t), "unix:" + filepath.Join(t.TempDir(), "s")} {
		l, _ := newListener(t, Options{Network: "tcp", Address: address})
		if err := l.Bind(t.Context()); err != nil {
			t.Fatal(err)
		}
		at := l.Addr()
		conns := make([]net.Conn, 20)
		for i := range conns {
			c, err := net.Dial(at.Network(), at.String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			conns[i] = c
		}
		l.StopAccepting() // nobody was ever in Accept
		for _, c := range conns {
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Errorf("%s: %v", address, err)
			}
		}
		if n, _ := l.Counts(); n != 20 {
			t.Errorf("%d connections were accepted", n)
		}
		if c, err := net.Dial(at.Network(), at.String()); err == nil {
			t.Error("the socket is open")
			_ = c.Close()
		}
		for _, c := range conns {
			_ = c.Close()
		}
		if err := l.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestDrainCutsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := newListener(t, Options{Unbound: true, Handler: handlerFunc(func(ctx context.Context, c *conn.Conn) error {
			<-ctx.Done()
			return ctx.Err()
		})})
		clients := []net.Conn{pipe(t, l), pipe(t, l), pipe(t, l)}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begin := time.Now()
		err := l.Drain(ctx)
		if time.Since(begin) != 5*time.Second || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "3 connections were cut off") {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		for _, c := range clients {
			wantEOF(t, c)
		}
		if n := l.Connections(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// A handler that ignores everything must not keep the process from ending.
func TestDrainLeavesTheStuckBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		l, _ := newListener(t, Options{Unbound: true, Handler: handlerFunc(func(context.Context, *conn.Conn) error {
			<-stuck
			return nil
		})})
		pipe(t, l)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begin := time.Now()
		err := l.Drain(ctx)
		if d := time.Since(begin); d != endGrace || err == nil || !strings.Contains(err.Error(), "1 of them do not end") {
			t.Errorf("after %v: %v", d, err)
		}
		close(stuck)
	})
}

func TestCloseTwice(t *testing.T) {
	l, _ := newListener(t, Options{Address: "127.0.0.1:0"})
	dial := accepting(t, l)
	c := dial()
	ping(t, c)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(l.Close)
	}
	wg.Wait()
	wantEOF(t, c)
	if n := l.Wait(); n != 0 {
		t.Errorf("%d connections do not end", n)
	}
	l.Close()
}

func TestBaseContextCutsOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	l := New(ctx, Options{Name: "web", Unbound: true, Handler: echo, Log: slog.New(slog.DiscardHandler)})
	c := pipe(t, l)
	ping(t, c)
	cancel()
	wantEOF(t, c)
	l.Close()
	l.Wait()
}

// While one listener takes the socket of another over, no connection is refused or lost.
func TestTakeOver(t *testing.T) {
	first, _ := newListener(t, Options{Address: "127.0.0.1:0"})
	dial := accepting(t, first)
	before := dial()
	ping(t, before)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c := dial()
				ping(t, c)
				_ = c.Close()
			}
		})
	}
	listeners := []*Listener{first}
	for range 50 {
		next, _ := newListener(t, Options{Address: "127.0.0.1:0"})
		old := listeners[len(listeners)-1]
		if !next.TakeOver(old) {
			t.Fatal("there was no socket to take over")
		}
		old.StopAccepting()
		listeners = append(listeners, next)
	}
	close(stop)
	wg.Wait()
	wantEOF(t, before) // its listener drains
	last := listeners[len(listeners)-1]
	if first.Addr() != nil || last.Addr() == nil {
		t.Errorf("the first has %v, the last %v", first.Addr(), last.Addr())
	}
	if next, _ := newListener(t, Options{}); next.TakeOver(first) {
		t.Error("took over a socket that is not there")
	}
	last.Close()
}

// Whether somebody accepted on the socket already or not: one does afterwards.
func TestTakeOverBeforeAccept(t *testing.T) {
	first, _ := newListener(t, Options{Address: "127.0.0.1:0"})
	if err := first.Bind(t.Context()); err != nil {
		t.Fatal(err)
	}
	next, _ := newListener(t, Options{Address: "127.0.0.1:0"})
	if !next.TakeOver(first) {
		t.Fatal("there was no socket to take over")
	}
	if err := first.Accept(); err != nil {
		t.Errorf("without a socket: %v", err)
	}
	ended := make(chan error, 2)
	for range 2 { // one of them works, the other has nothing to do
		go func() { ended <- next.Accept() }()
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	c, err := net.Dial("tcp", next.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ping(t, c)
	next.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestBindErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	dir := t.TempDir()
	live, err := net.Listen("unix", filepath.Join(dir, "live"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = live.Close() }()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, address string
		is            error
		want          string
	}{
		{
			"port in use", taken.Addr().String(), syscall.EADDRINUSE,
			`listener "web" cannot listen on ` + taken.Addr().String() + `: address already in use (stop the process that has it, or choose another address)`,
		},
		{"not ours", "192.0.2.1:80", syscall.EADDRNOTAVAIL, "does not belong to this machine"},
		{
			"live unix socket", "unix:" + dir + "/live", syscall.EADDRINUSE,
			`listener "web" cannot listen on ` + dir + `/live: address already in use (stop the process that has it, or choose another path)`,
		},
		{"no socket", "unix:" + dir + "/file", nil, `there is a file that is no socket (remove it or choose another path)`},
		{"no folder", "unix:" + dir + "/none/sock", syscall.ENOENT, "make the folder first"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, _ := newListener(t, Options{Address: c.address})
			err := l.Bind(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if bound, ok := errors.AsType[*BindError](err); !ok || bound.Listener != "web" {
				t.Errorf("error is a %T", err)
			}
			if strings.Count(err.Error(), strings.TrimPrefix(c.address, "unix:")) > 1 && c.is != nil {
				t.Errorf("the address is said twice: %v", err)
			}
			if l.Addr() != nil {
				t.Errorf("listens on %v", l.Addr())
			}
		})
	}
	if b, err := os.ReadFile(filepath.Join(dir, "file")); string(b) != "keep" || err != nil {
		t.Errorf("the file that is no socket was touched: %q, %v", b, err)
	}
	if c, err := net.Dial("unix", filepath.Join(dir, "live")); err != nil {
		t.Errorf("the live socket was broken: %v", err)
	} else {
		_ = c.Close()
	}
}

func TestStaleUnixSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false) // as kill -9 leaves it
	_ = dead.Close()
	for _, o := range []Options{{Address: "unix:" + path}, {Network: "unix", Address: path}} {
		l, _ := newListener(t, o)
		dial := accepting(t, l)
		ping(t, dial())
		l.Close()
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket file is left behind: %v", err)
		}
	}
}

// TestUnixSocketRace: of two that find the same left-over socket at once, one
// gets it, and keeps it.
func TestUnixSocketRace(t *testing.T) {
	dir := t.TempDir()
	for round := range 50 {
		path := filepath.Join(dir, fmt.Sprint(round))
		left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		left.SetUnlinkOnClose(false)
		_ = left.Close()
		bound := make([]*Listener, 2)
		var wg sync.WaitGroup
		for i := range bound {
			wg.Go(func() {
				l := New(t.Context(), Options{Name: "l", Network: "unix", Address: path, Log: slog.New(slog.DiscardHandler)})
				if err := l.Bind(t.Context()); err == nil {
					bound[i] = l
				} else if !errors.Is(err, syscall.EADDRINUSE) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if (bound[0] == nil) == (bound[1] == nil) {
			t.Fatalf("round %d: %v, want exactly one", round, bound)
		}
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatalf("round %d: the socket is not alive: %v", round, err)
		}
		_ = c.Close()
		for _, l := range bound {
			if l != nil {
				l.Close()
			}
		}
	}
}

// TestReusePort: B5, several sockets share an address if they all ask for it.
func TestReusePort(t *testing.T) {
	options := func(address string) Options {
		return Options{Name: "l", Address: address, ReusePort: true, Log: slog.New(slog.DiscardHandler)}
	}
	first := New(t.Context(), options("127.0.0.1:0"))
	if err := first.Bind(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second := New(t.Context(), options(first.Addr().String()))
	if err := second.Bind(t.Context()); err != nil {
		t.Errorf("both with reuseport: %v", err)
	}
	defer second.Close()
	o := options(first.Addr().String())
	o.ReusePort = false
	third := New(t.Context(), o)
	if err := third.Bind(t.Context()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("one without: %v", err)
	}
}
