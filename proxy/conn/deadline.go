package conn

import (
	"errors"
	"os"
	"sync"
	"time"
)

// readLimit is when reads fail. To tell the connection below of each change costs
// more than most reads do, and nearly all of them put off the end: a deadline that
// the connection has stays as long as it is not too late, and a read that it ends
// too early goes on.
type readLimit struct {
	mu sync.Mutex
	// end is when reads fail; zero is never.
	end time.Time
	// told is the deadline of the connection below: never later than end.
	told time.Time
}

// SetReadDeadline sets when waiting and future reads fail; a zero time is never.
func (c *Conn) SetReadDeadline(t time.Time) error {
	l := &c.readBy
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = t
	if !notLater(l.told, t) {
		l.told = t
		return c.Conn.SetReadDeadline(t)
	}
	return nil
}

// notLater reports whether deadline a does not come later than b.
func notLater(a, b time.Time) bool {
	return b.IsZero() || !a.IsZero() && !b.Before(a)
}

// resumes takes the outcome of a read from the connection below, and reports
// whether that is to be repeated: it has failed, but the time for it is not over.
func (c *Conn) resumes(err error) bool {
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	l := &c.readBy
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told.Equal(l.end) || !l.end.IsZero() && !time.Now().Before(l.end) {
		return false
	}
	l.told = l.end
	return c.Conn.SetReadDeadline(l.end) == nil
}

// exact makes the deadlines of the connection below what they are here, for
// somebody who will use it without us.
func (c *Conn) exact() {
	l := &c.readBy
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.told.Equal(l.end) {
		l.told = l.end
		_ = c.Conn.SetReadDeadline(l.end)
	}
	if !c.writeBy.IsZero() {
		c.writeBy = time.Time{}
		_ = c.Conn.SetWriteDeadline(time.Time{}) // it is set for each write
	}
}

// SetDeadline does what SetReadDeadline and SetWriteDeadline do. The connection
// below has both deadlines then.
func (c *Conn) SetDeadline(t time.Time) error {
	l := &c.readBy
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end, l.told = t, t
	c.moved.Store(true)
	return c.Conn.SetDeadline(t)
}

// SetWriteDeadline sets when writes fail, until the next Write that Timeout or
// NotAfter bounds: those go first.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.moved.Store(true)
	return c.Conn.SetWriteDeadline(t)
}

// limitWrite sees to it that the connection below has a write deadline that is
// not later than Timeout and NotAfter ask for. One that is earlier stays, if a
// write that it ends can go on, or if it is nearly right.
func (c *Conn) limitWrite() {
	if c.moved.Load() {
		c.moved.Store(false)
		c.writeBy = time.Time{}
	}
	at, early := c.NotAfter, !c.layered
	if c.Timeout > 0 {
		now := time.Now()
		if stall := now.Add(c.Timeout); at.IsZero() || stall.Before(at) {
			at = stall
			early = early || c.writeBy.After(now.Add(c.Timeout-c.Timeout/4))
		}
	}
	c.writeEnd = at
	if at.Equal(c.writeBy) || early && notLater(c.writeBy, at) {
		return
	}
	c.writeBy = at
	_ = c.Conn.SetWriteDeadline(at)
}

// resumesWrite takes the outcome of a write to the connection below, and reports
// whether what is left is to be written: it has failed, but the time for it is not
// over. A layer such as TLS cannot be written to after a deadline.
func (c *Conn) resumesWrite(err error) bool {
	if err == nil || c.layered || !errors.Is(err, os.ErrDeadlineExceeded) || c.moved.Load() {
		return false
	}
	at := c.writeEnd
	if at.Equal(c.writeBy) || !at.IsZero() && !time.Now().Before(at) {
		return false
	}
	c.writeBy = at
	return c.Conn.SetWriteDeadline(at) == nil
}
