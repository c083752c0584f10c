package http2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/crew"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/semantics"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

type server struct {
	opts    protocol.ServerOptions
	limits  Options
	workers crew.Crew[*call]
}

// ServeConn implements protocol.Server. Its frame stays with every idle
// connection: what needs room is elsewhere.
func (srv *server) ServeConn(ctx context.Context, c *conn.Conn, h stream.Handler) error {
	sc := srv.greet(ctx, c, h)
	defer sc.leave()
	err := sc.readPreface()
	if err == nil {
		err = sc.s.run()
	}
	return sc.end(ctx, err)
}

// greet makes a connection's session.
func (srv *server) greet(ctx context.Context, c *conn.Conn, h stream.Handler) *serving {
	sc := &serving{srv: srv, h: h, base: ctx, peer: c.RemoteAddr().String(), target: c.Target()}
	srv.workers.Join()
	// The end of ctx ends every wait on the connection.
	sc.stop = context.AfterFunc(ctx, func() { _ = c.Close() })
	_, sc.inside = c.Conn.(*conn.PipeConn)
	sc.s = newSession(c, sc, srv.limits, false)
	sc.s.idle = srv.opts.IdleTimeout
	if sc.s.idle > 0 {
		sc.s.alive = sc.s.idle
	}
	sc.s.greet()
	return sc
}

// leave lets go of what the connection shares with others.
func (sc *serving) leave() {
	sc.stop()
	sc.cancelAll()
	sc.srv.workers.Leave()
}

// requests returns the parent of all requests' contexts. It is made for the
// first that comes: an idle connection has none. The reader calls it.
func (sc *serving) requests() context.Context {
	if sc.ctx == nil {
		sc.ctx, sc.cancel = context.WithCancel(sc.base)
	}
	return sc.ctx
}

// cancelAll cancels the requests. The reader calls it.
func (sc *serving) cancelAll() {
	if sc.ctx != nil {
		sc.cancel()
		sc.ctx, sc.cancel = nil, nil
	}
}

// end ends the session after the reader has, for this reason, and says whether
// that is an error.
func (sc *serving) end(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	sc.cancelAll()
	err = sc.s.end(err)
	sc.finish()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, errIdle), errors.Is(err, errDone), ctx.Err() != nil:
		return nil
	}
	return err
}

// serving is one caller's connection.
type serving struct {
	srv *server
	s   *session
	h   stream.Handler
	// base is the connection's life. stop keeps it from being closed with base.
	base context.Context
	stop func() bool
	// ctx and cancel are the reader's; see requests.
	ctx    context.Context
	cancel context.CancelFunc
	peer   string
	target string // where a captured connection wanted to go; else ""
	// inside: the caller is part of this process, and may be told more.
	inside bool

	// Guarded by the session's mutex: how many requests have a worker, and
	// exchanges for the next ones.
	busy  int
	free  []*call
	ended bool
	// calls counts what busy does.
	calls sync.WaitGroup
}

// maxFree is how many exchanges a connection keeps.
const maxFree = 64

func (sc *serving) readPreface() error {
	c := sc.s.c
	wait := sc.srv.limits.HeadTimeout
	if idle := sc.srv.opts.IdleTimeout; idle > 0 {
		wait = min(wait, idle)
	}
	switch err := c.WaitRequest(wait); {
	case errors.Is(err, conn.ErrDraining), errors.Is(err, os.ErrDeadlineExceeded):
		return errIdle
	case err != nil:
		return err
	}
	_ = c.SetReadDeadline(time.Now().Add(wait))
	br := c.Reader()
	for i := range len(preface) {
		b, err := br.ReadByte()
		if err != nil {
			return err
		}
		if b != preface[i] {
			err := &connError{xhttp2.ErrCodeProtocol, "the connection does not begin with the preface of HTTP/2"}
			sc.reject(&stream.Request{Protocol: Name}, 400, err)
			return err
		}
	}
	return nil
}

// reject records what never became a request.
func (sc *serving) reject(req *stream.Request, status int, err error) {
	if r, ok := sc.h.(stream.Rejecter); ok {
		sc.describe(req)
		kind := stream.BadMessage
		if status == 413 || status == 431 {
			kind = stream.TooLarge
		}
		r.Reject(sc.base, req, status, &stream.Error{Kind: kind, Side: stream.Downstream, Err: err})
	}
}

func (sc *serving) describe(req *stream.Request) {
	req.Protocol = Name
	req.Info.Start = time.Now()
	req.Info.Listener = sc.srv.opts.Listener
	req.Info.Downstream = sc.peer
	req.Target = sc.target
}

// greeted implements role.
func (*serving) greeted() {}

// headers implements role.
func (sc *serving) headers(id uint32, x *exchange, end bool) error {
	s := sc.s
	if x != nil {
		return sc.trailers(x, end)
	}
	if s.own(id) {
		return &connError{xhttp2.ErrCodeProtocol, "a request with an even stream id"}
	}
	s.mu.Lock()
	if id <= s.lastPeer {
		s.mu.Unlock()
		return &connError{xhttp2.ErrCodeProtocol, "a stream id that is not larger than the last"}
	}
	if s.drained {
		// It was told that these will not be served, and not to count on them.
		s.mu.Unlock()
		return s.useless()
	}
	s.lastPeer = id
	// A stream ends a moment before its worker does.
	if len(s.streams) >= s.opts.MaxStreams || sc.busy >= 2*s.opts.MaxStreams {
		s.mu.Unlock()
		return &streamError{id, xhttp2.ErrCodeRefusedStream, "too many streams"}
	}
	var k *call
	if n := len(sc.free); n > 0 {
		k, sc.free[n-1], sc.free = sc.free[n-1], nil, sc.free[:n-1]
	}
	s.mu.Unlock()
	if k == nil {
		k = newCall(sc)
	}
	return sc.begin(k, id, end)
}

// begin has the request answered whose head is in the session's block.
func (sc *serving) begin(k *call, id uint32, end bool) error {
	s, req := sc.s, &k.req
	var f framing
	refused := s.block.request(req, &f)
	if refused == nil {
		refused = sc.frameBody(k, &f, end)
	}
	if refused != nil {
		sc.reject(req, max(refused.status, 400), refused)
		k.forget()
		if refused.status == 0 {
			return &streamError{id, xhttp2.ErrCodeProtocol, refused.reason}
		}
		return sc.answerBare(id, refused.status, end)
	}
	sc.start(k, id, end)
	return nil
}

// start has a request answered.
func (sc *serving) start(k *call, id uint32, end bool) {
	s, req := sc.s, &k.req
	sc.describe(req)
	if isGRPC(&req.Header) {
		k.grpc = true
		req.Timeout = grpcTimeout(req.Header.Get("Grpc-Timeout"))
	}
	k.ctx, k.x.cancel = context.WithCancel(sc.requests())
	s.mu.Lock()
	defer s.mu.Unlock()
	k.x.open(id)
	k.x.gotEnd = end
	sc.dispatch(k)
}

// frameBody finds out what the request's body is.
func (sc *serving) frameBody(k *call, f *framing, end bool) *refusal {
	req := &k.req
	k.x.length = f.length
	switch {
	case end && f.length > 0:
		return malformed("a Content-Length, but no body")
	case sc.srv.limits.MaxBodyBytes > 0 && f.length > sc.srv.limits.MaxBodyBytes:
		return &refusal{413, "body too large"}
	case end:
		req.ContentLength = 0
		k.x.recv.finish(io.EOF)
		return nil
	}
	k.expect = f.expectContinue
	req.ContentLength = f.length
	req.Body = &k.body
	return nil
}

// answerBare answers a request that is not served with a status and nothing else.
func (sc *serving) answerBare(id uint32, status int, end bool) error {
	s := sc.s
	if err := s.draw(costReset); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	block := s.encoder.bare(status)
	s.output.control += len(block) + 9
	s.output.headers(id, block, true)
	if !end {
		s.output.reset(id, xhttp2.ErrCodeNo)
	}
	s.recent.add(id, endedByUs)
	s.output.kick()
	return s.answered()
}

func (sc *serving) trailers(x *exchange, end bool) error {
	s := sc.s
	s.mu.Lock()
	late := x.gotEnd
	s.mu.Unlock()
	switch {
	case late:
		return &streamError{x.id, xhttp2.ErrCodeStreamClosed, "HEADERS after the end of the stream"}
	case !end:
		return &streamError{x.id, xhttp2.ErrCodeProtocol, "a second head in a request"}
	case x.length >= 0 && x.got != x.length:
		return &streamError{x.id, xhttp2.ErrCodeProtocol, "the body is shorter than its Content-Length"}
	}
	if refused := s.block.trailer(&x.owner.(*call).req.Trailer); refused != nil {
		return &streamError{x.id, xhttp2.ErrCodeProtocol, refused.reason}
	}
	s.endOfBody(x)
	return nil
}

// goAway implements role: a caller may say so, and goes when it is done.
func (sc *serving) goAway(uint32, xhttp2.ErrCode) {}

// reset implements role.
func (sc *serving) reset(x *exchange, _ xhttp2.ErrCode) { x.cancel() }

// recycle implements role.
func (sc *serving) recycle(x *exchange) {
	if k := x.owner.(*call); !k.spoiled && len(sc.free) < maxFree && !sc.ended {
		k.clear()
		sc.free = append(sc.free, k)
	}
}

// quiet implements role: exchanges and the context are given up.
func (sc *serving) quiet() {
	sc.s.mu.Lock()
	resting := sc.busy == 0
	sc.free = nil
	sc.s.mu.Unlock()
	if resting {
		sc.cancelAll()
	}
}

// dispatch gives k to a worker. The session's mutex is held.
func (sc *serving) dispatch(k *call) {
	sc.busy++
	sc.calls.Add(1)
	sc.srv.workers.Do(k)
}

// Serve implements crew.Work: it answers the request.
func (k *call) Serve() {
	sc := k.sc
	k.serve()
	sc.served()
}

// served says that a worker is done with a request.
func (sc *serving) served() {
	sc.s.mu.Lock()
	sc.busy--
	sc.s.mu.Unlock()
	sc.calls.Done()
}

// finish waits for the workers.
func (sc *serving) finish() {
	sc.s.mu.Lock()
	sc.ended = true
	sc.s.mu.Unlock()
	sc.calls.Wait()
}

// call is the server's part of an exchange.
type call struct {
	sc   *serving
	x    exchange
	req  stream.Request
	ctx  context.Context
	body requestBody
	grpc bool
	// expect: the caller waits for 100. Guarded by the session's mutex.
	expect bool
	// spoiled: the handler panicked; who knows what still uses this.
	spoiled bool
}

func newCall(sc *serving) *call {
	k := &call{sc: sc}
	k.x.init(sc.s, k)
	k.body.k = k
	return k
}

func (k *call) clear() {
	k.x.clear()
	k.req.Reset()
	k.ctx, k.grpc, k.expect = nil, false, false
}

// forget gives back an exchange that was not begun.
func (k *call) forget() {
	s := k.sc.s
	s.mu.Lock()
	defer s.mu.Unlock()
	k.sc.recycle(&k.x)
}

// serve answers the request.
func (k *call) serve() {
	s := k.sc.s
	defer k.over()
	resp, err := k.handle()
	if err != nil {
		resp = k.errorResponse(stream.AsError(err))
	}
	err = k.answer(resp)
	_ = resp.Close()
	k.x.cancel()
	s.mu.Lock()
	switch {
	case k.x.gone:
	case err != nil:
		s.resetStream(&k.x, resetCode(err))
	case !k.x.gotEnd:
		// The answer is whole; the rest of the request is not wanted (RFC 9113 section 8.1).
		s.resetStream(&k.x, xhttp2.ErrCodeNo)
	}
	s.mu.Unlock()
	if err == nil {
		s.earned.Add(earnedByStream)
	}
}

// over ends the worker's use of the exchange.
func (k *call) over() {
	if p := recover(); p != nil {
		k.sc.srv.opts.Log.Error("panic while answering a request", "listener", k.sc.srv.opts.Listener,
			"peer", k.sc.peer, "panic", p, "stack", string(debug.Stack()))
		k.spoiled = true
		k.x.cancel()
		k.sc.s.mu.Lock()
		k.sc.s.resetStream(&k.x, xhttp2.ErrCodeInternal)
		k.sc.s.mu.Unlock()
	}
	k.x.discard()
	k.sc.s.unpin(&k.x)
}

func (k *call) handle() (*stream.Response, error) { return k.sc.h.Handle(k.ctx, &k.req) }

// answer writes resp.
func (k *call) answer(resp *stream.Response) error {
	if resp == stream.NoResponse {
		resp = &stream.Response{Status: 202}
	}
	if err := checkFields(&resp.Header); err != nil || resp.Status < 200 || resp.Status > 599 {
		if err == nil {
			err = fmt.Errorf("status %d cannot be sent as the answer to a request", resp.Status)
		}
		// The answer that cannot be written is closed by serve.
		resp = k.errorResponse(&stream.Error{Kind: stream.Internal, Op: "write response", Err: err})
	}
	body, length := resp.Body, resp.ContentLength
	silent := semantics.NoBody(k.req.Method, resp.Status)
	if silent || body == nil {
		body = nil
	} else if length == 0 && stream.BodyReady(body) {
		// Nothing follows but perhaps a trailer; without one, the head is all.
		var one [1]byte
		n, err := body.Read(one[:])
		if n > 0 || err == nil {
			return errLongBody
		}
		if err != io.EOF {
			return err
		}
		if resp.Trailer.Len() == 0 {
			body = nil
		}
	}
	say := int64(-1)
	if length > 0 && resp.Status != 204 || length == 0 && k.req.Method == "HEAD" {
		say = length
	}
	if err := k.sendHead(resp, say, body == nil); err != nil || body == nil {
		return err
	}
	n, err := k.x.sendBody(body, length, &resp.Trailer, limit{deadline: k.req.Deadline})
	k.req.Info.BytesOut = n
	return err
}

func (k *call) sendHead(resp *stream.Response, length int64, end bool) error {
	s := k.sc.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.acquire(&k.x, 0, limit{}); err != nil {
		return err
	}
	k.x.sentHead, k.expect = true, false
	s.output.headers(k.x.id, s.encoder.response(resp, length), end)
	s.done(&k.x, end)
	return nil
}

// errorResponse is the answer for a failed exchange. It says what kind of
// failure it was (also as RFC 9209 has it), and nothing of the request or the
// hosts behind us, unless the caller is part of this process.
func (k *call) errorResponse(e *stream.Error) *stream.Response {
	text := e.Kind.String()
	if k.sc.inside {
		text = e.Error()
	}
	var resp *stream.Response
	if k.grpc {
		resp = grpcError(e, text)
	} else {
		resp = semantics.TextResponse(e.Status(), text)
	}
	resp.Header.Add("proxy-status", e.ProxyStatus())
	return resp
}

// requestBody is a request's body on its way to the handler.
type requestBody struct{ k *call }

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	k := b.k
	if err := k.invite(); err != nil {
		return 0, err
	}
	n, err := k.x.read(p, limit{})
	info := &k.req.Info
	info.BytesIn += int64(n)
	if most := k.sc.srv.limits.MaxBodyBytes; most > 0 && info.BytesIn > most {
		return 0, &stream.Error{Kind: stream.TooLarge, Side: stream.Downstream, Op: "read request body"}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = bodyError(err)
	}
	return n, err
}

// bodyError says what a request body's failure means to the layers above.
func bodyError(err error) error {
	const op = "read request body"
	if errors.Is(err, errAbandons) {
		return net.ErrClosed
	}
	e := &stream.Error{Kind: stream.Reset, Side: stream.Downstream, Op: op, Err: err}
	switch {
	case errors.As(err, new(*ResetError)):
		e.Kind = stream.Canceled
	case errors.As(err, new(*streamError)):
		e.Kind = stream.BadMessage
	}
	return e
}

// invite sends 100 to a caller who waits for it before it sends the body.
func (k *call) invite() error {
	s := k.sc.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if !k.expect {
		return nil
	}
	k.expect = false
	if k.x.recv.buffered() || k.x.sentHead || k.x.gone {
		return nil
	}
	s.output.headers(k.x.id, s.encoder.bare(100), false)
	s.output.kick()
	return nil
}

// Ready implements stream.Ready.
func (b *requestBody) Ready() bool { return b.k.x.recv.ready() }

// Buffered reports whether a Read returns without waiting.
func (b *requestBody) Buffered() bool { return b.k.x.recv.buffered() }

// Close implements io.Closer: a Read that waits returns.
func (b *requestBody) Close() error {
	b.k.x.discard()
	return nil
}
