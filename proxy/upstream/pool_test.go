package upstream_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

func TestPoolReusesTheConnectionUsedLast(t *testing.T) {
	w := &world{}
	p := w.pool(nil)
	defer p.Close()
	var ends []func()
	for range 3 {
		_, end := start(t, p, get())
		ends = append(ends, end)
	}
	wantStats(t, p, 3, 0)
	for _, i := range []int{1, 2, 0} {
		ends[i]()
	}
	wantStats(t, p, 3, 3)
	for range 5 {
		if cl := do(t, p, get()); cl.id != 0 {
			t.Errorf("connection %d was used, want 0, which was used last", cl.id)
		}
	}
	if n := w.dials.Load(); n != 3 {
		t.Errorf("%d dials, want 3", n)
	}
}

func TestPoolLimit(t *testing.T) {
	w := &world{}
	p := w.pool(func(o *upstream.PoolOptions) { o.MaxConnections = 2 })
	defer p.Close()
	_, end1 := start(t, p, get())
	_, end2 := start(t, p, get())
	e := failure(t.Context(), t, p, get(), stream.Overload)
	if !e.Retry || !strings.Contains(e.Error(), "all 2 connections") || !strings.Contains(e.Error(), "10.0.0.1:80") {
		t.Errorf("error %q, retry %v", e, e.Retry)
	}
	end1()
	do(t, p, get())
	end2()
	if n := w.dials.Load(); n != 2 {
		t.Errorf("%d dials, want 2", n)
	}
}

func TestPoolMaxRequests(t *testing.T) {
	w := &world{}
	p := w.pool(func(o *upstream.PoolOptions) { o.MaxRequests = 3 })
	defer p.Close()
	for i := range 9 {
		if cl := do(t, p, get()); cl.id != i/3 {
			t.Errorf("request %d went over connection %d, want %d", i, cl.id, i/3)
		}
	}
	wantStats(t, p, 0, 0)
	if n := w.live.Load(); n != 0 {
		t.Errorf("%d connections are open after their last request", n)
	}
}

// queue starts n requests that wait, one after the other, and returns where
// their results appear in the order in which they got their turn.
func queue(t *testing.T, p *upstream.Pool, n int, hold *sync.WaitGroup) (order chan int) {
	t.Helper()
	order = make(chan int, n)
	for i := range n {
		hold.Go(func() {
			resp, err := p.Handle(t.Context(), get())
			if err != nil {
				t.Errorf("waiter %d: %v", i, err)
				order <- -1
				return
			}
			order <- i
			_ = resp.Close()
		})
		synctest.Wait()
	}
	return order
}

func TestPoolWaitersInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		p := w.pool(func(o *upstream.PoolOptions) { o.MaxConnections, o.Wait, o.MaxWait = 1, true, time.Minute })
		_, end := start(t, p, get())
		var wg sync.WaitGroup
		order := queue(t, p, 5, &wg)
		time.Sleep(time.Second)
		end()
		wg.Wait()
		for i := range 5 {
			if got := <-order; got != i {
				t.Errorf("turn %d went to waiter %d", i, got)
			}
		}
		if n := w.dials.Load(); n != 1 {
			t.Errorf("%d dials, want 1", n)
		}
		req := get()
		do(t, p, req)
		if req.Info.Connected != 0 {
			t.Errorf("a request that found a connection waited %v", req.Info.Connected)
		}
		p.Close()
		wantEmpty(t, w, p)
	})
}

func TestPoolWaitTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		p := w.pool(func(o *upstream.PoolOptions) { o.MaxConnections, o.Wait, o.MaxWait = 1, true, 10*time.Second })
		_, end := start(t, p, get())
		begin := time.Now()
		req := get()
		e := failure(t.Context(), t, p, req, stream.Timeout)
		if waited := time.Since(begin); waited != 10*time.Second || req.Info.Connected != waited {
			t.Errorf("waited %v, noted %v, want 10s", waited, req.Info.Connected)
		}
		if e.Err == nil || e.Err.Error() != "connection pool timeout" || !e.Retry {
			t.Errorf("error %q, retry %v", e, e.Retry)
		}
		// The request's own deadline, if it comes first.
		begin = time.Now()
		req = get()
		req.Deadline = begin.Add(time.Second)
		fails(t, p, req, stream.Timeout)
		if waited := time.Since(begin); waited != time.Second {
			t.Errorf("waited %v, want the request's second", waited)
		}
		end()
		do(t, p, get()) // nobody who gave up is handed a connection
		wantStats(t, p, 1, 1)
		p.Close()
		wantEmpty(t, w, p)
	})
}

func TestPoolWaiterTakesThePlaceOfAFailedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		p := w.pool(func(o *upstream.PoolOptions) { o.MaxConnections, o.Wait, o.MaxWait = 1, true, time.Minute })
		cl, end := start(t, p, post())
		var wg sync.WaitGroup
		order := queue(t, p, 2, &wg)
		_ = cl.Close() // breaks in use
		end()
		wg.Wait()
		if a, b := <-order, <-order; a != 0 || b != 1 {
			t.Errorf("turns went to %d, %d", a, b)
		}
		if n := w.dials.Load(); n != 2 {
			t.Errorf("%d dials, want 2", n)
		}
		wantStats(t, p, 1, 1)
		p.Close()
		wantEmpty(t, w, p)
	})
}

// A failed dial must hand its place to the next waiter, which would starve else.
func TestPoolWaiterTakesThePlaceOfAFailedDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		w.dial = func(context.Context) error {
			time.Sleep(time.Second)
			if w.dials.Load() == 1 {
				return errors.New("refused")
			}
			return nil
		}
		p := w.pool(func(o *upstream.PoolOptions) { o.MaxConnections, o.Wait, o.MaxWait = 1, true, time.Minute })
		var wg sync.WaitGroup
		wg.Go(func() {
			e := failure(t.Context(), t, p, get(), stream.Connect)
			if !e.Retry || e.Side != stream.Upstream || !strings.Contains(e.Error(), "connect to host 10.0.0.1:80") {
				t.Errorf("error %q, retry %v", e, e.Retry)
			}
		})
		synctest.Wait()
		order := queue(t, p, 1, &wg)
		wg.Wait()
		if <-order != 0 {
			t.Error("the waiter got nothing")
		}
		p.Close()
		wantEmpty(t, w, p)
	})
}

// The host may close a connection between its release and a waiter's use of it.
func TestPoolWaiterIsNotHandedADeadConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, req := range []func() *stream.Request{get, post} {
			w := &world{}
			p := w.pool(func(o *upstream.PoolOptions) { o.MaxConnections, o.Wait, o.MaxWait = 1, true, time.Minute })
			cl, end := start(t, p, get())
			var wg sync.WaitGroup
			wg.Go(func() {
				if got := do(t, p, req()); got == cl {
					t.Error("answered over the dead connection")
				}
			})
			synctest.Wait()
			cl.stale.Store(true)
			end()
			wg.Wait()
			wantStats(t, p, 1, 1)
			p.Close()
			wantEmpty(t, w, p)
		}
	})
}

func TestPoolFindsDeadConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		p := w.pool(func(o *upstream.PoolOptions) { o.MaxConnections = 3 })
		var ends []func()
		for range 3 {
			_, end := start(t, p, get())
			ends = append(ends, end)
		}
		for _, end := range ends {
			end()
		}
		w.client(2).stale.Store(true)
		w.client(1).stale.Store(true)
		// Unsafe to repeat: looks first, however fresh the connection is.
		if cl := do(t, p, post()); cl.id != 0 {
			t.Errorf("went over connection %d, want 0", cl.id)
		}
		wantStats(t, p, 1, 1)
		w.client(0).stale.Store(true)
		if cl := do(t, p, post()); cl.id != 3 {
			t.Errorf("went over connection %d, want a new one", cl.id)
		}
		p.Close()
		wantEmpty(t, w, p)
	})
}

func TestPoolRetriesOnlyWhenThatIsSafe(t *testing.T) {
	body := func(r *stream.Request) *stream.Request {
		r.Body = &fakeBody{}
		return r
	}
	for _, c := range []struct {
		name  string
		req   func() *stream.Request
		err   *stream.Error // of the kept connection
		again bool
	}{
		{"idempotent", get, reset(true), true},
		{"not idempotent", post, reset(false), false},
		{"with a body", func() *stream.Request { return body(get()) }, reset(true), false},
		{"answer had begun", get, reset(false), false},
		{"timeout", get, &stream.Error{Kind: stream.Timeout, Retry: true}, false},
		{"canceled", get, &stream.Error{Kind: stream.Canceled, Retry: true}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &world{}
			p := w.pool(nil)
			defer p.Close()
			do(t, p, get())
			w.answer = func(_ context.Context, cl *fakeClient, _ *stream.Request) error {
				if cl.id == 0 {
					return c.err
				}
				return nil
			}
			resp, err := p.Handle(t.Context(), c.req())
			if again := err == nil; again != c.again {
				t.Fatalf("error %v, sent again: %v, want %v", err, again, c.again)
			}
			if err == nil {
				_ = resp.Close()
			}
			// A new connection's failure is never repeated.
			w.answer = func(context.Context, *fakeClient, *stream.Request) error { return reset(true) }
			before := w.dials.Load()
			p2 := w.pool(nil)
			fails(t, p2, get(), stream.Reset)
			if n := w.dials.Load() - before; n != 1 {
				t.Errorf("%d dials for a request that failed on a new connection", n)
			}
		})
	}
}

// One connection that a request broke says little about the others: they stay.
func TestPoolRetryLeavesTheOthersAlone(t *testing.T) {
	w := &world{}
	p := w.pool(func(o *upstream.PoolOptions) { o.MaxConnections = 3 })
	defer p.Close()
	var ends []func()
	for range 3 {
		_, end := start(t, p, get())
		ends = append(ends, end)
	}
	for _, end := range ends {
		end()
	}
	w.answer = func(context.Context, *fakeClient, *stream.Request) error { return reset(true) }
	fails(t, p, get(), stream.Reset) // on the kept one, then on a new one
	wantStats(t, p, 2, 2)
	if n := w.dials.Load(); n != 4 {
		t.Errorf("%d dials, want 4", n)
	}
}

// At the limit, the new connection for a second try takes an idle one's place.
func TestPoolRetryAtTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{failed: func() { time.Sleep(time.Second) }}
		p := w.pool(func(o *upstream.PoolOptions) { o.MaxConnections, o.Wait, o.MaxWait = 1, true, time.Minute })
		do(t, p, get())
		w.answer = func(_ context.Context, cl *fakeClient, _ *stream.Request) error {
			if cl.id > 0 {
				return nil
			}
			time.Sleep(time.Second)
			return reset(true)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if cl := do(t, p, get()); cl.id != 2 {
				t.Errorf("second try over connection %d, want a new one", cl.id)
			}
		})
		synctest.Wait()
		// One who waits gets the place of the connection that fails, and leaves
		// his connection behind before the second try.
		order := queue(t, p, 1, &wg)
		wg.Wait()
		if <-order != 0 || !w.client(1).closed.Load() {
			t.Error("the idle connection did not make room")
		}
		wantStats(t, p, 1, 1)
		p.Close()
		wantEmpty(t, w, p)
	})
}

func TestPoolIdleConnectionsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		p := w.pool(func(o *upstream.PoolOptions) { o.IdleTimeout = 40 * time.Second })
		_, end1 := start(t, p, get())
		_, end2 := start(t, p, get())
		end1() // used last at 0 s
		time.Sleep(10 * time.Second)
		end2() // at 10 s
		time.Sleep(30*time.Second - time.Millisecond)
		synctest.Wait()
		wantStats(t, p, 2, 2)
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		wantStats(t, p, 1, 1)
		if !w.client(0).closed.Load() || w.client(1).closed.Load() {
			t.Error("the wrong connection expired")
		}
		do(t, p, get()) // at 40 s: 40 more for that one
		time.Sleep(39 * time.Second)
		synctest.Wait()
		wantStats(t, p, 1, 1)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		wantEmpty(t, w, p)
		// The janitor comes back with the next idle connection.
		do(t, p, get())
		time.Sleep(41 * time.Second)
		synctest.Wait()
		wantEmpty(t, w, p)
	})
}

func TestPoolSweepsDeadConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		p := w.pool(nil) // without an idle timeout
		_, end1 := start(t, p, get())
		_, end2 := start(t, p, get())
		end1()
		end2()
		w.client(0).stale.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		wantStats(t, p, 1, 1)
		if !w.client(0).closed.Load() {
			t.Error("the dead connection is still there")
		}
		p.Close()
		wantEmpty(t, w, p)
	})
}

func TestPoolDrain(t *testing.T) {
	w := &world{}
	host := upstream.NewHost(config.Host{Address: "10.0.0.1:80"}, nil)
	p := w.pool(func(o *upstream.PoolOptions) { o.Host = host })
	do(t, p, get())
	_, end := start(t, p, get())
	do(t, p, get())
	p.Drain()
	wantStats(t, p, 1, 0)
	if host.Active() != 1 {
		t.Errorf("%d active, want 1", host.Active())
	}
	do(t, p, get()) // late: served, and its connection not kept
	wantStats(t, p, 1, 0)
	end()
	wantEmpty(t, w, p)
	p.Drain()
	p.Close()
	fails(t, p, get(), stream.Stopping)
	p.Drain() // does not open a closed pool again
	fails(t, p, get(), stream.Stopping)
	if host.Active() != 0 {
		t.Errorf("%d active at the end", host.Active())
	}
}

func TestPoolCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		w.dial = func(ctx context.Context) error {
			if w.dials.Load() == 1 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		host := upstream.NewHost(config.Host{Address: "10.0.0.1:80"}, nil)
		p := w.pool(func(o *upstream.PoolOptions) {
			o.Host, o.MaxConnections, o.Wait, o.MaxWait = host, 2, true, time.Hour
			o.ConnectTimeout = time.Hour
		})
		cl, end := start(t, p, get())
		var wg sync.WaitGroup
		for range 3 { // one is dialing, two wait
			wg.Go(func() {
				begin := time.Now()
				fails(t, p, get(), stream.Stopping)
				if d := time.Since(begin); d != time.Second {
					t.Errorf("ended after %v, want at the Close", d)
				}
			})
		}
		time.Sleep(time.Second)
		p.Close()
		p.Close()
		wg.Wait()
		if !cl.closed.Load() {
			t.Error("the connection in use is open")
		}
		end()
		wantEmpty(t, w, p)
		if host.Active() != 0 {
			t.Errorf("%d active", host.Active())
		}
	})
}

func TestPoolDialTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{dial: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		p := w.pool(func(o *upstream.PoolOptions) { o.ConnectTimeout = 3 * time.Second })
		for _, c := range []struct {
			name  string
			after time.Duration
			kind  stream.Kind
			text  string
			ctx   func() (context.Context, context.CancelFunc)
			limit time.Duration
		}{
			{name: "connect timeout", after: 3 * time.Second, kind: stream.Connect, text: "no connection within 3s"},
			{name: "the request's deadline", limit: time.Second, after: time.Second, kind: stream.Timeout},
			{name: "a later deadline", limit: time.Hour, after: 3 * time.Second, kind: stream.Connect},
			{name: "the context's deadline", after: time.Second, kind: stream.Timeout, ctx: func() (context.Context, context.CancelFunc) {
				return context.WithTimeout(t.Context(), time.Second)
			}},
			{name: "cancel", after: time.Second, kind: stream.Canceled, ctx: func() (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				return ctx, cancel
			}},
		} {
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			if c.ctx != nil {
				ctx, cancel = c.ctx()
			}
			req := get()
			begin := time.Now()
			if c.limit > 0 {
				req.Deadline = begin.Add(c.limit)
			}
			e := failure(ctx, t, p, req, c.kind)
			if d := time.Since(begin); d != c.after || req.Info.Connected != d {
				t.Errorf("%s: failed after %v, noted %v, want %v", c.name, d, req.Info.Connected, c.after)
			}
			if !strings.Contains(e.Error(), c.text) {
				t.Errorf("%s: %q does not say %q", c.name, e, c.text)
			}
			cancel()
			wantStats(t, p, 0, 0)
		}
	})
}

// The one who gives up at the moment of his turn passes it on, or frees it.
func TestPoolCancelWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 200 {
			w := &world{}
			p := w.pool(func(o *upstream.PoolOptions) { o.MaxConnections, o.Wait, o.MaxWait = 1, true, time.Minute })
			_, end := start(t, p, get())
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				if resp, err := p.Handle(ctx, get()); err == nil {
					_ = resp.Close()
				} else if stream.AsError(err).Kind != stream.Canceled {
					t.Error(err)
				}
			})
			synctest.Wait()
			order := queue(t, p, 1, &wg)
			wg.Go(cancel)
			wg.Go(end)
			wg.Wait()
			if <-order != 0 {
				t.Fatal("the second waiter got nothing")
			}
			wantStats(t, p, 1, 1)
			p.Close()
			wantEmpty(t, w, p)
		}
	})
}

// A dial's own kind of failure is kept.
func TestPoolDialErrorKind(t *testing.T) {
	w := &world{dial: func(context.Context) error {
		return &stream.Error{Kind: stream.Overload, Retry: true, Op: "listener egress", Err: errors.New("full")}
	}}
	e := failure(t.Context(), t, w.pool(nil), get(), stream.Overload)
	if !e.Retry || !strings.Contains(e.Error(), "listener egress: full") {
		t.Errorf("error %q", e)
	}
}

// A defect in a protocol costs its connection, not the place of one.
func TestPoolSurvivesAPanic(t *testing.T) {
	w := &world{answer: func(context.Context, *fakeClient, *stream.Request) error { panic("defect") }}
	host := upstream.NewHost(config.Host{Address: "10.0.0.1:80"}, nil)
	p := w.pool(func(o *upstream.PoolOptions) { o.MaxConnections, o.Host = 1, host })
	for range 3 {
		func() {
			defer func() {
				if recover() != "defect" {
					t.Error("the panic was swallowed")
				}
			}()
			_, _ = p.Handle(t.Context(), get())
		}()
	}
	wantEmpty(t, w, p)
	if host.Active() != 0 {
		t.Errorf("%d active", host.Active())
	}
}
