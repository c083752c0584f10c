package http1

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// responseBody is an answer's body on its way to the caller. Its Close is the
// end of the exchange.
type responseBody struct {
	cl  *client
	ctx context.Context
	req *stream.Request

	open atomic.Bool
	mu   sync.Mutex // held by who reads
	r    bodyReader
}

func (b *responseBody) begin(ctx context.Context, req *stream.Request) {
	b.ctx, b.req = ctx, req
	b.open.Store(true)
}

// Read implements io.Reader.
func (b *responseBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open.Load() {
		return 0, &stream.Error{Kind: stream.Reset, Op: bodyOp, Err: errBodyClosed}
	}
	if b.r.kind == bodyRaw {
		b.cl.sender.startTunnel(b.req.Tunnel)
	}
	n, err := b.r.read(p)
	switch {
	case err == nil:
	case !b.r.done():
		err = b.explain(err)
	case b.r.kind == bodyRaw:
		if failure := b.cl.sender.failure(); failure != nil {
			err = b.explain(failure) // the host is not ended in order when it did not take all
		}
	}
	return n, err
}

const bodyOp = "http1 response body"

func (b *responseBody) explain(err error) error {
	if b.ctx.Err() != nil {
		if own, ok := errors.AsType[*stream.Error](context.Cause(b.ctx)); ok {
			return own
		}
		return stream.FromContext(b.ctx, bodyOp)
	}
	err = b.cl.reason(err)
	if e := sourceError(err); e != nil {
		return e // the caller's body broke off, and with it the exchange
	}
	e := &stream.Error{Kind: stream.Reset, Side: stream.Upstream, Op: bodyOp, Err: err}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		e.Kind = stream.Timeout
	case errors.As(err, new(*badMessage)):
		e.Kind = stream.BadMessage
	}
	return e
}

// Ready implements stream.Ready.
func (b *responseBody) Ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open.Load() && b.r.ready()
}

// Buffered implements stream.Buffered.
func (b *responseBody) Buffered() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open.Load() && b.r.buffered()
}

// Close ends the exchange; a Read that waits returns. The connection lives on
// if both bodies were passed on to their ends. A second Close does nothing, as
// long as no other exchange has begun.
func (b *responseBody) Close() error {
	if !b.open.Swap(false) {
		return nil
	}
	cl := b.cl
	if !b.mu.TryLock() {
		_ = cl.end(errCanceled)
		b.mu.Lock()
	}
	if !b.r.done() {
		_ = cl.end(errCanceled)
	}
	if cl.sender.running {
		b.finishRequest()
	}
	// Once Stop reports true, abort will not run any more; else it ran.
	if !cl.abort.Stop() {
		cl.finish(errCanceled)
	}
	if cl.Err() == nil && cl.c.Reader().Buffered() > 0 {
		// The next exchange would take it for its answer.
		cl.finish(errExtra)
	}
	if err := cl.Err(); err != nil {
		cl.blame(err)
		_ = cl.c.Close()
		cl.c.Free()
	} else {
		cl.c.Release() // the next exchange sets its own deadlines
	}
	b.ctx, b.req = nil, nil
	b.mu.Unlock()
	cl.release()
	return nil
}

// finishRequest ends the sending of a body that the host answered early. The
// connection cannot be used again then: the request on it is not whole.
func (b *responseBody) finishRequest() {
	if b.r.kind == bodyRaw { // the connection ends with it in any case
		_ = b.cl.c.Close()
		_ = b.cl.sender.stop()
		return
	}
	err, over := b.cl.sender.wait()
	if !over {
		_ = b.cl.end(errNotWhole)
		err = b.cl.sender.stop()
	}
	if err != nil {
		b.cl.finish(err)
	}
}

var errNotWhole = errors.New("the host answered before it had the whole request")
