package http1

import (
	"errors"
	"os"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// requestBody is a request's body on its way to the handler. One goroutine
// reads; Close may come meanwhile, and so may the answer.
type requestBody struct {
	x *exchange
	r bodyReader

	mu   sync.Mutex
	cond sync.Cond // tells that reading has become false
	// reading: a Read is at work on the connection.
	reading bool
	closed  bool
	// expect: the caller waits for 100. After answered nobody may write it
	// any more, since the answer is on its way.
	expect, answered bool
	// by is the read deadline that Read has set.
	by time.Time
}

var (
	errBodyClosed = errors.New("the request body was closed")
	errClosedBody = &stream.Error{Kind: stream.Reset, Op: "read request body", Err: errBodyClosed}
	errTooLarge   = &stream.Error{Kind: stream.TooLarge, Side: stream.Downstream, Op: "read request body"}
)

func (b *requestBody) init(x *exchange) {
	b.x = x
	b.cond.L = &b.mu
}

// begin takes the body of the request whose head has just been read.
func (b *requestBody) begin() {
	f := &b.x.frame
	kind := bodyNone
	switch {
	case f.chunked:
		kind = bodyChunked
	case f.length > 0:
		kind = bodyLength
	}
	b.r.reset(b.x.c, kind, f.length, &b.x.req.Trailer)
	b.closed, b.answered, b.by = false, false, time.Time{}
	b.expect = f.expectContinue && !f.http10 && kind != bodyNone
	b.x.req.ContentLength = f.length
	if kind == bodyNone {
		b.x.req.ContentLength = 0
	}
}

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	if err := b.enter(); err != nil {
		return 0, err
	}
	n, err := b.r.read(p)
	info := &b.x.req.Info
	info.BytesIn += int64(n)
	if max := b.x.s.limits.MaxBodyBytes; max > 0 && info.BytesIn > max {
		n, err, b.r.err = 0, errTooLarge, errTooLarge
	}
	closed := b.leave()
	switch {
	case b.r.done():
		b.x.watch.start()
	case err != nil && closed:
		err = errClosedBody
	case err != nil:
		err = bodyError(err)
	}
	return n, err
}

// enter gets the connection ready to be read.
func (b *requestBody) enter() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errClosedBody
	}
	// Once answered, nobody may be told to go on; callers may do so all the
	// same after a while, and the host may count on it.
	if b.expect && !b.answered && !b.r.buffered() {
		b.x.c.NotAfter = b.x.req.Deadline
		if _, err := b.x.c.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
			return bodyError(err)
		}
		b.expect = false
	}
	if by := b.x.req.Deadline; !by.Equal(b.by) && !b.r.buffered() {
		b.by = by
		_ = b.x.c.SetReadDeadline(by)
	}
	b.reading = true
	return nil
}

// leave is the end of a Read. It reports whether Close has come meanwhile.
func (b *requestBody) leave() (closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	if b.closed || b.r.done() && !b.by.IsZero() {
		_ = b.x.c.SetReadDeadline(time.Time{})
	}
	b.cond.Broadcast()
	return b.closed
}

// bodyError says what a request body's failure means to the layers above.
func bodyError(err error) error {
	if own, ok := errors.AsType[*stream.Error](err); ok {
		return own
	}
	e := &stream.Error{Kind: stream.Reset, Side: stream.Downstream, Op: "read request body", Err: err}
	switch {
	case errors.As(err, new(*badMessage)):
		e.Kind = stream.BadMessage
	case errors.Is(err, os.ErrDeadlineExceeded):
		e.Kind = stream.Timeout
	}
	return e
}

// Ready implements stream.Ready.
func (b *requestBody) Ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.reading && b.r.ready()
}

// Buffered implements stream.Buffered.
func (b *requestBody) Buffered() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.reading && b.r.buffered()
}

// Close implements io.Closer: a Read that waits returns.
func (b *requestBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.close()
	return nil
}

func (b *requestBody) close() {
	if !b.closed && b.reading {
		_ = b.x.c.SetReadDeadline(time.Unix(1, 0))
	}
	b.closed = true
}

// answer notes that the answer is being written now. It reports whether what
// is left of the body is little enough to be thrown away afterwards. While
// somebody reads it, it is not.
func (b *requestBody) answer() (short bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answered = true
	if b.reading {
		return false
	}
	// A caller who still waits for 100 may or may not send the body.
	return b.r.done() || !b.expect && b.r.err == nil && b.r.kind == bodyLength && b.r.left <= maxDrain
}

// finish ends the reading of the body and waits for it. If keep, it throws
// away what is left. It reports whether more is left than that: the connection
// cannot go on.
func (b *requestBody) finish(keep bool) (left bool) {
	b.mu.Lock()
	b.close()
	for b.reading {
		b.cond.Wait()
	}
	b.mu.Unlock()
	if b.r.done() {
		return false
	}
	if !keep || b.expect || b.r.err != nil {
		return true
	}
	_ = b.x.c.SetReadDeadline(time.Now().Add(time.Second))
	defer func() { _ = b.x.c.SetReadDeadline(time.Time{}) }()
	buf := copyBuffers.Get().(*copyBuffer)
	defer copyBuffers.Put(buf)
	for rest := maxDrain; rest > 0; {
		n, err := b.r.read(buf[:])
		if rest -= n; b.r.done() {
			return false
		} else if err != nil {
			return true
		}
	}
	return true
}
