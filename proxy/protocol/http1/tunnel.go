package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// tunnelOp is what errors call what goes on after a 101.
const tunnelOp = "upgraded connection"

// tunnel is a request's Tunnel: what a caller sends after a 101. It also
// watches over the time in which nothing passes in either direction.
type tunnel struct {
	c *conn.Conn
	// offered is what the caller can go on with.
	offered string
	// idle is how long nothing may pass; 0 is for ever.
	idle time.Duration
	// ctx is that of the request; it ends with the tunnel.
	ctx    context.Context
	cancel context.CancelCauseFunc
	// opened is closed once the caller has the 101, closed once nobody reads
	// any more.
	opened, closed chan struct{}

	start time.Time
	last  atomic.Int64 // when the last bytes passed, in ns since start

	mu   sync.Mutex
	cond sync.Cond // tells that reading has become false
	// reading: a Read is at work on the connection.
	reading bool
	over    bool // closed is closed
	taken   int64
	failed  *stream.Error // nothing passed for too long
	timer   *time.Timer
}

// offer makes a tunnel if the request offers another protocol that we pass on:
// with a GET and HTTP/1.1 alone, and never together with a body. It returns
// the context for the request.
func (x *exchange) offer(ctx context.Context) context.Context {
	f := &x.frame
	if !f.upgrades || f.upgrade == "" || f.http10 || x.req.Method != "GET" {
		return ctx
	}
	offered := passable(f.upgrade)
	if offered == "" {
		return ctx
	}
	t := &tunnel{c: x.c, offered: offered, idle: x.s.opts.IdleTimeout, opened: make(chan struct{}), closed: make(chan struct{})}
	t.cond.L = &t.mu
	t.ctx, t.cancel = context.WithCancelCause(ctx)
	x.tunnel, x.req.Upgrade, x.req.Tunnel = t, offered, t
	return t.ctx
}

// open lets the caller's bytes be read: nobody else reads the connection now.
func (t *tunnel) open() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.start = time.Now()
	if t.idle > 0 {
		t.timer = time.AfterFunc(t.idle, t.look)
	}
	close(t.opened)
}

// touch notes that bytes have passed.
func (t *tunnel) touch() { t.last.Store(int64(time.Since(t.start))) }

// look ends the tunnel if nothing has passed for long enough, and else looks
// again when that can be so at the earliest.
func (t *tunnel) look() {
	left := t.idle - (time.Since(t.start) - time.Duration(t.last.Load()))
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.failed != nil || t.timer == nil:
	case left > 0:
		t.timer.Reset(left)
	default:
		t.failed = &stream.Error{Kind: stream.Timeout, Op: tunnelOp, Err: fmt.Errorf("no byte in either direction for %v", t.idle)}
		_ = t.c.SetReadDeadline(time.Unix(1, 0))
		t.cancel(t.failed)
	}
}

// Read implements io.Reader.
func (t *tunnel) Read(p []byte) (int, error) {
	select {
	case <-t.opened:
	case <-t.closed:
		return 0, errClosedBody
	}
	if err := t.enter(); err != nil {
		return 0, err
	}
	n, err := t.c.Read(p)
	t.c.Release() // what came early has a buffer, what comes now needs none
	if n > 0 {
		t.touch()
	}
	return n, t.leave(n, err)
}

func (t *tunnel) enter() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.over:
		return errClosedBody
	case t.failed != nil:
		return t.failed
	}
	t.reading = true
	return nil
}

// leave is the end of a Read of n bytes. It returns what the error means.
func (t *tunnel) leave(n int, err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken += int64(n)
	t.reading = false
	t.cond.Broadcast()
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return err
	case t.failed != nil:
		return t.failed
	case t.over:
		return errClosedBody
	case errors.Is(err, net.ErrClosed): // by us: the context has ended, or is about to
		return &stream.Error{Kind: stream.Canceled, Side: stream.Downstream, Op: tunnelOp, Err: err}
	}
	return bodyError(err)
}

// Close implements io.Closer: a Read that waits returns.
func (t *tunnel) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return nil
	}
	t.over = true
	close(t.closed)
	if t.reading {
		_ = t.c.SetReadDeadline(time.Unix(1, 0))
	}
	return nil
}

// wait waits until what the caller sends was passed on, or cannot be.
func (t *tunnel) wait() {
	select {
	case <-t.closed:
	case <-t.ctx.Done():
	}
}

// end returns when nobody reads the connection any more. It reports whether
// the tunnel ended because nothing passed for too long. It may be called twice.
func (t *tunnel) end() (idle bool) {
	_ = t.Close()
	t.cancel(nil)
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.reading {
		t.cond.Wait()
	}
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
	return t.failed != nil
}
