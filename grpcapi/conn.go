package grpcapi

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/mem"
)

// silentTime is how much longer a connection on which nothing has come in yet
// may stay silent when the server stops.
const silentTime = 250 * time.Millisecond

// connSet holds the open connections. gRPC's server knows them too, but neither
// those that have not begun to speak yet, which hold up its end, nor when a
// single one is closed.
type connSet struct {
	mu    sync.Mutex
	conns map[*trackedConn]struct{}
}

// trackedConn is a connection that is in a connSet until it is closed.
type trackedConn struct {
	net.Conn
	set    *connSet
	heard  atomic.Bool // something came in
	asked  atomic.Bool // something came in since the last write
	once   sync.Once
	err    error // of closing
	closed chan struct{}

	// For ReadOnReady, which only the reading goroutine calls.
	small [smallRead]byte
	busy  bool // the last read filled its buffer: there is more
}

// smallRead is how much an idle connection is ready to read. A usual small call
// fits.
const smallRead = 2 << 10

func (s *connSet) add(c net.Conn) *trackedConn {
	tc := &trackedConn{Conn: c, set: s, closed: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		s.conns = make(map[*trackedConn]struct{})
	}
	s.conns[tc] = struct{}{}
	return tc
}

// Read implements net.Conn.
func (c *trackedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.asked.Store(true)
		if !c.heard.Load() {
			c.heard.Store(true)
		}
	}
	return n, err
}

// gRPC's writer of a connection flushes a buffer of bufferedWrite bytes when it is
// full, or when there is nothing left to put into it. Before a write of less than
// smallWrite bytes it lets other goroutines run first, whose answers then leave in the
// same write.
const (
	smallWrite    = 1000
	bufferedWrite = 32 << 10
)

// Write implements net.Conn. Before a write that gRPC does not hold back, and which
// is not the only one that the last read has brought about, it lets other goroutines
// run: the answers that they have ready wait in gRPC's queue and leave together in the
// write after this one, instead of one by one.
func (c *trackedConn) Write(b []byte) (int, error) {
	first := c.asked.Swap(false)
	if !first && len(b) >= smallWrite && len(b) < bufferedWrite {
		runtime.Gosched()
	}
	return c.Conn.Write(b)
}

// ReadOnReady is what gRPC's server reads through, when a connection has it,
// instead of a buffer of size bytes (32 KiB) per connection: it returns a buffer
// of the pool with what came in. An idle connection waits with a small buffer of
// its own, and only a read that fills it is followed by one into a large buffer.
func (c *trackedConn) ReadOnReady(size int, pool mem.BufferPool) (*[]byte, int, error) {
	if c.busy || size < smallRead {
		buf := pool.Get(size)
		n, err := c.Read(*buf)
		c.busy = n == len(*buf)
		if n == 0 {
			pool.Put(buf)
			return nil, 0, err
		}
		return buf, n, err
	}
	n, err := c.Read(c.small[:])
	c.busy = n == smallRead
	if n == 0 {
		return nil, 0, err
	}
	buf := pool.Get(size)
	return buf, copy(*buf, c.small[:n]), err
}

// Close implements net.Conn. It is safe twice.
func (c *trackedConn) Close() error {
	c.once.Do(func() {
		c.err = c.Conn.Close()
		c.set.mu.Lock()
		delete(c.set.conns, c)
		c.set.mu.Unlock()
		close(c.closed)
	})
	return c.err
}

func (s *connSet) all() []*trackedConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*trackedConn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	return all
}

// hurrySilent gives connections that have not said anything a last chance: a
// call that is just arriving is still served, a probe that only connected does
// not hold up the end. Once gRPC knows who is speaking, it takes the limit off.
func (s *connSet) hurrySilent() {
	for _, c := range s.all() {
		if !c.heard.Load() {
			// On an error it is closed already, or cannot be limited; then
			// gRPC's own limit counts.
			_ = c.SetReadDeadline(time.Now().Add(silentTime))
		}
	}
}

// closeAll closes all connections and returns how many there were.
func (s *connSet) closeAll() int {
	all := s.all()
	for _, c := range all {
		_ = c.Close() // nobody is left to tell
	}
	return len(all)
}

// trackedListener puts the connections it accepts into a connSet.
type trackedListener struct {
	net.Listener
	conns *connSet
}

// Accept implements net.Listener.
func (l *trackedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.conns.add(c), nil
}

// handoff is a listener whose connections are handed in.
type handoff struct {
	conns  chan *trackedConn
	once   sync.Once
	closed chan struct{}
}

func newHandoff() *handoff {
	return &handoff{conns: make(chan *trackedConn), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handoff) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr implements net.Listener.
func (h *handoff) Addr() net.Addr { return handoffAddr{} }

type handoffAddr struct{}

func (handoffAddr) Network() string { return "handoff" }
func (handoffAddr) String() string  { return "handed-in connections" }
