package conn

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// BufferSize is the size of a connection's read and write buffer in bytes.
const BufferSize = 4 << 10

var (
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, BufferSize) }}
	writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, BufferSize) }}
)

// Conn is a connection with pooled buffers, byte counters and a word for
// "between two requests". It is a net.Conn whose Read sees what the buffer
// holds first.
//
// One goroutine may read while another writes. Close, Drain, SetDeadline and
// the counters may be called from anywhere.
type Conn struct {
	net.Conn
	// Timeout bounds each Write; 0 is no bound. The limit may be up to a
	// quarter shorter than said. Set it before the connection is used.
	Timeout time.Duration
	// NotAfter ends every write; zero is never. The goroutine that writes sets it.
	NotAfter time.Time
	readBy   readLimit
	writeBy  writeLimit
	// layered: the connection below is a layer above another, TLS for example.
	layered bool

	// Ended, unless it is nil, is called once, by the first Close or Abort, with
	// why the connection has ended: LocalClose where nobody has said. It does not
	// block. Set it before the connection is used.
	Ended func(Cause)

	// Destination is where the peer wanted to go, if a firewall brought the
	// connection here; else not valid.
	Destination netip.AddrPort

	r *bufio.Reader
	w *bufio.Writer
	// first holds the byte that ended an idle wait without a buffer.
	first    [1]byte
	hasFirst bool

	in, out  atomic.Int64
	mu       sync.Mutex
	looker   *socketLooker // nil until somebody looks
	idle     bool
	draining bool
	closed   atomic.Bool
	cause    atomic.Uint32
}

// Target returns Destination as text; "" if there is none.
func (c *Conn) Target() string {
	if !c.Destination.IsValid() {
		return ""
	}
	return c.Destination.String()
}

// New wraps nc. The Conn owns nc from then on.
func New(nc net.Conn) *Conn {
	_, layered := bottom(nc)
	return &Conn{Conn: nc, layered: layered}
}

// Reader returns the buffered reader, taking a buffer from the pool if need
// be. It stays valid until Release.
func (c *Conn) Reader() *bufio.Reader {
	if c.r == nil {
		c.r = readers.Get().(*bufio.Reader)
		c.r.Reset(source{c})
	}
	return c.r
}

// Writer returns the buffered writer, taking a buffer from the pool if need
// be. It stays valid until Release. What is written is on its way after Flush.
func (c *Conn) Writer() *bufio.Writer {
	if c.w == nil {
		c.w = writers.Get().(*bufio.Writer)
		c.w.Reset(sink{c})
	}
	return c.w
}

// Release gives the buffers that hold nothing back to the pool.
func (c *Conn) Release() {
	if c.r != nil && c.r.Buffered() == 0 {
		c.putReader()
	}
	if c.w != nil && c.w.Buffered() == 0 {
		c.w.Reset(nil)
		writers.Put(c.w)
		c.w = nil
	}
}

func (c *Conn) putReader() {
	if c.r.Size() == BufferSize {
		c.r.Reset(nil)
		readers.Put(c.r)
	}
	c.r = nil
}

// Grow makes the read buffer hold at least size bytes, keeping its content.
// The larger buffer is dropped at the next Release.
func (c *Conn) Grow(size int) {
	old := c.Reader()
	if old.Size() >= size {
		return
	}
	held, _ := old.Peek(old.Buffered())
	c.r = bufio.NewReaderSize(&prefixed{head: append([]byte(nil), held...), rest: source{c}}, size)
	_, _ = c.r.Peek(len(held)) // take over what was buffered
	if old.Size() == BufferSize {
		old.Reset(nil)
		readers.Put(old)
	}
}

type prefixed struct {
	head []byte
	rest io.Reader
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.head) > 0 {
		n := copy(b, p.head)
		p.head = p.head[n:]
		return n, nil
	}
	return p.rest.Read(b)
}

// source is the connection below the read buffer.
type source struct{ c *Conn }

func (s source) Read(p []byte) (int, error) { return s.c.read(p) }

// sink is the connection below the write buffer.
type sink struct{ c *Conn }

func (s sink) Write(p []byte) (int, error) { return s.c.Write(p) }

func (c *Conn) read(p []byte) (int, error) {
	if c.hasFirst && len(p) > 0 {
		p[0] = c.first[0]
		c.hasFirst = false
		return 1, nil
	}
	n, err := c.Conn.Read(p)
	for n == 0 && c.resumes(err) {
		n, err = c.Conn.Read(p)
	}
	if n > 0 {
		c.in.Add(int64(n))
	}
	if err != nil {
		c.noteRead(err)
	}
	return n, err
}

// Read reads buffered bytes first, then from the connection.
func (c *Conn) Read(p []byte) (int, error) {
	if c.r != nil && c.r.Buffered() > 0 {
		return c.r.Read(p)
	}
	return c.read(p)
}

// Write writes to the connection, not through the buffer.
func (c *Conn) Write(p []byte) (int, error) {
	c.limitWrite()
	n, err := c.Conn.Write(p)
	for c.resumesWrite(err) {
		var m int
		m, err = c.Conn.Write(p[n:])
		n += m
	}
	if n > 0 {
		c.out.Add(int64(n))
	}
	if err != nil {
		c.noteWrite(err)
	}
	return n, err
}

// BytesRead and BytesWritten count what passed the connection so far.
func (c *Conn) BytesRead() int64    { return c.in.Load() }
func (c *Conn) BytesWritten() int64 { return c.out.Load() }

// CloseWrite ends our direction and leaves the peer's open, where the
// connection can do that; else it closes both.
func (c *Conn) CloseWrite() error {
	if h, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return c.Close()
}

// Close closes the connection. It is safe to call several times and from anywhere.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	c.tell()
	return c.under().Close()
}

// under returns the connection of the moment; Secure may put another in place.
func (c *Conn) under() net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Conn
}

// Abort closes the connection so that the peer cannot take the end for an
// orderly one, where that can be told: TCP by a reset, TLS by saying nothing.
func (c *Conn) Abort() error {
	if c.closed.Swap(true) {
		return nil
	}
	c.tell()
	nc, _ := bottom(c.Conn)
	if l, ok := nc.(interface{ SetLinger(sec int) error }); ok {
		_ = l.SetLinger(0)
	}
	return nc.Close()
}

// tell tells why the connection has ended.
func (c *Conn) tell() {
	if c.Ended != nil {
		c.SetCause(LocalClose)
		c.Ended(c.Cause())
	}
}

// Closed reports whether Close was called on this side.
func (c *Conn) Closed() bool { return c.closed.Load() }

// Free gives the buffers back for good; the owner calls it after the last use
// of Reader and Writer, when nobody reads or writes any more.
func (c *Conn) Free() {
	if c.r != nil {
		c.putReader()
	}
	if c.w != nil {
		c.w.Reset(nil)
		writers.Put(c.w)
		c.w = nil
	}
}
