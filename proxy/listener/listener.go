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
	// Name is the listener's name, for messages; Path where it stands in the
	// configuration.
	Name, Path string
	// Network is "tcp" or "unix"; Address what to listen on. With Unbound, no
	// socket is opened, and only Inject brings connections.
	Network, Address string
	Unbound          bool
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

// Listener accepts connections in one place. All methods are safe for
// concurrent use.
type Listener struct {
	opts    Options
	handler atomic.Pointer[Handler]

	base   context.Context // ends when connections are to be cut off
	cutOff context.CancelFunc

	mu       sync.Mutex
	socket   net.Listener
	stopping bool
	conns    map[*conn.Conn]struct{}
	serving  sync.WaitGroup

	accepted, refused atomic.Int64
}

// New makes a listener; Bind opens it. ctx is the life of its connections:
// when it ends they are cut off.
func New(ctx context.Context, opts Options) *Listener {
	l := &Listener{opts: opts, conns: make(map[*conn.Conn]struct{})}
	l.base, l.cutOff = context.WithCancel(ctx)
	l.handler.Store(&opts.Handler)
	return l
}

// Bind opens the socket, if the listener has one. The error names the listener
// and its address.
func (l *Listener) Bind(ctx context.Context) error {
	if l.opts.Unbound {
		return nil
	}
	socket, err := bind(ctx, l.opts.Network, l.opts.Address)
	if err != nil {
		return fmt.Errorf("listener %q (%s): %w", l.opts.Name, l.opts.Path, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.socket = socket
	return nil
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

// SetHandler changes who answers connections from now on. Those under way keep theirs.
func (l *Listener) SetHandler(h Handler) { l.handler.Store(&h) }

// Accept takes connections until the listener is stopped (nil) or the socket
// fails for good. A shortage (too many open files) is waited out.
func (l *Listener) Accept() error {
	l.mu.Lock()
	socket := l.socket
	l.mu.Unlock()
	if socket == nil {
		return nil
	}
	const longest = time.Second
	for pause := time.Duration(0); ; {
		nc, err := socket.Accept()
		if err == nil {
			pause = 0
			_ = l.Inject(nc)
			continue
		}
		if l.stopped() {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("listener %q: %w", l.opts.Name, err)
		}
		pause = min(max(2*pause, 5*time.Millisecond), longest)
		l.opts.Log.Warn("cannot accept a connection, trying again", "listener", l.opts.Name, "error", err, "in", pause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-l.base.Done():
			timer.Stop()
		}
	}
}

func (l *Listener) stopped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopping
}

// Inject hands a connection in, as if it had been accepted. The listener owns
// nc in any case: it is closed if it cannot be served.
func (l *Listener) Inject(nc net.Conn) error {
	c := conn.New(nc)
	c.Timeout = l.opts.WriteTimeout
	l.mu.Lock()
	switch {
	case l.stopping:
		l.mu.Unlock()
		_ = nc.Close()
		return ErrStopped
	case l.opts.MaxConnections > 0 && len(l.conns) >= l.opts.MaxConnections:
		l.mu.Unlock()
		l.refused.Add(1)
		_ = nc.Close()
		return ErrFull
	}
	l.conns[c] = struct{}{}
	l.serving.Add(1)
	l.mu.Unlock()
	l.accepted.Add(1)
	go l.serve(c)
	return nil
}

func (l *Listener) serve(c *conn.Conn) {
	defer l.serving.Done()
	defer func() {
		// One connection's defect must not end the others.
		if p := recover(); p != nil {
			l.opts.Log.Error("panic while serving a connection", "listener", l.opts.Name,
				"peer", c.RemoteAddr().String(), "panic", p, "stack", string(debug.Stack()))
		}
		_ = c.Close()
		l.mu.Lock()
		delete(l.conns, c)
		l.mu.Unlock()
	}()
	err := (*l.handler.Load()).ServeConn(l.base, c)
	c.Free()
	if err != nil && !errors.Is(err, net.ErrClosed) && l.base.Err() == nil {
		l.opts.Log.Debug("connection ended", "listener", l.opts.Name, "peer", c.RemoteAddr().String(), "error", err)
	}
}

// StopAccepting closes the socket and asks the connections to end at their
// next quiet moment.
func (l *Listener) StopAccepting() {
	l.mu.Lock()
	socket, already := l.socket, l.stopping
	l.stopping = true
	conns := make([]*conn.Conn, 0, len(l.conns))
	for c := range l.conns {
		conns = append(conns, c)
	}
	l.mu.Unlock()
	if already {
		return
	}
	if socket != nil {
		_ = socket.Close()
	}
	for _, c := range conns {
		c.Drain()
	}
}

// Drain stops accepting and waits until all connections have ended. When ctx
// ends first, they are cut off, and the error says how many there were.
func (l *Listener) Drain(ctx context.Context) error {
	l.StopAccepting()
	done := make(chan struct{})
	go func() {
		l.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
		l.cutOff()
		return nil
	case <-ctx.Done():
	}
	left := l.Connections()
	l.Close()
	<-done
	if left == 0 {
		return nil
	}
	return fmt.Errorf("listener %q: %d connections were cut off: %w", l.opts.Name, left, context.Cause(ctx))
}

// Close cuts all connections off and closes the socket. It does not wait.
func (l *Listener) Close() {
	l.StopAccepting()
	l.cutOff()
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		_ = c.Close()
	}
}

// Connections returns how many connections are being served.
func (l *Listener) Connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// Counts returns how many connections were accepted and refused so far.
func (l *Listener) Counts() (accepted, refused int64) { return l.accepted.Load(), l.refused.Load() }
