package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/semantics"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// maxDrain is how many bytes of an unread request body are thrown away to
// keep a connection; with more to come it is closed instead.
const maxDrain = 256 << 10

// lingerFor is how long we wait for a peer to take our last answer and close,
// lingerBytes how much of what it still sends is read meanwhile.
const (
	lingerFor   = 500 * time.Millisecond
	lingerBytes = 16 << 20
)

type server struct {
	opts   protocol.ServerOptions
	limits Options
	clock  clock
}

// exchange is what one connection's requests need, one after the other.
type exchange struct {
	s    *server
	c    *conn.Conn
	h    stream.Handler
	peer string
	// target is where a captured connection wanted to go; else "".
	target string
	// inside: the caller is part of this process, and may be told more.
	inside bool
	// scheme is how requests reach us: "http" or, over TLS, "https".
	scheme string
	// blank: an empty line stood where a request could begin.
	blank bool
	// hurry bounds the time for the rest of a head that is not there yet.
	hurry func()

	req   stream.Request
	frame framing
	body  requestBody
	watch watch
	// tunnel is nil while the request offers no other protocol.
	tunnel *tunnel
	// next serves the connection once it has changed its protocol.
	next takeover
}

// ServeConn implements protocol.Server.
func (s *server) ServeConn(ctx context.Context, c *conn.Conn, h stream.Handler) error {
	life, cancel := stream.NewLife(ctx)
	defer cancel()
	// The end of life ends every wait on the connection: nobody is there to
	// answer, or nobody may answer any more.
	end := stream.End{Func: func() { _ = c.Close() }}
	end.Watch(life)
	defer end.Stop()

	x := s.newExchange(c, h, cancel)
	defer func() {
		if x != nil {
			x.watch.stop()
		}
	}()
	// A connection on which nothing happens holds no exchange, either.
	quiet := func() {
		if !x.blank {
			x = nil
		}
	}
	for {
		c.Release()
		err := c.WaitQuiet(s.opts.IdleTimeout, quiet)
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				c.SetCause(conn.IdleTimeout)
			}
			if errors.Is(err, conn.ErrDraining) {
				c.SetCause(conn.Drained)
			}
			if life.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, conn.ErrDraining) || errors.Is(err, os.ErrDeadlineExceeded) {
				return nil
			}
			return err
		}
		if x == nil {
			x = s.newExchange(c, h, cancel)
		}
		if err := x.serve(life); err != nil {
			if next := x.next; next != nil && errors.Is(err, errChanged) {
				req := &x.req
				x = nil
				return next(life, c, req)
			}
			if life.Err() != nil || errors.Is(err, errLast) {
				return nil
			}
			return err
		}
	}
}

// newExchange makes what a connection's requests need. It is no part of
// ServeConn, where the stack that it takes would stay with every idle connection.
func (s *server) newExchange(c *conn.Conn, h stream.Handler, cancel context.CancelFunc) *exchange {
	x := &exchange{s: s, c: c, h: h, peer: c.RemoteAddr().String(), target: c.Target()}
	x.hurry = func() { _ = c.SetReadDeadline(x.req.Info.Start.Add(s.limits.HeadTimeout)) }
	_, x.inside = c.Conn.(*conn.PipeConn)
	x.scheme = "http"
	if _, secure := c.TLS(); secure {
		x.scheme = "https"
	}
	x.body.init(x)
	x.watch.init(c, cancel)
	return x
}

// errChanged: the connection has changed its protocol, and waits to be served on.
var errChanged = errors.New("the protocol has changed")

// errLast ends a connection in order: its last answer was written, or the
// caller has gone.
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
	req.Target = x.target
	req.Scheme = x.scheme
	c.NotAfter = time.Time{}
	if again, err := x.read(); err != nil {
		return x.refuse(ctx, err)
	} else if again {
		return nil
	}
	if max := x.s.limits.MaxBodyBytes; max > 0 && x.frame.length > max {
		return x.refuse(ctx, &badMessage{status: 413, reason: "body too large"})
	}
	if x.next = x.change(); x.next != nil {
		if err := x.accept(); err != nil {
			return err
		}
		return errChanged
	}
	x.body.begin()
	if x.tunnel = nil; x.body.r.done() {
		if ctx = x.offer(ctx); x.tunnel != nil {
			defer x.tunnel.end()
		}
		x.watch.start()
	} else {
		req.Body = &x.body
	}

	resp, err := x.h.Handle(ctx, req)
	err = x.answer(resp, err)
	_ = resp.Close()
	left := x.body.finish(err == nil)
	gone := x.watch.stop()
	switch {
	case gone && (err == nil || errors.Is(err, errLast)):
		return errLast
	case err == nil && left, errors.Is(err, errLast):
		if c.Draining() {
			c.SetCause(conn.Drained)
		}
		c.SetCause(conn.LocalClose)
		if left || !x.frame.close || c.Reader().Buffered() > 0 {
			x.linger()
		}
		return errLast
	case err != nil:
		c.SetCause(conn.CutOff) // unless it is known what broke it
	}
	return err
}

// read reads a request head. again: there was an empty line only.
func (x *exchange) read() (again bool, err error) {
	skipped, err := skipEmptyLine(x.c, x.hurry)
	if err != nil {
		return false, err
	}
	if skipped && x.blank {
		return false, bad("empty lines before a request")
	}
	if x.blank = skipped; skipped && x.c.Reader().Buffered() == 0 {
		return true, nil // some callers send one behind a body
	}
	err = readRequest(x.c, x.s.limits.MaxHeaderBytes, x.hurry, &x.req, &x.frame)
	x.blank = false
	return false, err
}

// answer writes resp, or what stands for the handler's error. It returns
// errLast when the connection ends with it.
func (x *exchange) answer(resp *stream.Response, failure error) error {
	// A body that nobody read to its end does not end here if it is long.
	keep := x.body.answer()
	now := time.Now()
	resp = x.writable(resp, failure, now)
	if resp.Status == http.StatusSwitchingProtocols {
		return x.upgrade(resp)
	}
	c, w := x.c, x.c.Writer()
	closing := x.frame.close || x.frame.http10 && !x.frame.keepAlive || c.Draining() || !keep
	kind := writeResponseHead(w, x.req.Method, resp, x.s.clock.date(now), x.frame.http10, closing)
	n, err := copyBody(c, resp.Body, kind, resp.ContentLength, &resp.Trailer, nil)
	x.req.Info.BytesOut = n
	switch {
	case err != nil:
		// The head is out: breaking the connection is the only way left to
		// tell the caller that the answer is not whole.
		if kind == bodyClose {
			_ = c.Abort()
		}
		return err
	case closing || kind == bodyClose:
		return errLast
	}
	return nil
}

// writable returns an answer that can be written in the time that is left:
// resp, or one that tells of a failure. It bounds the writing.
func (x *exchange) writable(resp *stream.Response, failure error, now time.Time) *stream.Response {
	deadline := x.req.Deadline
	x.c.NotAfter = time.Time{}
	if failure == nil {
		switch {
		case resp == nil:
			failure = &stream.Error{Kind: stream.Internal, Op: "answer", Err: errors.New("the handler returned neither an answer nor an error")}
		case resp == stream.NoResponse:
			return &stream.Response{Status: http.StatusAccepted}
		case resp.Status < 200 && !x.agreed(resp) || resp.Status > 599:
			failure = &stream.Error{Kind: stream.Internal, Op: "answer", Err: fmt.Errorf("status %d is none of a final answer", resp.Status)}
		case !deadline.IsZero() && !now.Before(deadline):
			failure = &stream.Error{Kind: stream.Timeout, Op: "answer", Err: os.ErrDeadlineExceeded}
		default:
			err := checkFields(&resp.Header)
			if err == nil && passable(resp.Upgrade) != resp.Upgrade {
				err = errField
			}
			if err != nil {
				failure = &stream.Error{Kind: stream.Internal, Op: "answer", Err: err}
			}
		}
	}
	if failure == nil {
		x.c.NotAfter = deadline
		return resp
	}
	return x.errorResponse(stream.AsError(failure))
}

// refuse answers bytes that are no request and ends the connection.
func (x *exchange) refuse(ctx context.Context, err error) error {
	refused, ok := errors.AsType[*badMessage](err)
	switch {
	case ok:
	case errors.Is(err, os.ErrDeadlineExceeded):
		refused = &badMessage{status: 408, reason: "the request head took too long"}
	case errors.Is(err, io.ErrUnexpectedEOF):
		refused = &badMessage{reason: "the connection ended inside a request head"}
	default:
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	x.c.SetCause(refused.cause())
	if r, ok := x.h.(stream.Rejecter); ok {
		r.Reject(ctx, &x.req, refused.status, &stream.Error{Kind: refused.kind(), Side: stream.Downstream, Op: "read request", Err: refused})
	}
	if refused.status == 0 {
		return errLast
	}
	resp := semantics.TextResponse(refused.status, refused.reason)
	kind := writeResponseHead(x.c.Writer(), x.req.Method, resp, x.s.clock.date(time.Now()), false, true)
	if _, err := copyBody(x.c, resp.Body, kind, resp.ContentLength, nil, nil); err != nil {
		return err
	}
	x.linger()
	return errLast
}

// kind says what a refusal means to the layers above.
func (b *badMessage) kind() stream.Kind {
	switch b.status {
	case 0:
		return stream.Reset
	case 408:
		return stream.Timeout
	case 413, 431:
		return stream.TooLarge
	}
	return stream.BadMessage
}

// cause says what a refusal means for the connection.
func (b *badMessage) cause() conn.Cause {
	switch b.status {
	case 0:
		return conn.RemoteClose
	case 408:
		return conn.Timeout
	}
	return conn.ProtocolError
}

// linger lets the peer read our last answer: closing at once, with its bytes
// unread, would reset the connection and take the answer with it (RFC 9112
// section 9.6).
func (x *exchange) linger() {
	_ = x.c.CloseWrite()
	_ = x.c.SetReadDeadline(time.Now().Add(lingerFor))
	_, _ = io.CopyN(io.Discard, x.c, lingerBytes)
}

// errorResponse is the answer for a failed exchange. It says what kind of
// failure it was (also as RFC 9209 has it), and nothing of the request or the
// hosts behind us, unless the caller is part of this process.
func (x *exchange) errorResponse(e *stream.Error) *stream.Response {
	text := e.Kind.String()
	if x.inside {
		text = e.Error()
	}
	resp := semantics.TextResponse(e.Status(), text)
	resp.Header.Add(stream.ProxyStatus, e.ProxyStatus())
	return resp
}
