package conn

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// PipeConn is one end of an in-memory connection; see NewPipe.
//
// It is a net.Conn with TCP's manners: what was written before a Close or
// CloseWrite can still be read at the other end, which then gets io.EOF. All
// methods are safe for concurrent use. A Write is never mixed with another.
//
// Errors are *net.OpError and hold os.ErrDeadlineExceeded when a deadline has
// passed, net.ErrClosed after this end's own Close, and io.ErrClosedPipe when
// nobody will read what is written; io.EOF stands alone.
type PipeConn struct {
	in, out       *half
	local, remote PipeAddr
}

// PipeAddr is the address of an end of a pipe: a name without further meaning.
type PipeAddr string

// Network returns "pipe".
func (PipeAddr) Network() string { return "pipe" }

// String returns the name.
func (a PipeAddr) String() string { return string(a) }

// Pipe returns the two ends of an in-memory connection called "client" and "server".
func Pipe() (client, server net.Conn) {
	return NewPipe("client", "server")
}

// NewPipe returns the two ends of an in-memory connection. Each end's
// LocalAddr is its own name and its RemoteAddr the other's.
//
// Either direction holds up to 64 KiB that nobody has read yet; a Write that
// does not fit waits. The memory is borrowed while there is something to hold:
// an idle pipe has none. The pipe runs no goroutine, so one that was forgotten
// without Close is simply collected.
func NewPipe(client, server string) (*PipeConn, *PipeConn) {
	p := new(struct {
		up, down       half
		client, server PipeConn
	})
	p.up.init()
	p.down.init()
	p.client = PipeConn{in: &p.down, out: &p.up, local: PipeAddr(client), remote: PipeAddr(server)}
	p.server = PipeConn{in: &p.up, out: &p.down, local: PipeAddr(server), remote: PipeAddr(client)}
	return &p.client, &p.server
}

// Read fills b with what there is, waiting until there is something.
func (c *PipeConn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	return n, c.wrap("read", err)
}

// Write copies b into the pipe, waiting for room if need be. On an error it
// returns how many bytes went in; the other end may read those.
func (c *PipeConn) Write(b []byte) (int, error) {
	n, err := c.out.write(b)
	return int(n), c.wrap("write", err)
}

// Writev writes the slices one after the other, as one Write of all of them
// would. It changes neither bufs nor what is in it.
func (c *PipeConn) Writev(bufs [][]byte) (int64, error) {
	n, err := c.out.write(bufs...)
	return n, c.wrap("write", err)
}

// CloseWrite ends this end's output: the other end reads what is left, then
// io.EOF. The other direction stays open.
func (c *PipeConn) CloseWrite() error {
	c.out.shutWrite(sideShut)
	return nil
}

// CloseRead drops what was not read. Reads here return io.EOF from now on, and
// writes of the other end fail. The other direction stays open.
func (c *PipeConn) CloseRead() error {
	c.in.shutRead(sideShut)
	return nil
}

// Close closes both directions and wakes whoever waits at either end. It may
// be called more than once and returns nil.
func (c *PipeConn) Close() error {
	// Reading ends first: what the other end says to the end of our output is
	// nothing that anybody here may still hear.
	c.in.shutRead(sideClosed)
	c.out.shutWrite(sideClosed)
	return nil
}

// LocalAddr returns this end's PipeAddr.
func (c *PipeConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the other end's PipeAddr.
func (c *PipeConn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline does what SetReadDeadline and SetWriteDeadline do.
func (c *PipeConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets when waiting and future Reads fail; a zero time is never.
func (c *PipeConn) SetReadDeadline(t time.Time) error {
	return c.wrap("set", c.in.setDeadline(&c.in.reader, t))
}

// SetWriteDeadline sets when waiting and future Writes fail; a zero time is never.
func (c *PipeConn) SetWriteDeadline(t time.Time) error {
	return c.wrap("set", c.out.setDeadline(&c.out.writer, t))
}

// wrap tells where an error happened.
func (c *PipeConn) wrap(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return &net.OpError{Op: op, Net: "pipe", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// half is one direction of a pipe: a ring of bytes between the writing side of
// one end and the reading side of the other.
type half struct {
	mu             sync.Mutex
	reader, writer side
	// writing is set while a Write that has put in some of its bytes waits
	// for room; other Writes wait for it to finish.
	writing bool
	// ring holds count bytes from position start on. Its length is a power
	// of two; it is nil when count is 0.
	ring         []byte
	start, count int
	// draining: the writing end wants no more requests from the reading one.
	draining atomic.Bool
}

func (h *half) init() {
	h.reader.cond.L = &h.mu
	h.writer.cond.L = &h.mu
}

func (h *half) read(b []byte) (int, error) {
	h.mu.Lock()
	for {
		switch {
		case h.reader.state == sideClosed:
			h.mu.Unlock()
			return 0, net.ErrClosed
		case h.reader.state == sideShut:
			h.mu.Unlock()
			return 0, io.EOF
		case len(b) == 0:
			h.mu.Unlock()
			return 0, nil
		case h.reader.expired():
			h.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case h.count > 0:
			n := h.take(b)
			// Waking a writer for every few bytes would only make the
			// two take turns; it gets half of the room at a time.
			wake := h.writer.waiting > 0 && h.count <= maxRing/2
			h.mu.Unlock()
			if wake {
				h.writer.cond.Broadcast()
			}
			return n, nil
		case h.writer.state != sideOpen:
			h.mu.Unlock()
			return 0, io.EOF
		}
		h.reader.wait()
	}
}

func (h *half) write(bufs ...[]byte) (n int64, err error) {
	h.mu.Lock()
	for h.writing {
		if err := h.writeErr(); err != nil {
			h.mu.Unlock()
			return 0, err
		}
		h.writer.wait()
	}
	waited := false
	err = h.writeErr()
	for i := 0; err == nil && i < len(bufs); i++ {
		for b := bufs[i]; len(b) > 0; {
			m := h.put(b)
			n += int64(m)
			if b = b[m:]; len(b) == 0 {
				break
			}
			h.writing, waited = true, true
			if h.reader.waiting > 0 {
				h.reader.cond.Broadcast()
			}
			h.writer.wait()
			if err = h.writeErr(); err != nil {
				break
			}
		}
	}
	if waited {
		h.writing = false
	}
	wakeReader := h.count > 0 && h.reader.waiting > 0
	wakeWriters := waited && h.writer.waiting > 0
	h.mu.Unlock()
	if wakeReader {
		h.reader.cond.Broadcast()
	}
	if wakeWriters {
		h.writer.cond.Broadcast()
	}
	return n, err
}

// writeErr says why nothing can be written now, if so.
func (h *half) writeErr() error {
	switch {
	case h.writer.state == sideClosed:
		return net.ErrClosed
	case h.writer.state == sideShut, h.reader.state != sideOpen:
		return io.ErrClosedPipe
	case h.writer.expired():
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (h *half) shutWrite(to sideState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writer.shut(to)
	h.reader.cond.Broadcast()
}

func (h *half) shutRead(to sideState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reader.shut(to)
	h.writer.cond.Broadcast()
	h.start, h.count = 0, 0
	h.release()
}

func (h *half) setDeadline(s *side, t time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.state == sideClosed {
		return net.ErrClosed
	}
	s.deadline = t
	s.recheck()
	return nil
}

// sideState is how far a side of a direction is shut.
type sideState uint8

const (
	sideOpen   sideState = iota
	sideShut             // by CloseRead or CloseWrite
	sideClosed           // by Close
)

// side is the reading or the writing side of a half: who waits there, until
// when. It is guarded by the half's lock, which is cond.L.
type side struct {
	cond     sync.Cond
	waiting  int
	state    sideState
	deadline time.Time
	// timer fires at fires, which is never after the deadline while someone
	// waits. It is neither stopped nor moved when the deadline is put off,
	// so that a deadline set anew for each message costs no timer.
	timer *time.Timer
	fires time.Time
}

func (s *side) expired() bool {
	return !s.deadline.IsZero() && time.Until(s.deadline) <= 0
}

// wait waits until something may have changed.
func (s *side) wait() {
	if !s.deadline.IsZero() {
		s.arm()
	}
	s.waiting++
	s.cond.Wait()
	s.waiting--
}

// arm sees to it that the timer fires by the deadline.
func (s *side) arm() {
	if !s.fires.IsZero() && !s.deadline.Before(s.fires) {
		return
	}
	s.fires = s.deadline
	if s.timer == nil {
		s.timer = time.AfterFunc(time.Until(s.deadline), s.fired)
	} else {
		s.timer.Reset(time.Until(s.deadline))
	}
}

func (s *side) fired() {
	s.cond.L.Lock()
	defer s.cond.L.Unlock()
	s.fires = time.Time{}
	s.recheck()
}

// recheck applies the deadline to those who wait.
func (s *side) recheck() {
	switch {
	case s.waiting == 0 || s.deadline.IsZero():
	case s.expired():
		s.cond.Broadcast()
	default:
		s.arm()
	}
}

func (s *side) shut(to sideState) {
	s.state = max(s.state, to)
	if s.timer != nil {
		s.timer.Stop()
	}
	s.fires = time.Time{}
	s.cond.Broadcast()
}
