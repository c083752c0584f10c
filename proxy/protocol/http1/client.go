package http1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/semantics"
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
	// abort breaks the connection when the context of an exchange ends.
	abort stream.End

	// deadline is when the exchange at hand must be over; zero is never.
	deadline time.Time
	// out and in are the connection's counters when the exchange began.
	out, in int64
	sender  sender

	busy atomic.Bool
	err  atomic.Pointer[error] // why the connection is finished
}

func newClient(c *conn.Conn, opts protocol.ClientOptions) *client {
	cl := &client{c: c, opts: opts}
	cl.body.cl = cl
	cl.sender.cl = cl
	cl.abort.Func = func() {
		c.SetCause(conn.CutOff)
		_ = c.Close()
	}
	return cl
}

// Err implements protocol.Client.
func (cl *client) Err() error {
	if err := cl.finished(); err != nil {
		return err
	}
	if cl.c.PeerDraining() {
		return errNoMore
	}
	return nil
}

// finished returns why no further exchange is possible.
func (cl *client) finished() error {
	if p := cl.err.Load(); p != nil {
		return *p
	}
	return nil
}

// Stale implements protocol.Client.
func (cl *client) Stale() bool { return cl.c.Stale() }

// Close implements protocol.Client.
func (cl *client) Close() error { return cl.end(errClosed) }

var (
	errClosed   = errors.New("the connection was closed")
	errCanceled = errors.New("the exchange was canceled")
	errNoMore   = errors.New("the host ends the connection after this answer")
	errExtra    = errors.New("the host sent more than its answer")
	errNoAnswer = errors.New("the host closed the connection without an answer")
)

// finish notes why no further exchange is possible; the first reason stays.
func (cl *client) finish(err error) { cl.err.CompareAndSwap(nil, &err) }

// end closes the connection, for this reason.
func (cl *client) end(err error) error {
	cl.finish(err)
	cl.blame(err)
	return cl.c.Close()
}

// blame notes why the connection ends, where only the client knows.
func (cl *client) blame(err error) {
	switch {
	case errors.Is(err, errCanceled), errors.Is(err, errNotWhole), errors.As(err, new(*readError)):
		cl.c.SetCause(conn.CutOff)
	case errors.Is(err, os.ErrDeadlineExceeded):
		cl.c.SetCause(conn.Timeout)
	case errors.Is(err, errExtra), errors.As(err, new(*badMessage)):
		cl.c.SetCause(conn.ProtocolError)
	}
}

// Handle implements stream.Handler: it sends req and returns when the head of
// the final answer has come.
func (cl *client) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	if cl.busy.Swap(true) {
		// No exchange begins, so none is over either: Released is not called.
		return nil, stream.Errorf(stream.Internal, stream.Local, "http1: two exchanges on one connection")
	}
	cl.deadline = req.Deadline
	if at, ok := ctx.Deadline(); ok && (cl.deadline.IsZero() || at.Before(cl.deadline)) {
		cl.deadline = at
	}
	if err := cl.check(ctx, req); err != nil {
		cl.release()
		return nil, err
	}
	cl.abort.Watch(ctx)
	_ = cl.c.SetReadDeadline(cl.deadline)
	cl.c.NotAfter = cl.deadline
	cl.out, cl.in = cl.c.BytesWritten(), cl.c.BytesRead()
	cl.resp.Reset()

	if err := cl.exchange(req); err != nil {
		err = cl.reason(err)
		_ = cl.end(err)
		_ = cl.sender.stop()
		cl.abort.Stop()
		cl.c.Free()
		e := cl.explain(ctx, req, err)
		cl.release()
		return nil, e
	}
	cl.body.begin(ctx, req)
	cl.resp.Body = &cl.body
	return &cl.resp, nil
}

// check refuses what need not, or cannot, be sent: the connection stays as it is.
func (cl *client) check(ctx context.Context, req *stream.Request) error {
	if ctx.Err() != nil {
		return stream.FromContext(ctx, op)
	}
	if err := cl.finished(); err != nil {
		return &stream.Error{Kind: stream.Reset, Side: stream.Upstream, Retry: true, Op: op, Err: err}
	}
	if !cl.deadline.IsZero() && !time.Now().Before(cl.deadline) {
		return &stream.Error{Kind: stream.Timeout, Retry: true, Op: op, Err: os.ErrDeadlineExceeded}
	}
	if err := checkRequest(req); err != nil {
		return &stream.Error{Kind: stream.BadMessage, Side: stream.Local, Op: op, Err: err}
	}
	return nil
}

// exchange sends the request and receives the head of its answer.
func (cl *client) exchange(req *stream.Request) error {
	err := cl.send(req)
	if err == nil {
		err = cl.receive(req)
		cl.sender.answered()
		return err
	}
	if _, source := errors.AsType[*readError](err); source || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	// A host that has seen enough of a request may answer and close.
	_ = cl.c.SetReadDeadline(earlier(cl.deadline, time.Now().Add(lastWords)))
	if cl.receive(req) != nil {
		return err
	}
	cl.finish(err)
	return cl.c.SetReadDeadline(cl.deadline)
}

// lastWords is how long an answer is waited for on a connection that takes no
// more of the request.
const lastWords = time.Second

// earlier returns the earlier of two deadlines; zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// send writes the request, its body too if that is at hand; else a goroutine
// goes on with the body, so that an early answer is seen.
func (cl *client) send(req *stream.Request) error {
	writeRequestHead(cl.c.Writer(), req)
	if req.Body == nil {
		return cl.c.Writer().Flush()
	}
	kind := requestKind(req)
	if req.ContentLength == 0 || stream.BodyReady(req.Body) {
		_, err := copyBody(cl.c, req.Body, kind, req.ContentLength, &req.Trailer, nil)
		return err
	}
	cl.sender.start(req, kind)
	return nil
}

// checkRequest reports whether the request's head can be written.
func checkRequest(req *stream.Request) error {
	switch {
	case !isToken(req.Method):
		return errors.New("the method is not a token")
	case req.Method == "CONNECT":
		return errors.New("CONNECT has no path")
	case req.Path == "*" && (req.Method != "OPTIONS" || req.HasQuery):
		return errors.New(`the path "*" is for OPTIONS alone`)
	case req.Path == "" || req.Path[0] != '/' && req.Path != "*":
		return errors.New(`the path does not begin with "/"`)
	case !semantics.Visible(req.Path) || !semantics.Visible(req.Query) || strings.IndexByte(req.Path, '?') >= 0:
		return errors.New("a blank or control character in path or query")
	case !validHost(req.Authority):
		return errors.New("malformed host")
	case offersUpgrade(req) && passable(req.Upgrade) != req.Upgrade:
		return errors.New("a protocol to change to that is malformed, or is not passed on")
	}
	return checkFields(&req.Header)
}

// receive reads up to the head of the final answer.
func (cl *client) receive(req *stream.Request) error {
	for range maxInformational {
		cl.resp.Reset()
		cl.frame.reset()
		if err := readResponse(cl.c, DefaultOptions().MaxHeaderBytes, &cl.resp, &cl.frame); err != nil {
			return err
		}
		switch {
		case cl.resp.Status == http.StatusSwitchingProtocols:
			return cl.upgraded(req)
		case cl.resp.Status >= 200:
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
	case semantics.NoBody(req.Method, resp.Status):
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
	if resp.Status == http.StatusUpgradeRequired && f.upgrades {
		resp.Upgrade = passable(f.upgrade)
	}
	cl.body.r.reset(cl.c, kind, length, &resp.Trailer)
	if f.close || f.http10 && !f.keepAlive || kind == bodyClose {
		cl.finish(errNoMore)
	}
	return nil
}

func (cl *client) release() {
	cl.busy.Store(false)
	if cl.opts.Released != nil {
		cl.opts.Released()
	}
}

const op = "http1 exchange"

// reason returns why receiving failed: err, unless it only follows from a
// failure of the sender.
func (cl *client) reason(err error) error {
	sendErr := cl.sender.failure()
	switch {
	case sendErr == nil:
	case errors.Is(err, net.ErrClosed):
		return sendErr
	case errors.Is(err, os.ErrDeadlineExceeded) && (cl.deadline.IsZero() || time.Now().Before(cl.deadline)):
		return sendErr // it is lastWords that are over
	}
	return err
}

// explain turns what ended the exchange into an error of the core.
func (cl *client) explain(ctx context.Context, req *stream.Request, err error) *stream.Error {
	if ctx.Err() != nil {
		return stream.FromContext(ctx, op)
	}
	if e := sourceError(err); e != nil {
		return e
	}
	if refused, ok := errors.AsType[*badMessage](err); ok {
		return &stream.Error{Kind: stream.BadMessage, Side: stream.Upstream, Op: op, Err: refused}
	}
	e := &stream.Error{Kind: stream.Reset, Side: stream.Upstream, Retry: cl.repeatable(req), Op: op, Err: err}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		e.Kind = stream.Timeout
	case errors.Is(err, io.EOF):
		e.Err = errNoAnswer
	}
	return e
}

// sourceError returns the error of a request body that could not be read, nil
// if err is none.
func sourceError(err error) *stream.Error {
	source, ok := errors.AsType[*readError](err)
	if !ok {
		return nil
	}
	if own, ok := errors.AsType[*stream.Error](source.err); ok {
		return own
	}
	return &stream.Error{Kind: stream.BadMessage, Side: stream.Downstream, Op: op, Err: source.err}
}

// repeatable reports whether sending the request again cannot do it twice.
// What the host has done with what it got cannot be known.
func (cl *client) repeatable(req *stream.Request) bool {
	switch {
	case cl.c.BytesWritten() == cl.out:
		return true
	case cl.c.BytesRead() != cl.in:
		return false
	}
	return req.Idempotent()
}
