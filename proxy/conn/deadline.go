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
	w := &c.writeBy
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.told.Equal(w.most) {
		w.told = w.most
		_ = c.Conn.SetWriteDeadline(w.most) // the end is set for each write
	}
}

// writeLimit is when writes fail. It is like readLimit, but each write has an end of
// its own.
type writeLimit struct {
	mu sync.Mutex
	// end is when the write at hand fails by Timeout and NotAfter, most when any
	// does; zero is never.
	end, most time.Time
	// told is the deadline of the connection below.
	told time.Time
}

// at returns when the write at hand fails. The mutex is held.
func (w *writeLimit) at() time.Time {
	if notLater(w.end, w.most) {
		return w.end
	}
	return w.most
}

// SetDeadline does what SetReadDeadline and SetWriteDeadline do. The connection
// below has both deadlines then.
func (c *Conn) SetDeadline(t time.Time) error {
	l, w := &c.readBy, &c.writeBy
	l.mu.Lock()
	defer l.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	l.end, l.told = t, t
	w.most, w.told = t, t
	return c.Conn.SetDeadline(t)
}

// SetWriteDeadline sets when waiting and future writes fail, if Timeout or NotAfter
// does not end them before; a zero time is never.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	w := &c.writeBy
	w.mu.Lock()
	defer w.mu.Unlock()
	w.most, w.told = t, t
	return c.Conn.SetWriteDeadline(t)
}

// limitWrite sees to it that the connection below has a write deadline that is
// not later than Timeout, NotAfter and SetWriteDeadline ask for. One that is earlier
// stays, if a write that it ends can go on, or if it is nearly right.
func (c *Conn) limitWrite() {
	w := &c.writeBy
	w.mu.Lock()
	defer w.mu.Unlock()
	early := !c.layered
	w.end = c.NotAfter
	if c.Timeout > 0 {
		now := time.Now()
		if stall := now.Add(c.Timeout); w.end.IsZero() || stall.Before(w.end) {
			w.end = stall
			early = early || w.told.After(now.Add(c.Timeout-c.Timeout/4))
		}
	}
	at := w.at()
	if at.Equal(w.told) || early && notLater(w.told, at) {
		return
	}
	w.told = at
	_ = c.Conn.SetWriteDeadline(at)
}

// resumesWrite takes the outcome of a write to the connection below, and reports
// whether what is left is to be written: it has failed, but the time for it is not
// over. A layer such as TLS cannot be written to after a deadline.
func (c *Conn) resumesWrite(err error) bool {
	if err == nil || c.layered || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	w := &c.writeBy
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.at()
	if at.Equal(w.told) || !at.IsZero() && !time.Now().Before(at) {
		return false
	}
	w.told = at
	return c.Conn.SetWriteDeadline(at) == nil
}
