package http1

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// maxDrain is how many bytes of an unread request body are thrown away to
// keep a connection; with more to come it is closed instead.
const maxDrain = 256 << 10

type server struct {
	opts   protocol.ServerOptions
	limits Options
}

// exchange is what one connection's requests need, one after the other.
type exchange struct {
	s    *server
	c    *conn.Conn
	h    stream.Handler
	peer string
	// inside: the caller is part of this process, and may be told more.
	inside bool

	req   stream.Request
	frame framing
	body  requestBody
	watch watch
}

// ServeConn implements protocol.Server.
func (s *server) ServeConn(ctx context.Context, c *conn.Conn, h stream.Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The end of ctx ends every wait on the connection: nobody is there to
	// answer, or nobody may answer any more.
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()

	x := &exchange{s: s, c: c, h: h, peer: c.RemoteAddr().String()}
	_, x.inside = c.Conn.(*conn.PipeConn)
	x.watch.init(c, cancel)
	defer x.watch.stop()
	for {
		c.Release()
		err := c.WaitRequest(s.opts.IdleTimeout)
		if err == nil {
			err = x.serve(ctx)
		}
		switch {
		case err == nil:
			continue
		case errors.Is(err, io.EOF), errors.Is(err, conn.ErrDraining), errors.Is(err, errLast), ctx.Err() != nil,
			errors.Is(err, os.ErrDeadlineExceeded) && c.Reader().Buffered() == 0:
			return nil
		}
		return err
	}
}

// errLast ends a connection in order: its last answer was written.
var errLast = errors.New("last exchange")

// serve answers one request. An error ends the connection.
func (x *exchange) serve(ctx context.Context) error {
	c, req := x.c, &x.req
	req.Reset()
	x.frame.reset()
	req.Protocol = Name
	req.Info.Start = time.Now()
	req.Info.Listener = x.s.opts.Listener
	req.Info.Downstream = x.peer
	_ = c.SetReadDeadline(req.Info.Start.Add(x.s.limits.HeadTimeout))
	if err := readRequest(c, x.s.limits.MaxHeaderBytes, req, &x.frame); err != nil {
		return x.refuse(ctx, err)
	}
	_ = c.SetReadDeadline(time.Time{})
	if max := x.s.limits.MaxBodyBytes; max > 0 && x.frame.length > max {
		return x.refuse(ctx, &badMessage{status: 413, reason: "body too large"})
	}
	x.body.begin(x)
	if x.body.r.done() {
		x.watch.start()
	} else {
		req.Body = &x.body
	}

	resp, err := x.h.Handle(ctx, req)
	if err != nil {
		resp = x.errorResponse(stream.AsError(err))
	}
	err = x.answer(resp)
	_ = resp.Close()
	if left := x.body.finish(); err == nil || errors.Is(err, errLast) {
		if left {
			x.lingerClose()
			err = errLast
		}
	}
	if gone := x.watch.stop(); gone && err == nil {
		err = io.EOF
	}
	return err
}

// answer writes resp. It returns errLast when the connection ends with it.
func (x *exchange) answer(resp *stream.Response) error {
	c, w := x.c, x.c.Writer()
	if resp == stream.NoResponse {
		resp = &stream.Response{Status: 202}
	}
	if err := checkFields(&resp.Header); err != nil {
		// The answer that cannot be written is closed by serve.
		resp = x.errorResponse(&stream.Error{Kind: stream.Internal, Op: "write response", Err: err})
	}
	// A body that nobody read to its end does not end here if it is long.
	closing := x.frame.close || x.frame.http10 && !x.frame.keepAlive || c.Draining() || !x.body.short()
	kind := writeResponseHead(w, &x.req, resp, x.frame.http10, closing)
	if kind == bodyClose {
		closing = true
	}
	n, err := copyBody(c, resp.Body, kind, resp.ContentLength, &resp.Trailer)
	x.req.Info.BytesOut = n
	if err != nil {
		// The head is out: breaking the connection is the only way left to
		// tell the caller that the answer is not whole.
		return err
	}
	if closing {
		return errLast
	}
	return nil
}

// refuse answers bytes that are no request and ends the connection.
func (x *exchange) refuse(ctx context.Context, err error) error {
	var refused *badMessage
	switch {
	case errors.As(err, &refused):
	case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil:
		refused = &badMessage{status: 408, reason: "the request head took too long"}
	case errors.Is(err, io.ErrUnexpectedEOF):
		refused = &badMessage{reason: "the connection ended inside a request head"}
	default:
		return err
	}
	e := &stream.Error{Kind: stream.BadMessage, Side: stream.Downstream, Err: refused}
	if r, ok := x.h.(stream.Rejecter); ok {
		r.Reject(ctx, &x.req, refused.status, e)
	}
	if refused.status == 0 {
		return io.EOF
	}
	_ = x.c.SetReadDeadline(time.Time{})
	resp := textResponse(refused.status, refused.reason)
	writeResponseHead(x.c.Writer(), &stream.Request{Method: "GET"}, resp, false, true)
	if _, err := copyBody(x.c, resp.Body, bodyLength, resp.ContentLength, nil); err != nil {
		return err
	}
	x.lingerClose()
	return errLast
}

// lingerClose lets the peer read our last answer: closing at once, with its
// bytes unread, would reset the connection and take the answer with it (RFC
// 9112 section 9.6).
func (x *exchange) lingerClose() {
	_ = x.c.CloseWrite()
	_ = x.c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	_, _ = io.CopyN(io.Discard, x.c, maxDrain)
}

// errorResponse is the answer for a failed exchange. It says what kind of
// failure it was (also as RFC 9209 has it), and nothing of the request or the
// hosts behind us, unless the caller is part of this process.
func (x *exchange) errorResponse(e *stream.Error) *stream.Response {
	text := e.Kind.String()
	if x.inside {
		text = e.Error()
	}
	resp := textResponse(e.Status(), text)
	resp.Header.Add(stream.ProxyStatus, e.ProxyStatus())
	return resp
}

func textResponse(status int, text string) *stream.Response {
	resp := &stream.Response{Status: status, ContentLength: int64(len(text) + 1), Body: &textBody{text + "\n"}}
	resp.Header.Add("Content-Type", "text/plain; charset=utf-8")
	return resp
}

type textBody struct{ rest string }

func (b *textBody) Read(p []byte) (int, error) {
	n := copy(p, b.rest)
	if b.rest = b.rest[n:]; b.rest == "" {
		return n, io.EOF
	}
	return n, nil
}

func (b *textBody) Close() error { return nil }

// requestBody is a request's body on its way to the handler.
type requestBody struct {
	x *exchange
	r bodyReader
	// mu guards closed; Close may come while a Read waits.
	mu     sync.Mutex
	closed bool
	// reading is held while a Read is at work.
	reading sync.Mutex
	expect  bool // the caller waits for 100
}

func (b *requestBody) begin(x *exchange) {
	f := &x.frame
	kind := bodyNone
	switch {
	case f.chunked:
		kind = bodyChunked
	case f.length > 0:
		kind = bodyLength
	}
	b.x, b.closed, b.expect = x, false, f.expectContinue && !f.http10
	b.r.reset(x.c, kind, f.length, &x.req.Trailer)
	x.req.ContentLength = f.length
	if kind == bodyNone {
		x.req.ContentLength = 0
	}
}

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	b.mu.Lock()
	closed, expect := b.closed, b.expect
	b.expect = false
	b.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	if expect && !b.r.done() && b.x.c.Reader().Buffered() == 0 {
		if _, err := b.x.c.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
			return 0, err
		}
	}
	n, err := b.r.read(p)
	info := &b.x.req.Info
	info.BytesIn += int64(n)
	if max := b.x.s.limits.MaxBodyBytes; max > 0 && info.BytesIn > max {
		return 0, &stream.Error{Kind: stream.TooLarge, Side: stream.Downstream, Op: "read request body"}
	}
	if err == io.EOF {
		b.x.watch.start()
	} else if err != nil {
		err = bodyError(err)
	}
	return n, err
}

// bodyError says what a request body's failure means to the layers above.
func bodyError(err error) error {
	var refused *badMessage
	if errors.As(err, &refused) {
		return &stream.Error{Kind: stream.BadMessage, Side: stream.Downstream, Op: "read request body", Err: err}
	}
	return &stream.Error{Kind: stream.Reset, Side: stream.Downstream, Op: "read request body", Err: err}
}

// Ready implements stream.Ready.
func (b *requestBody) Ready() bool {
	b.reading.Lock()
	defer b.reading.Unlock()
	return !b.expect && b.r.ready()
}

// Buffered reports whether a Read returns without waiting.
func (b *requestBody) Buffered() bool {
	b.reading.Lock()
	defer b.reading.Unlock()
	return b.r.buffered()
}

// Close implements io.Closer: a Read that waits returns.
func (b *requestBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	if !b.reading.TryLock() {
		_ = b.x.c.SetReadDeadline(time.Unix(1, 0))
		return nil
	}
	b.reading.Unlock()
	return nil
}

// short reports whether what is left of the body is little enough to be
// thrown away. While somebody reads it, it is not.
func (b *requestBody) short() bool {
	if !b.reading.TryLock() {
		return false
	}
	defer b.reading.Unlock()
	// A caller who still waits for 100 may or may not send the body.
	return b.r.done() || !b.expect && b.r.err == nil && b.r.kind == bodyLength && b.r.left <= maxDrain
}

// finish throws away what is left of the body, once nobody reads it any more.
// It reports whether more is left than that: the connection cannot go on.
func (b *requestBody) finish() (left bool) {
	_ = b.Close()
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.r.done() {
		return false
	}
	if b.expect || b.r.err != nil {
		return true
	}
	_ = b.x.c.SetReadDeadline(time.Now().Add(time.Second))
	buf := copyBuffers.Get().(*[chunkHead + copySize + chunkTail]byte)
	defer copyBuffers.Put(buf)
	for rest := maxDrain; rest > 0; {
		n, err := b.r.read(buf[:])
		if rest -= n; err != nil {
			return err != io.EOF
		}
	}
	return true
}
