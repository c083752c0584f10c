package http2

import (
	"context"
	"errors"
	"io"
	"sync"

	xhttp2 "golang.org/x/net/http2"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/semantics"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// client sends requests over one connection, many at a time.
type client struct {
	s    *session
	opts protocol.ClientOptions
	// ready is closed when the host's first SETTINGS have come, or never will.
	ready chan struct{}

	// Guarded by the session's mutex: why no more requests are taken, and
	// exchanges for the next ones.
	last error
	free []*ask
}

func newClient(c *conn.Conn, opts protocol.ClientOptions, limits Options) *client {
	cl := &client{opts: opts, ready: make(chan struct{})}
	cl.s = newSession(c, cl, limits, true)
	cl.s.greet()
	go cl.run()
	return cl
}

func (cl *client) run() {
	_ = cl.s.end(cl.s.run())
	_ = cl.s.c.Close()
	cl.s.c.Free()
	cl.greeted() // in case they have not come
}

// maxAsks is the most requests at a time on a connection, whatever the host allows.
const maxAsks = 10000

func (cl *client) available() int {
	if cl.finished() != nil {
		return 0
	}
	return max(int(min(cl.s.peer.maxStreams, maxAsks))-len(cl.s.streams), 0)
}

// Err implements protocol.Client.
func (cl *client) Err() error {
	cl.s.mu.Lock()
	defer cl.s.mu.Unlock()
	return cl.finished()
}

func (cl *client) finished() error {
	if cl.s.err != nil {
		return cl.s.err
	}
	return cl.last
}

// Stale implements protocol.Client. The session's reader sees the end of the
// connection by itself.
func (cl *client) Stale() bool { return cl.Err() != nil || cl.s.c.Closed() }

// Close implements protocol.Client.
func (cl *client) Close() error {
	cl.s.fail(errClosed)
	return cl.s.c.Close()
}

// ask is the client's part of an exchange.
type ask struct {
	cl    *client
	x     exchange
	resp  stream.Response
	body  responseBody
	ctx   context.Context
	req   *stream.Request
	until limit
	head  bool // the method is HEAD
	// informational counts 1xx answers; only the session's reader uses it.
	informational int

	// What was read of the request's body before the stream was opened.
	ahead    *piece
	aheadEnd bool
	// sender is the goroutine that sends the body, if there is one; sending
	// tells, under the session's mutex, that it is at work.
	sender  sync.WaitGroup
	sending bool
	send    func()
}

func newAsk(cl *client) *ask {
	k := &ask{cl: cl}
	k.x.init(cl.s, k)
	k.body.k = k
	k.send = k.sendRest
	return k
}

// Handle implements stream.Handler: it sends req and returns when the head of
// the final answer has come. The request's body may still be on its way then.
func (cl *client) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	k := cl.take()
	k.ctx, k.req, k.head = ctx, req, req.Method == "HEAD"
	k.until = limit{done: ctx.Done(), deadline: req.Deadline}
	if at, ok := ctx.Deadline(); ok && (k.until.deadline.IsZero() || at.Before(k.until.deadline)) {
		k.until.deadline = at
	}
	err := k.begin()
	if err == nil {
		err = k.awaitHead()
	}
	if err != nil {
		e := k.explain("http2 exchange", err)
		k.over()
		return nil, e
	}
	k.resp.Body = &k.body
	return &k.resp, nil
}

// take returns an exchange to use.
func (cl *client) take() *ask {
	s := cl.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(cl.free); n > 0 {
		k := cl.free[n-1]
		cl.free[n-1], cl.free = nil, cl.free[:n-1]
		k.x.pins = 1
		return k
	}
	k := newAsk(cl)
	k.x.pins = 1
	return k
}

// begin opens the stream and sends the request, or has a goroutine send its body.
func (k *ask) begin() error {
	if err := checkRequest(k.req); err != nil {
		return &stream.Error{Kind: stream.BadMessage, Side: stream.Local, Op: "write request", Err: err}
	}
	if err := k.readAhead(); err != nil {
		return err
	}
	s := k.cl.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.acquire(&k.x, 0, k.until); err != nil {
		if s.err != nil {
			return k.unsent(err)
		}
		return err
	}
	if k.cl.last != nil {
		return k.unsent(k.cl.last)
	}
	if k.cl.available() == 0 {
		return &stream.Error{
			Kind: stream.Overload, Side: stream.Upstream, Retry: true, Op: "http2 exchange",
			Err: errors.New("the host allows no further request at a time on this connection"),
		}
	}
	if most := s.peer.maxList; most > 0 && listSize(k.req) > int64(most) {
		return &stream.Error{
			Kind: stream.TooLarge, Side: stream.Upstream, Op: "write request",
			Err: errors.New("the header is larger than the host accepts"),
		}
	}
	k.open()
	return nil
}

// open queues the request's head, and its body if that is at hand and the
// windows allow for it. The session's mutex is held.
func (k *ask) open() {
	s, x, req := k.cl.s, &k.x, k.req
	s.lastOwn = (s.lastOwn + 1) | 1
	if s.lastOwn >= 1<<31-2 {
		k.cl.last = errNoIDs
	}
	x.open(s.lastOwn)
	x.length = -1
	s.output.headers(x.id, s.encoder.request(req), req.Body == nil)
	s.done(x, req.Body == nil)
	if req.Body == nil {
		return
	}
	if p := k.ahead; p != nil && k.aheadEnd && int64(p.w) <= min(x.sendWindow, s.flow.send) && p.w <= maxFrame &&
		len(s.output.turns.bodies) == 0 && (req.Trailer.Len() == 0 || checkFields(&req.Trailer) == nil) {
		x.sendWindow -= int64(p.w)
		s.flow.send -= int64(p.w)
		trailing := req.Trailer.Len() > 0
		if p.w > 0 || !trailing {
			s.output.data(x.id, p.buf[:p.w], !trailing)
		}
		if trailing {
			s.output.headers(x.id, s.encoder.trailer(&req.Trailer), true)
		}
		s.done(x, true)
		return
	}
	k.sending = true
	k.sender.Add(1)
	go k.send()
}

// unsent explains that a request was not sent at all.
func (k *ask) unsent(err error) error {
	return &stream.Error{Kind: stream.Reset, Side: stream.Upstream, Retry: true, Op: "http2 exchange", Err: err}
}

// readAhead reads the beginning of a body that can be read without waiting.
func (k *ask) readAhead() error {
	req := k.req
	if req.Body == nil || !stream.BodyReady(req.Body) {
		return nil
	}
	k.ahead = bodyBuffer(req.ContentLength)
	p := k.ahead
	for p.w < len(p.buf) && !k.aheadEnd {
		n, err := req.Body.Read(p.buf[p.w:])
		p.w += n
		if err == io.EOF {
			k.aheadEnd = true
		} else if err != nil {
			return &sourceError{err}
		}
	}
	return k.checkLength(int64(p.w))
}

// checkLength compares the n bytes read ahead with the length that was promised.
func (k *ask) checkLength(n int64) error {
	switch length := k.req.ContentLength; {
	case length < 0:
	case n > length:
		return &sourceError{errLongBody}
	case k.aheadEnd && n < length:
		return &sourceError{errShortBody}
	}
	return nil
}

// sendRest sends what of the body was not sent with the head.
func (k *ask) sendRest() {
	defer k.sender.Done()
	err := k.sendAhead()
	s := k.cl.s
	s.mu.Lock()
	defer s.mu.Unlock()
	k.sending = false
	if err != nil && !k.x.gone {
		// Also when the host has begun to answer: it must not take what it
		// has for the whole request.
		k.x.fail(err)
		s.resetStream(&k.x, xhttp2.ErrCodeCancel)
	}
}

func (k *ask) sendAhead() error {
	req, length := k.req, k.req.ContentLength
	if p := k.ahead; p != nil {
		trailing := req.Trailer.Len() > 0 && checkFields(&req.Trailer) == nil
		if k.aheadEnd && trailing && p.w == 0 {
			return k.x.sendTrailer(&req.Trailer, k.until)
		}
		if err := k.x.sendData(p.buf[:p.w], k.aheadEnd && !trailing, k.until); err != nil {
			return err
		}
		if k.aheadEnd {
			if trailing {
				return k.x.sendTrailer(&req.Trailer, k.until)
			}
			return nil
		}
		if length >= 0 {
			length -= int64(p.w)
		}
	}
	_, err := k.x.sendBody(req.Body, length, &req.Trailer, k.until)
	return err
}

// awaitHead waits for the head of the final answer.
func (k *ask) awaitHead() error {
	for {
		begun, err := k.x.recv.status()
		if begun {
			return nil
		}
		if err != nil {
			return err
		}
		if err := wait(k.x.recv.wake, k.until.done, k.until.deadline, &k.x.recvTimer); err != nil {
			return err
		}
	}
}

// over ends the exchange. Nobody uses it afterwards.
func (k *ask) over() {
	cl, s := k.cl, k.cl.s
	s.mu.Lock()
	if k.x.id != 0 {
		s.resetStream(&k.x, xhttp2.ErrCodeCancel)
	}
	sending := k.sending
	s.mu.Unlock()
	if sending {
		_ = k.req.Body.Close()
	}
	k.sender.Wait()
	k.x.discard()
	s.unpin(&k.x)
	if cl.opts.Released != nil {
		cl.opts.Released()
	}
}

// checkRequest reports whether the request's head can be written.
func checkRequest(req *stream.Request) error {
	switch {
	case !isToken(req.Method):
		return errors.New("the method is not a token")
	case req.Path == "" || req.Path[0] != '/' && req.Path != "*":
		return errors.New(`the path does not begin with "/"`)
	case !semantics.Visible(req.Path) || !semantics.Visible(req.Query):
		return errors.New("a blank or control character in path or query")
	case !validAuthority(req.Authority):
		return errors.New("malformed host")
	}
	return checkFields(&req.Header)
}

// listSize returns at least the size of the request's header list.
func listSize(req *stream.Request) int64 {
	n := 6*32 + len(":method:scheme:authority:pathtetrailers") + 20 + len(req.Method) + len(req.Scheme) +
		len(req.Authority) + len(req.Path) + 1 + len(req.Query)
	for name, value := range req.Header.All() {
		n += 32 + len(name) + len(value)
	}
	return int64(n)
}

// explain turns what went wrong into an error of the core.
func (k *ask) explain(op string, err error) *stream.Error {
	if k.ctx.Err() != nil {
		e := stream.FromContext(k.ctx, op)
		if e.Kind == stream.Timeout {
			e.Side = stream.Upstream // as with the request's own deadline
		}
		return e
	}
	if own, ok := errors.AsType[*stream.Error](err); ok {
		return own
	}
	e := &stream.Error{Kind: stream.Reset, Side: stream.Upstream, Op: op, Err: err}
	if source, ok := errors.AsType[*sourceError](err); ok {
		e.Kind, e.Side, e.Err = stream.BadMessage, stream.Downstream, source.err
		return e
	}
	if code, ok := errors.AsType[*ResetError](err); ok && xhttp2.ErrCode(code.Code) == xhttp2.ErrCodeRefusedStream {
		e.Retry = true
		return e
	}
	switch {
	case errors.As(err, new(*ResetError)) && k.until.passed():
		// A host that was told the limit may notice its end before we do.
		e.Kind, e.Err = stream.Timeout, errTimeUp
	case errors.Is(err, errTimeUp), errors.Is(err, errStalled):
		e.Kind = stream.Timeout
	case errors.As(err, new(*streamError)):
		e.Kind = stream.BadMessage
	case errors.Is(err, errGoAway):
		e.Retry = true
	default:
		// Whether the host has acted on the request cannot be known; repeating
		// is safe only where acting twice is, and while no answer has begun.
		begun, _ := k.x.recv.status()
		e.Retry = k.req.Idempotent() && !begun
	}
	return e
}

// greeted implements role. Only the session's reader calls it.
func (cl *client) greeted() {
	select {
	case <-cl.ready:
	default:
		close(cl.ready)
	}
}

// headers implements role.
func (cl *client) headers(id uint32, x *exchange, end bool) error {
	s := cl.s
	if x == nil {
		s.mu.Lock()
		idle := s.idleStream(id)
		s.mu.Unlock()
		if idle || !s.own(id) {
			return &connError{xhttp2.ErrCodeProtocol, "HEADERS for a stream that was never opened"}
		}
		return s.useless()
	}
	k := x.owner.(*ask)
	if x.gotHead {
		return cl.trailers(k, end)
	}
	var f framing
	k.resp.Reset()
	refused := s.block.response(&k.resp, &f)
	if refused == nil && f.status < 200 {
		if k.informational++; f.status == 101 || end || k.informational > maxInformational {
			refused = malformed("an informational answer where none may be")
		} else {
			return s.useless()
		}
	}
	if refused == nil {
		refused = k.frameAnswer(&f, end)
	}
	if refused != nil {
		return &streamError{id, xhttp2.ErrCodeProtocol, refused.reason}
	}
	s.mu.Lock()
	x.gotHead, x.gotEnd = true, end
	s.ended(x)
	s.mu.Unlock()
	x.recv.begin(end)
	return nil
}

// frameAnswer finds out what the answer's body is.
func (k *ask) frameAnswer(f *framing, end bool) *refusal {
	resp, x := &k.resp, &k.x
	resp.ContentLength, x.length = f.length, f.length
	switch {
	case k.head || f.status == 304:
		x.length = 0
	case f.status == 204:
		if f.length > 0 {
			return malformed("204 with a body")
		}
		resp.ContentLength, x.length = 0, 0
	case end:
		if f.length > 0 {
			return malformed("a Content-Length, but no body")
		}
		resp.ContentLength = 0
	}
	return nil
}

func (cl *client) trailers(k *ask, end bool) error {
	x := &k.x
	switch {
	case !end:
		return &streamError{x.id, xhttp2.ErrCodeProtocol, "a second head in an answer"}
	case x.length >= 0 && x.got != x.length:
		return &streamError{x.id, xhttp2.ErrCodeProtocol, "the body is shorter than its Content-Length"}
	}
	cl.s.mu.Lock()
	late := x.gotEnd
	cl.s.mu.Unlock()
	if late {
		return &streamError{x.id, xhttp2.ErrCodeStreamClosed, "HEADERS after the end of the stream"}
	}
	if refused := cl.s.block.trailer(&k.resp.Trailer); refused != nil {
		return &streamError{x.id, xhttp2.ErrCodeProtocol, refused.reason}
	}
	cl.s.endOfBody(x)
	return nil
}

// goAway implements role: streams that the host will not serve fail, and can
// be sent again; the others go on.
func (cl *client) goAway(last uint32, _ xhttp2.ErrCode) {
	s := cl.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if cl.last == nil {
		cl.last = errGoAway
		s.c.SetCause(conn.Drained)
	}
	s.drained = true
	for id, x := range s.streams {
		if id > last {
			x.fail(errGoAway)
			s.remove(x, endedByUs)
		}
	}
	if len(s.streams) == 0 {
		_ = s.c.Close()
	}
}

// reset implements role.
func (cl *client) reset(*exchange, xhttp2.ErrCode) {}

// recycle implements role.
func (cl *client) recycle(x *exchange) {
	k := x.owner.(*ask)
	if len(cl.free) >= maxFree || cl.s.err != nil {
		return
	}
	if k.ahead != nil {
		k.ahead.free()
	}
	k.x.clear()
	k.resp.Reset()
	k.ctx, k.req, k.until, k.head, k.informational = nil, nil, limit{}, false, 0
	k.ahead, k.aheadEnd, k.sending = nil, false, false
	cl.free = append(cl.free, k)
}

// quiet implements role.
func (cl *client) quiet() {
	cl.s.mu.Lock()
	defer cl.s.mu.Unlock()
	clear(cl.free)
	cl.free = cl.free[:0]
}

// responseBody is an answer's body on its way to the caller.
type responseBody struct{ k *ask }

// Read implements io.Reader.
func (b *responseBody) Read(p []byte) (int, error) {
	n, err := b.k.x.read(p, b.k.until)
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.k.explain("http2 response body", err)
	}
	return n, err
}

// Ready implements stream.Ready.
func (b *responseBody) Ready() bool { return b.k.x.recv.ready() }

// Buffered reports whether a Read returns without waiting.
func (b *responseBody) Buffered() bool { return b.k.x.recv.buffered() }

// Close ends the exchange; before the end of the body, that takes the stream
// back. It must be called once.
func (b *responseBody) Close() error {
	b.k.over()
	return nil
}
