package upstream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is the other end of a pool: it hands out connections and decides what
// the clients on them answer.
type world struct {
	// dial may refuse or delay a connection; nil lets it pass.
	dial func(ctx context.Context) error
	// answer decides about an exchange on a client; nil is a 200.
	answer func(ctx context.Context, cl *fakeClient, req *stream.Request) error
	// failed is called after the connection of a failed exchange was given up.
	failed func()

	mu      sync.Mutex
	clients []*fakeClient // in the order of their dials
	dials   atomic.Int64
	live    atomic.Int64 // clients that are not closed
}

// pool makes a pool into the world, with what change does to its options.
func (w *world) pool(change func(*upstream.PoolOptions)) *upstream.Pool {
	o := upstream.PoolOptions{
		Name: "host 10.0.0.1:80", Protocol: fakeProtocol{w}, ConnectTimeout: 3 * time.Second,
		Dial: func(ctx context.Context) (net.Conn, error) {
			w.dials.Add(1)
			if w.dial != nil {
				if err := w.dial(ctx); err != nil {
					return nil, err
				}
			}
			c, _ := conn.Pipe()
			return c, nil
		},
	}
	if change != nil {
		change(&o)
	}
	return upstream.NewPool(o)
}

// client returns the client of the nth successful dial.
func (w *world) client(n int) *fakeClient {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clients[n]
}

type fakeProtocol struct{ w *world }

func (fakeProtocol) Name() string                  { return "Fake" }
func (fakeProtocol) Match([]byte) protocol.Verdict { return protocol.No }
func (fakeProtocol) NewServer(protocol.ServerOptions) (protocol.Server, error) {
	return nil, errors.New("the fake has no server")
}

func (p fakeProtocol) NewClient(c *conn.Conn, opts protocol.ClientOptions) protocol.Client {
	cl := &fakeClient{w: p.w, c: c, released: opts.Released}
	p.w.live.Add(1)
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	cl.id = len(p.w.clients)
	p.w.clients = append(p.w.clients, cl)
	return cl
}

// fakeClient carries one exchange at a time and shouts if there are two.
type fakeClient struct {
	w        *world
	c        *conn.Conn
	id       int
	released func()
	busy     atomic.Bool
	stale    atomic.Bool
	closed   atomic.Bool
	looks    atomic.Int64
	handled  atomic.Int64
}

func (cl *fakeClient) Available() int { return 1 }

func (cl *fakeClient) Err() error {
	if cl.closed.Load() {
		return net.ErrClosed
	}
	return nil
}

func (cl *fakeClient) Stale() bool {
	cl.looks.Add(1)
	return cl.stale.Load() || cl.closed.Load()
}

func (cl *fakeClient) Close() error {
	if !cl.closed.Swap(true) {
		cl.w.live.Add(-1)
		_ = cl.c.Close()
	}
	return nil
}

func (cl *fakeClient) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	if cl.busy.Swap(true) {
		panic("two exchanges on one connection")
	}
	cl.handled.Add(1)
	var err error
	switch {
	case cl.closed.Load():
		err = reset(req.Idempotent())
	case cl.stale.Load():
		err = reset(req.Idempotent())
	case cl.w.answer != nil:
		err = cl.w.answer(ctx, cl, req)
	}
	if err != nil {
		_ = cl.Close()
		cl.end()
		if cl.w.failed != nil {
			cl.w.failed()
		}
		return nil, err
	}
	return &stream.Response{Status: 200, Body: &fakeBody{cl: cl}}, nil
}

func (cl *fakeClient) end() {
	cl.busy.Store(false)
	cl.released()
}

type fakeBody struct {
	cl   *fakeClient
	once sync.Once
}

func (b *fakeBody) Read([]byte) (int, error) { return 0, io.EOF }

func (b *fakeBody) Close() error {
	b.once.Do(b.cl.end)
	return nil
}

func reset(retry bool) *stream.Error {
	return &stream.Error{Kind: stream.Reset, Side: stream.Upstream, Retry: retry, Op: "fake"}
}

func get() *stream.Request { return &stream.Request{Method: "GET", Path: "/"} }

func post() *stream.Request { return &stream.Request{Method: "POST", Path: "/"} }

// start sends a request that must be answered and returns how to end it.
func start(t *testing.T, p *upstream.Pool, req *stream.Request) (client *fakeClient, end func()) {
	t.Helper()
	resp, err := p.Handle(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Body.(*fakeBody).cl, func() { _ = resp.Close() }
}

// do sends a request, ends it and returns the client that carried it.
func do(t *testing.T, p *upstream.Pool, req *stream.Request) *fakeClient {
	t.Helper()
	cl, end := start(t, p, req)
	end()
	return cl
}

// fails sends a request that must fail with a kind.
func fails(t *testing.T, p *upstream.Pool, req *stream.Request, kind stream.Kind) {
	t.Helper()
	_ = failure(t.Context(), t, p, req, kind)
}

// failure sends a request that must fail with a kind, and returns the error.
func failure(ctx context.Context, t *testing.T, p *upstream.Pool, req *stream.Request, kind stream.Kind) *stream.Error {
	t.Helper()
	resp, err := p.Handle(ctx, req)
	if err == nil {
		_ = resp.Close()
		t.Fatalf("the request was answered, want a failure of kind %v", kind)
	}
	e, ok := errors.AsType[*stream.Error](err)
	if !ok || e.Kind != kind {
		t.Fatalf("got %v, want kind %v", err, kind)
	}
	return e
}

func wantStats(t *testing.T, p *upstream.Pool, open, idle int) {
	t.Helper()
	if o, i := p.Stats(); o != open || i != idle {
		t.Errorf("%d open, %d idle, want %d and %d", o, i, open, idle)
	}
}

// wantEmpty checks that nothing is left of a pool once it is closed.
func wantEmpty(t *testing.T, w *world, p *upstream.Pool) {
	t.Helper()
	wantStats(t, p, 0, 0)
	if n := w.live.Load(); n != 0 {
		t.Errorf("%d connections were not closed", n)
	}
}
