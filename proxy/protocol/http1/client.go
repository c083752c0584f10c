package http1

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// maxInformational is how many 1xx answers are skipped before a final one.
const maxInformational = 16

// client sends requests over one connection, one after the other.
type client struct {
	c     *conn.Conn
	opts  protocol.ClientOptions
	frame framing
	resp  stream.Response
	body  responseBody
	// sent is closed when the goroutine that sends a body has ended, with
	// sendErr; nil when the body was at hand and there is no such goroutine.
	sent    chan struct{}
	sendErr error
	abort   func()

	busy atomic.Bool
	err  atomic.Pointer[error] // why the connection is finished
}

func newClient(c *conn.Conn, opts protocol.ClientOptions) *client {
	cl := &client{c: c, opts: opts}
	cl.body.cl = cl
	cl.abort = func() { _ = c.Close() }
	return cl
}

// Available implements protocol.Client.
func (cl *client) Available() int {
	if cl.busy.Load() || cl.Err() != nil {
		return 0
	}
	return 1
}

// Err implements protocol.Client.
func (cl *client) Err() error {
	if p := cl.err.Load(); p != nil {
		return *p
	}
	return nil
}

// Stale implements protocol.Client.
func (cl *client) Stale() bool { return cl.c.Stale() }

// Close implements protocol.Client.
func (cl *client) Close() error {
	cl.finish(errClosed)
	return cl.c.Close()
}

var (
	errClosed = errors.New("the connection was closed")
	errNoMore = errors.New("the host ends the connection after this answer")
)

func (cl *client) finish(err error) { cl.err.CompareAndSwap(nil, &err) }

// Handle implements stream.Handler: it sends req and returns when the head of
// the final answer has come.
func (cl *client) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	if cl.busy.Swap(true) {
		return nil, stream.Errorf(stream.Internal, stream.Local, "http1: two exchanges on one connection")
	}
	var stop func() bool
	if ctx.Done() != nil {
		stop = context.AfterFunc(ctx, cl.abort)
	}
	deadline := req.Deadline
	if at, ok := ctx.Deadline(); ok && (deadline.IsZero() || at.Before(deadline)) {
		deadline = at
	}
	_ = cl.c.SetReadDeadline(deadline)
	cl.c.NotAfter = deadline

	cl.resp.Reset()
	err := cl.send(req)
	if err == nil || isWriteError(err) {
		// A host that has seen enough of a request may answer and close.
		if rerr := cl.receive(req); err == nil || rerr == nil {
			err = rerr
		}
	}
	if err != nil {
		cl.finish(err)
		_ = cl.c.Close()
		cl.stopSending(req)
		if stop != nil {
			stop()
		}
		cl.c.Free()
		e := cl.explain(ctx, req, err)
		cl.release()
		return nil, e
	}
	cl.body.begin(ctx, req, stop)
	cl.resp.Body = &cl.body
	return &cl.resp, nil
}

// send writes the request, its body too if that is at hand; else a goroutine
// goes on with the body, so that an early answer is seen.
func (cl *client) send(req *stream.Request) error {
	if err := checkRequest(req); err != nil {
		return &stream.Error{Kind: stream.BadMessage, Side: stream.Local, Op: "write request", Err: err}
	}
	cl.sent, cl.sendErr = nil, nil
	writeRequestHead(cl.c.Writer(), req)
	if req.Body == nil {
		return cl.c.Writer().Flush()
	}
	kind := bodyLength
	if req.ContentLength < 0 {
		kind = bodyChunked
	}
	if stream.BodyReady(req.Body) {
		_, err := copyBody(cl.c, req.Body, kind, req.ContentLength, &req.Trailer)
		return err
	}
	sent := make(chan struct{})
	cl.sent = sent
	go func() {
		defer close(sent)
		_, cl.sendErr = copyBody(cl.c, req.Body, kind, req.ContentLength, &req.Trailer)
		if _, broken := errors.AsType[*readError](cl.sendErr); broken {
			// The caller's body ended early: no answer to it can be had.
			_ = cl.c.Close()
		}
	}()
	return nil
}

// isWriteError reports whether err came from writing to the host.
func isWriteError(err error) bool {
	_, own := errors.AsType[*stream.Error](err)
	_, source := errors.AsType[*readError](err)
	return !own && !source
}

// checkRequest reports whether the request's head can be written.
func checkRequest(req *stream.Request) error {
	switch {
	case !isToken(req.Method):
		return errors.New("the method is not a token")
	case req.Path == "" || req.Path[0] != '/' && req.Path != "*":
		return errors.New(`the path does not begin with "/"`)
	case !visible(req.Path) || !visible(req.Query) || strings.IndexByte(req.Path, '?') >= 0:
		return errors.New("a blank or control character in path or query")
	case !validHost(req.Authority):
		return errors.New("malformed host")
	}
	return checkFields(&req.Header)
}

func visible(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c == 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// receive reads up to the head of the final answer.
func (cl *client) receive(req *stream.Request) error {
	for range maxInformational {
		cl.resp.Reset()
		cl.frame.reset()
		if err := readResponse(cl.c, DefaultOptions().MaxHeaderBytes, &cl.resp, &cl.frame); err != nil {
			return err
		}
		if cl.resp.Status == 101 {
			return bad("101 Switching Protocols without having been asked")
		}
		if cl.resp.Status >= 200 {
			return cl.frameAnswer(req)
		}
	}
	return bad("too many informational answers")
}

// frameAnswer finds out where the answer's body ends (RFC 9112 section 6.3).
func (cl *client) frameAnswer(req *stream.Request) error {
	f, resp := &cl.frame, &cl.resp
	kind, length := bodyNone, int64(0)
	switch {
	case noBody(req.Method, resp.Status):
		resp.ContentLength = f.length
		if resp.Status == 204 && (f.length > 0 || f.chunked) {
			return bad("204 with a body")
		}
	case f.chunked:
		kind, resp.ContentLength = bodyChunked, -1
	case f.length >= 0:
		kind, length, resp.ContentLength = bodyLength, f.length, f.length
	default:
		kind, resp.ContentLength = bodyClose, -1
	}
	cl.body.r.reset(cl.c, kind, length, &resp.Trailer)
	if f.close || f.http10 && !f.keepAlive || kind == bodyClose {
		cl.finish(errNoMore)
	}
	return nil
}

// stopSending makes sure that nobody reads the request's body any more.
func (cl *client) stopSending(req *stream.Request) {
	if cl.sent != nil {
		_ = req.Body.Close()
		<-cl.sent
	}
}

func (cl *client) release() {
	cl.busy.Store(false)
	if cl.opts.Released != nil {
		cl.opts.Released()
	}
}

// explain turns what went wrong into an error of the core.
func (cl *client) explain(ctx context.Context, req *stream.Request, err error) *stream.Error {
	const op = "http1 exchange"
	if ctx.Err() != nil {
		return stream.FromContext(ctx, op)
	}
	if own, ok := errors.AsType[*stream.Error](err); ok {
		return own
	}
	if source, ok := errors.AsType[*readError](err); ok {
		return &stream.Error{Kind: stream.BadMessage, Side: stream.Downstream, Op: op, Err: source.err}
	}
	if source, ok := errors.AsType[*readError](cl.sendErr); ok {
		if own, ok := errors.AsType[*stream.Error](source.err); ok {
			return own
		}
		return &stream.Error{Kind: stream.BadMessage, Side: stream.Downstream, Op: op, Err: source.err}
	}
	if refused, ok := errors.AsType[*badMessage](err); ok {
		return &stream.Error{Kind: stream.BadMessage, Side: stream.Upstream, Op: op, Err: refused}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &stream.Error{Kind: stream.Timeout, Side: stream.Upstream, Op: op, Err: err}
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("the host closed the connection without an answer")
	}
	// Whether the host has acted on the request cannot be known; repeating is
	// safe only where acting twice is, and while no answer has begun.
	retry := req.Idempotent() && !errors.Is(err, io.ErrUnexpectedEOF)
	return &stream.Error{Kind: stream.Reset, Side: stream.Upstream, Retry: retry, Op: op, Err: err}
}

// responseBody is an answer's body on its way to the caller.
type responseBody struct {
	cl   *client
	r    bodyReader
	ctx  context.Context
	req  *stream.Request
	stop func() bool
}

func (b *responseBody) begin(ctx context.Context, req *stream.Request, stop func() bool) {
	b.ctx, b.req, b.stop = ctx, req, stop
}

// Read implements io.Reader.
func (b *responseBody) Read(p []byte) (int, error) {
	n, err := b.r.read(p)
	if err != nil && err != io.EOF {
		err = b.explain(err)
	}
	return n, err
}

func (b *responseBody) explain(err error) error {
	const op = "http1 response body"
	if b.ctx.Err() != nil {
		return stream.FromContext(b.ctx, op)
	}
	e := &stream.Error{Kind: stream.Reset, Side: stream.Upstream, Op: op, Err: err}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		e.Kind = stream.Timeout
	case errors.As(err, new(*badMessage)):
		e.Kind = stream.BadMessage
	}
	return e
}

// Ready implements stream.Ready.
func (b *responseBody) Ready() bool { return b.r.ready() }

// Buffered reports whether a Read returns without waiting.
func (b *responseBody) Buffered() bool { return b.r.buffered() }

// Close ends the exchange. The connection lives on if the body was read to its end.
// It must be called once.
func (b *responseBody) Close() error {
	cl := b.cl
	if !b.r.done() {
		cl.finish(errClosed)
		_ = cl.c.Close()
	}
	if cl.sent != nil {
		b.finishRequest()
	}
	// Once stop reports true, abort will not run any more; else it ran.
	if b.stop != nil && !b.stop() {
		cl.finish(errClosed)
	}
	b.ctx, b.req, b.stop = nil, nil, nil
	switch {
	case cl.Err() != nil:
		_ = cl.c.Close()
		cl.c.Free()
	case cl.c.Reader().Buffered() > 0:
		// Bytes that nobody asked for: the next exchange would take them for its answer.
		cl.finish(errors.New("the host sent more than its answer"))
		_ = cl.c.Close()
	default:
		_ = cl.c.SetReadDeadline(time.Time{})
		cl.c.Release()
	}
	cl.release()
	return nil
}

// finishRequest ends the sending of a body that the host answered early. The
// connection cannot be used again then: the request on it is not whole.
func (b *responseBody) finishRequest() {
	cl := b.cl
	select {
	case <-cl.sent:
	default:
		cl.finish(errClosed)
		_ = cl.c.Close()
		cl.stopSending(b.req)
	}
	if cl.sendErr != nil {
		cl.finish(cl.sendErr)
	}
}
