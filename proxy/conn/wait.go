package conn

import (
	"errors"
	"os"
	"time"
)

// holdBuffer is how long an idle connection keeps its read buffer: a busy
// caller's next request is read without asking the pool, a quiet connection
// costs no buffer.
const holdBuffer = 2 * time.Second

// LastCall is how long an idle connection that is to end is kept open for a
// request that its peer may be sending at this moment. To close it at once
// would cost that request, and the peer could not know whether to repeat it.
const LastCall = time.Second

// lateGrace is how long a byte that has arrived at the end of a wait may take
// to become one of the connection's: below TLS it may be part of a record.
const lateGrace = 100 * time.Millisecond

// ErrDraining is returned by the idle waits when the connection is to end.
var ErrDraining = errors.New("connection is draining")

// WaitRequest waits, idle, until the peer sends something: at most timeout, 0
// being for ever. While it waits the connection holds no buffer (after a short
// while). Once the connection drains it waits LastCall at most, then the error
// is ErrDraining. A deadline that passes is os.ErrDeadlineExceeded. What has
// arrived by the end of a wait is never left unread. After nil the connection
// has the read deadline it had before, if there was something to read already,
// else none.
func (c *Conn) WaitRequest(timeout time.Duration) error { return c.WaitQuiet(timeout, nil) }

// WaitQuiet is WaitRequest for a user of the connection with memory of its own
// to give up: quiet is called when the buffer is given back. It may be nil.
func (c *Conn) WaitQuiet(timeout time.Duration, quiet func()) error {
	err := c.wait(timeout, quiet)
	if !errors.Is(err, ErrDraining) {
		return c.late(err)
	}
	c.Release()
	wait := LastCall
	if timeout > 0 {
		wait = min(wait, timeout)
	}
	if err := c.late(c.readFirst(wait)); !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return ErrDraining
}

// WaitOrDrain is WaitRequest for a protocol that can tell its peer of the end:
// Drain ends the wait at once, and it does not wait when the connection drains.
// What has arrived then stays to be read. quiet is as for WaitQuiet.
func (c *Conn) WaitOrDrain(timeout time.Duration, quiet func()) error { return c.wait(timeout, quiet) }

func (c *Conn) wait(timeout time.Duration, quiet func()) error {
	if c.hasFirst || c.r != nil && c.r.Buffered() > 0 {
		return nil
	}
	c.mu.Lock()
	if c.draining {
		c.mu.Unlock()
		return ErrDraining
	}
	c.idle = true
	hold := holdBuffer
	if timeout > 0 && timeout < hold {
		hold = timeout
	}
	_ = c.SetReadDeadline(time.Now().Add(hold))
	c.mu.Unlock()

	_, err := c.Reader().Peek(1)
	if errors.Is(err, os.ErrDeadlineExceeded) && (timeout == 0 || timeout > hold) && c.rearm(timeout, hold) {
		c.Release()
		if quiet != nil {
			quiet()
		}
		n, again := 0, true
		for ; again; again = c.resumes(err) {
			n, err = c.Conn.Read(c.first[:])
		}
		if n == 1 {
			c.in.Add(1)
			c.hasFirst, err = true, nil
		}
		if err != nil {
			c.noteRead(err)
		}
	}
	c.mu.Lock()
	c.idle = false
	draining := c.draining
	if !draining || err == nil {
		_ = c.SetReadDeadline(time.Time{})
	}
	c.mu.Unlock()
	if draining && errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrDraining
	}
	return err
}

// rearm sets the deadline of the second, bufferless part of an idle wait. It
// reports false when the connection is draining.
func (c *Conn) rearm(timeout, waited time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		return false
	}
	var at time.Time
	if timeout > 0 {
		at = time.Now().Add(timeout - waited)
	}
	_ = c.SetReadDeadline(at)
	return true
}

// readFirst waits, without a buffer, until the peer sends something, at most d.
func (c *Conn) readFirst(d time.Duration) error {
	_ = c.SetReadDeadline(time.Now().Add(d))
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	n, err := c.Conn.Read(c.first[:])
	for c.resumes(err) {
		n, err = c.Conn.Read(c.first[:])
	}
	if n == 1 {
		c.in.Add(1)
		c.hasFirst, err = true, nil
	}
	if err != nil {
		c.noteRead(err)
	}
	return err
}

// late takes the error of a wait. A read whose deadline has passed does not
// look at what arrived before: late does.
func (c *Conn) late(err error) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if arrived, _ := c.look(); arrived == 0 {
		return err
	}
	return c.readFirst(lateGrace)
}

// Drain asks the connection to end at the next quiet moment. A protocol server
// sees Draining after the request in hand, and tells the peer; an idle wait
// ends after LastCall, or at once where the server can tell the peer then. The
// other end of a pipe sees it at once, with PeerDraining.
func (c *Conn) Drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	if p, ok := c.Conn.(*PipeConn); ok {
		p.out.draining.Store(true)
	}
	if c.idle {
		_ = c.SetReadDeadline(time.Unix(1, 0))
	}
}

// Draining reports whether Drain was called.
func (c *Conn) Draining() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.draining
}

// PeerDraining reports whether the other end of a pipe drains. What is sent
// within LastCall is answered, but another connection is the better choice.
func (c *Conn) PeerDraining() bool {
	p, ok := c.Conn.(*PipeConn)
	return ok && p.in.draining.Load()
}
