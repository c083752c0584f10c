package upstream_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// crowd is the other end of a Shared: its clients take several exchanges.
type crowd struct {
	limit  atomic.Int64
	dial   func(ctx context.Context) error
	answer func(cl *crowdClient, req *stream.Request) error

	mu      sync.Mutex
	clients []*crowdClient
	dials   atomic.Int64
	live    atomic.Int64
}

type crowdProtocol struct {
	fakeProtocol
	w *crowd
}

func (crowdProtocol) Multiplexed() {}

func (p crowdProtocol) NewClient(c *conn.Conn, opts protocol.ClientOptions) protocol.Client {
	cl := &crowdClient{w: p.w, c: c, released: opts.Released}
	p.w.live.Add(1)
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.clients = append(p.w.clients, cl)
	return cl
}

type crowdClient struct {
	protocol.Client
	w        *crowd
	c        *conn.Conn
	released func()
	active   atomic.Int64
	broken   atomic.Bool
	closed   atomic.Bool
}

func (cl *crowdClient) Limit() int { return int(cl.w.limit.Load()) }

func (cl *crowdClient) Err() error {
	if cl.broken.Load() || cl.closed.Load() {
		return net.ErrClosed
	}
	return nil
}

func (cl *crowdClient) Close() error {
	if !cl.closed.Swap(true) {
		cl.w.live.Add(-1)
		_ = cl.c.Close()
	}
	return nil
}

func (cl *crowdClient) Handle(_ context.Context, req *stream.Request) (*stream.Response, error) {
	if cl.active.Add(1) > cl.w.limit.Load() {
		panic("more exchanges than the connection takes")
	}
	end := func() { cl.active.Add(-1); cl.released() }
	var err error
	if cl.w.answer != nil {
		err = cl.w.answer(cl, req)
	}
	if cl.Err() != nil && err == nil {
		err = reset(true)
	}
	if err != nil {
		end()
		return nil, err
	}
	return &stream.Response{Status: 200, Body: &crowdBody{cl: cl, end: end}}, nil
}

type crowdBody struct {
	cl  *crowdClient
	end func()
}

func (*crowdBody) Read([]byte) (int, error) { return 0, io.EOF }
func (b *crowdBody) Close() error           { b.end(); return nil }

func (w *crowd) shared(limit int, change func(*upstream.PoolOptions)) upstream.Sender {
	w.limit.Store(int64(limit))
	o := upstream.PoolOptions{
		Name: "host 10.0.0.1:80", Protocol: crowdProtocol{w: w}, ConnectTimeout: 3 * time.Second,
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
	return upstream.New(o)
}

// begin sends a request that must be answered.
func begin(t *testing.T, s upstream.Sender) *stream.Response {
	t.Helper()
	resp, err := s.Handle(t.Context(), get())
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func wantConnections(t *testing.T, s upstream.Sender, open, idle int) {
	t.Helper()
	if o, i := s.Stats(); o != open || i != idle {
		t.Errorf("%d open, %d idle, want %d and %d", o, i, open, idle)
	}
}

func TestSharedFillsConnections(t *testing.T) {
	w := &crowd{}
	s := w.shared(3, nil)
	var all []*stream.Response
	for i := range 7 {
		all = append(all, begin(t, s))
		wantConnections(t, s, i/3+1, 0)
	}
	for _, r := range all {
		_ = r.Close()
	}
	wantConnections(t, s, 3, 3)
	s.Close()
	// One may just be dialed whose requests have all gone: it is closed then.
	for end := time.Now().Add(time.Minute); w.live.Load() != 0 && time.Now().Before(end); {
		runtime.Gosched()
	}
	if w.live.Load() != 0 {
		t.Errorf("%d connections left", w.live.Load())
	}
}

// TestSharedDialsOnce: a crowd that comes at once waits for one connection,
// and shares its failure.
func TestSharedDialsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &crowd{}
		refused := false
		w.dial = func(ctx context.Context) error {
			time.Sleep(time.Second)
			if refused {
				return errors.New("connection refused")
			}
			return nil
		}
		s := w.shared(100, nil)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { _ = begin(t, s).Close() })
		}
		wg.Wait()
		if w.dials.Load() != 1 {
			t.Errorf("%d dials for 50 requests", w.dials.Load())
		}
		w.clients[0].broken.Store(true)
		refused = true
		start := time.Now()
		for range 50 {
			wg.Go(func() {
				_, err := s.Handle(t.Context(), get())
				if e := stream.AsError(err); e.Kind != stream.Connect || !e.Retry {
					t.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
		if w.dials.Load() != 2 || time.Since(start) != time.Second {
			t.Errorf("%d dials, %v for 50 failures", w.dials.Load(), time.Since(start))
		}
		s.Close()
	})
}

// TestSharedOutlivesFirst: the connection does not depend on the request that
// asked for it first.
func TestSharedOutlivesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &crowd{dial: func(ctx context.Context) error {
			select {
			case <-time.After(2 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		s := w.shared(100, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() {
			time.Sleep(time.Millisecond)
			_ = begin(t, s).Close()
		}()
		if _, err := s.Handle(ctx, get()); stream.AsError(err).Kind != stream.Timeout {
			t.Errorf("the first: %v", err)
		}
		time.Sleep(2 * time.Second)
		wantConnections(t, s, 1, 1)
		s.Close()
	})
}

func TestSharedLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &crowd{}
		s := w.shared(2, func(o *upstream.PoolOptions) { o.MaxConnections = 1 })
		a, b := begin(t, s), begin(t, s)
		if _, err := s.Handle(t.Context(), get()); stream.AsError(err).Kind != stream.Overload {
			t.Errorf("over the limit: %v", err)
		}
		_, _ = a.Close(), b.Close()
		s.Close()

		s = w.shared(2, func(o *upstream.PoolOptions) { o.MaxConnections, o.Wait, o.MaxWait = 1, true, time.Minute })
		a, b = begin(t, s), begin(t, s)
		order := make(chan int, 3)
		for i := range 3 {
			go func() {
				r := begin(t, s)
				order <- i
				time.Sleep(time.Second)
				_ = r.Close()
			}()
			synctest.Wait()
		}
		_ = a.Close()
		for i := range 3 {
			if got := <-order; got != i {
				t.Errorf("turn %d went to %d", i, got)
			}
		}
		_ = b.Close()
		a, b = begin(t, s), begin(t, s)
		start := time.Now()
		if _, err := s.Handle(t.Context(), get()); stream.AsError(err).Kind != stream.Timeout || time.Since(start) != time.Minute {
			t.Errorf("nobody leaves: %v after %v", err, time.Since(start))
		}
		_, _ = a.Close(), b.Close()
		s.Close()
	})
}

func TestSharedBreaks(t *testing.T) {
	w := &crowd{}
	s := w.shared(10, nil)
	kept := begin(t, s)
	_ = begin(t, s).Close()
	w.clients[0].broken.Store(true)
	// A new request goes elsewhere; the old one ends where it is.
	_ = begin(t, s).Close()
	wantConnections(t, s, 1, 1)
	if w.clients[0].closed.Load() {
		t.Error("closed under an exchange")
	}
	_ = kept.Close()
	if !w.clients[0].closed.Load() {
		t.Error("not closed after the last exchange")
	}
	// One that is refused is sent once more, elsewhere.
	refused := w.clients[1]
	w.answer = func(cl *crowdClient, _ *stream.Request) error {
		if cl == refused {
			return reset(true)
		}
		return nil
	}
	_ = begin(t, s).Close()
	// One that may have been carried out is not.
	w.answer = func(*crowdClient, *stream.Request) error { return reset(false) }
	before := w.dials.Load()
	if _, err := s.Handle(t.Context(), post()); err == nil || w.dials.Load() != before {
		t.Errorf("%v, %d dials more", err, w.dials.Load()-before)
	}
	s.Close()
	if w.live.Load() != 0 {
		t.Errorf("%d connections left", w.live.Load())
	}
}

func TestSharedExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &crowd{}
		s := w.shared(1, func(o *upstream.PoolOptions) { o.IdleTimeout = time.Minute })
		long, short := begin(t, s), begin(t, s)
		time.Sleep(10 * time.Second)
		_ = short.Close()
		time.Sleep(time.Minute - time.Millisecond)
		wantConnections(t, s, 2, 1)
		time.Sleep(2 * time.Millisecond)
		wantConnections(t, s, 1, 0)
		time.Sleep(10 * time.Minute)
		_ = long.Close()
		time.Sleep(time.Minute + time.Millisecond)
		wantConnections(t, s, 0, 0)
		s.Close()
	})
}

func TestSharedMaxRequests(t *testing.T) {
	w := &crowd{}
	s := w.shared(10, func(o *upstream.PoolOptions) { o.MaxRequests = 3 })
	for range 7 {
		_ = begin(t, s).Close()
	}
	if w.dials.Load() != 3 {
		t.Errorf("%d connections for 7 requests of at most 3 each", w.dials.Load())
	}
	s.Close()
	if w.live.Load() != 0 {
		t.Errorf("%d connections left", w.live.Load())
	}
}

func TestSharedDrainAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &crowd{}
		s := w.shared(1, func(o *upstream.PoolOptions) { o.MaxConnections, o.Wait, o.MaxWait = 2, true, time.Hour })
		a, b := begin(t, s), begin(t, s)
		_ = b.Close()
		s.Drain()
		wantConnections(t, s, 1, 0)
		c := begin(t, s) // still served
		_ = c.Close()
		wantConnections(t, s, 1, 0)
		c = begin(t, s)
		failed := make(chan error, 1)
		go func() { _, err := s.Handle(t.Context(), get()); failed <- err }()
		synctest.Wait()
		s.Close()
		if err := <-failed; stream.AsError(err).Kind != stream.Stopping {
			t.Errorf("waiting while it is closed: %v", err)
		}
		if _, err := s.Handle(t.Context(), get()); stream.AsError(err).Kind != stream.Stopping {
			t.Errorf("after Close: %v", err)
		}
		_, _ = a.Close(), c.Close()
		if w.live.Load() != 0 {
			t.Errorf("%d connections left", w.live.Load())
		}
	})
}

// TestSharedStress: whatever breaks, counts return to zero and nothing hangs.
func TestSharedStress(t *testing.T) {
	w := &crowd{}
	w.dial = func(context.Context) error {
		if rand.IntN(10) == 0 {
			return errors.New("refused")
		}
		return nil
	}
	w.answer = func(cl *crowdClient, _ *stream.Request) error {
		switch rand.IntN(20) {
		case 0:
			cl.broken.Store(true)
			return reset(rand.IntN(2) == 0)
		case 1:
			return reset(true)
		}
		return nil
	}
	s := w.shared(4, func(o *upstream.PoolOptions) {
		o.MaxConnections, o.Wait, o.MaxWait, o.MaxRequests = 3, true, 5*time.Minute, 50
	})
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range 300 {
				ctx, cancel := context.WithCancel(t.Context())
				if rand.IntN(10) == 0 {
					cancel()
				}
				if resp, err := s.Handle(ctx, get()); err == nil {
					_ = resp.Close()
				} else if stream.AsError(err).Kind == stream.Timeout {
					t.Errorf("starved: %v", err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	open, idle := s.Stats()
	if open != idle {
		t.Errorf("%d open, %d idle, and nobody uses one", open, idle)
	}
	s.Close()
	if w.live.Load() != 0 {
		t.Errorf("%d connections left", w.live.Load())
	}
}
