package listener

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
)

// Handler answers one connection.
type Handler interface {
	// ServeConn uses c until the exchange on it is over. The listener closes c
	// afterwards. It must return soon after ctx ends, and end c in order once
	// c.Draining. The error is logged; nil and net.ErrClosed are no news.
	ServeConn(ctx context.Context, c *conn.Conn) error
}

// Options describe a listener.
type Options struct {
	// Name is the listener's name, for messages.
	Name string
	// Network is "tcp" or "unix"; Address what to listen on ("unix:/path" is a
	// unix socket, too). With Unbound, no socket is opened, and only Inject
	// brings connections.
	Network, Address string
	Unbound          bool
	// ReusePort lets several sockets, of other processes too, share the address.
	ReusePort bool
	// Patient lets Bind wait for a port that an outgoing connection has.
	Patient bool
	// Prepare, if not nil, changes how the socket is opened.
	Prepare func(*net.ListenConfig)
	// MaxConnections is the most connections at a time; 0 is no limit.
	MaxConnections int
	// WriteTimeout bounds each wait for a peer to take bytes; 0 is never.
	WriteTimeout time.Duration
	Handler      Handler
	Log          *slog.Logger
}

// ErrStopped is returned by Inject when the listener takes no more connections.
var ErrStopped = errors.New("the listener takes no more connections")

// ErrFull is returned by Inject when the limit of connections is reached.
var ErrFull = errors.New("the listener's limit of connections is reached")

// endGrace is how long connections that were cut off may take to end.
const endGrace = 2 * time.Second

// Listener accepts connections in one place. All methods are safe for
// concurrent use.
type Listener struct {
	opts Options // the limits in it are guarded by mu

	base   context.Context // ends when connections are to be cut off
	cutOff context.CancelFunc

	stop sync.Once

	mu     sync.Mutex
	socket *socket // nil when there is none
	// closing: the socket is, or is about to be, closed; stopping: no
	// connection is taken any more.
	closing  bool
	stopping bool
	conns    map[*conn.Conn]struct{}
	serving  sync.WaitGroup
	fullSaid time.Time

	accepted, refused atomic.Int64
	closed            [conn.CauseCount]atomic.Int64
}

// New makes a listener; Bind opens it. ctx is the life of its connections:
// when it ends they are cut off.
func New(ctx context.Context, opts Options) *Listener {
	l := &Listener{opts: opts, conns: make(map[*conn.Conn]struct{})}
	l.base, l.cutOff = context.WithCancel(ctx)
	return l
}

// Bind opens the socket, if the listener has one. A patient one waits up to 75 s for
// a port that an outgoing connection has. The error is a *BindError.
func (l *Listener) Bind(ctx context.Context) error {
	if l.opts.Unbound {
		return nil
	}
	lc := &net.ListenConfig{}
	if l.opts.ReusePort {
		lc.Control = controlReusePort
	}
	if l.opts.Prepare != nil {
		l.opts.Prepare(lc)
	}
	nl, err := bind(ctx, lc, l.opts)
	if err != nil {
		return err
	}
	l.mu.Lock()
	s := newSocket(nl, l)
	l.socket = s
	closing := l.closing
	l.mu.Unlock()
	if closing {
		s.close()
	}
	return nil
}

// TakeOver makes the socket of old that of l, instead of Bind: no connection
// is lost between the two. A goroutine that is in old's Accept stays there and
// works for l. It reports false, and does nothing, when old has no open
// socket.
func (l *Listener) TakeOver(old *Listener) bool {
	old.mu.Lock()
	s := old.socket
	if s == nil || old.closing {
		old.mu.Unlock()
		return false
	}
	old.socket = nil
	old.mu.Unlock()
	l.mu.Lock()
	l.socket = s
	closing := l.closing
	l.mu.Unlock()
	s.owner.Store(l)
	if closing {
		s.close()
	}
	return true
}

// Name returns the listener's name.
func (l *Listener) Name() string { return l.opts.Name }

// Addr returns where the socket listens; nil when there is none.
func (l *Listener) Addr() net.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.socket == nil {
		return nil
	}
	return l.socket.Addr()
}

// SetLimits changes Options.MaxConnections and Options.WriteTimeout for
// connections that come from now on.
func (l *Listener) SetLimits(maxConnections int, writeTimeout time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opts.MaxConnections, l.opts.WriteTimeout = maxConnections, writeTimeout
}

// Accept takes connections until the listener is stopped (nil) or the socket
// fails for good. A shortage (too many open files) is waited out. Without a
// socket, or when the one it took over is attended to already, it returns nil
// at once.
func (l *Listener) Accept() error {
	l.mu.Lock()
	s := l.socket
	l.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.accept(l.opts.Log)
}

// Inject hands a connection in, as if it had been accepted. The listener owns
// nc in any case: it is closed if it cannot be served.
func (l *Listener) Inject(nc net.Conn) error {
	err := l.take(nc)
	if err != nil {
		_ = nc.Close()
	}
	return err
}

// take has nc served, or says why not.
func (l *Listener) take(nc net.Conn) error {
	c := conn.New(nc)
	if err := l.join(c); err != nil {
		return err
	}
	go l.serve(c)
	return nil
}

// serve is the bottom of a connection's stack, which is there even when nothing
// happens: what needs room is elsewhere.
func (l *Listener) serve(c *conn.Conn) {
	defer l.served(c)
	err := l.opts.Handler.ServeConn(l.base, c)
	l.settle(c, err)
	if err != nil {
		l.tell(c, err)
	}
	c.Free()
}

// served ends what serve began. One connection's defect must not end the others.
func (l *Listener) served(c *conn.Conn) {
	if p := recover(); p != nil {
		c.SetCause(conn.Panic)
		l.opts.Log.Error("panic while serving a connection", "listener", l.opts.Name,
			"peer", c.RemoteAddr().String(), "panic", p, "stack", string(debug.Stack()))
	}
	_ = c.Close()
	l.leave(c)
}

func (l *Listener) tell(c *conn.Conn, err error) {
	if !errors.Is(err, net.ErrClosed) && l.base.Err() == nil {
		l.opts.Log.Debug("connection ended", "listener", l.opts.Name, "peer", c.RemoteAddr().String(), "cause", c.Cause().String(), "error", err)
	}
}

// StopAccepting closes the socket, after it has taken the connections that
// wait there, and asks all connections to end at their next quiet moment; an
// idle one is kept a little longer, see conn.LastCall.
func (l *Listener) StopAccepting() { l.stop.Do(l.stopAccepting) }

func (l *Listener) stopAccepting() {
	l.mu.Lock()
	s := l.socket
	l.closing = true
	l.mu.Unlock()
	if s != nil {
		s.close()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopping = true
	for c := range l.conns {
		c.Drain()
	}
}

// Drain stops accepting and waits until all connections have ended. When ctx
// ends first, they are cut off, and the error says how many there were. A
// connection whose handler does not even end then is left behind.
func (l *Listener) Drain(ctx context.Context) error {
	l.StopAccepting()
	select {
	case <-l.ended():
		l.cutOff()
		return nil
	case <-ctx.Done():
	}
	left := l.Connections()
	l.Close()
	stuck := l.Wait()
	switch {
	case stuck > 0:
		return fmt.Errorf("listener %q: %d connections were cut off, and %d of them do not end: %w", l.opts.Name, left, stuck, context.Cause(ctx))
	case left > 0:
		return fmt.Errorf("listener %q: %d connections were cut off: %w", l.opts.Name, left, context.Cause(ctx))
	}
	return nil
}

// ended returns a channel that is closed once no connection is served. The
// listener is stopping, so that none can come any more.
func (l *Listener) ended() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		l.serving.Wait()
		close(done)
	}()
	return done
}

// Wait waits, after Close, until the handlers have returned: at most 2 s. It
// returns how many have not.
func (l *Listener) Wait() (left int) {
	if l.Connections() == 0 {
		return 0
	}
	timer := time.NewTimer(endGrace)
	defer timer.Stop()
	select {
	case <-l.ended():
		return 0
	case <-timer.C:
		return l.Connections()
	}
}

// Close cuts all connections off and closes the socket. It does not wait.
func (l *Listener) Close() {
	l.StopAccepting()
	l.cutOff()
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.SetCause(conn.CutOff)
		_ = c.Close()
	}
}

// Connections returns how many connections are being served.
func (l *Listener) Connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// Closed returns how many connections have ended so far, by cause; conn.Limit
// are those that were refused. Each that was accepted or refused is counted
// once, when it has ended.
func (l *Listener) Closed() (n [conn.CauseCount]int64) {
	for i := range n {
		n[i] = l.closed[i].Load()
	}
	return n
}

// Counts returns how many connections were accepted and refused so far.
func (l *Listener) Counts() (accepted, refused int64) { return l.accepted.Load(), l.refused.Load() }
