package upstream_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// caller is a connection of a caller.
type caller struct {
	life context.Context //nolint:containedctx // it is what a caller has
	end  context.CancelFunc
	hung atomic.Int64
}

func newCaller(t *testing.T) *caller {
	c := new(caller)
	c.life, c.end = context.WithCancel(t.Context())
	t.Cleanup(c.end)
	return c
}

func (*caller) Number() uint64          { return 7 }
func (c *caller) Life() context.Context { return c.life }
func (c *caller) HangUp()               { c.hung.Add(1) }

// from is a request that comes by the connection.
func (c *caller) from() *stream.Request {
	req := get()
	req.Caller = c
	return req
}

func binding(o *upstream.PoolOptions) { o.Mode = upstream.Binding }

// Whatever happens while the connection is being dialed, none is left.
func TestBoundWhileDialing(t *testing.T) {
	for name, happens := range map[string]func(c *caller, s upstream.Sender, cancel func()){
		"the caller goes":                       func(c *caller, _ upstream.Sender, _ func()) { c.end() },
		"the pool is closed":                    func(_ *caller, s upstream.Sender, _ func()) { s.Close() },
		"the request goes":                      func(_ *caller, _ upstream.Sender, cancel func()) { cancel() },
		"the pool drains":                       func(_ *caller, s upstream.Sender, _ func()) { s.Drain() },
		"the request goes, and the pool drains": func(_ *caller, s upstream.Sender, cancel func()) { cancel(); s.Drain() },
		"the request goes, then the caller":     func(c *caller, _ upstream.Sender, cancel func()) { cancel(); c.end() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &crowd{dial: func(ctx context.Context) error {
					timer := time.NewTimer(time.Second)
					defer timer.Stop()
					select {
					case <-timer.C:
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				}}
				s := w.shared(10, binding)
				defer s.Close()
				c := newCaller(t)
				ctx, cancel := context.WithCancel(t.Context())
				var asking sync.WaitGroup
				asking.Go(func() {
					resp, err := s.Handle(ctx, c.from())
					if err == nil {
						_ = resp.Close()
					}
				})
				time.Sleep(time.Millisecond)
				happens(c, s, cancel)
				asking.Wait()
				time.Sleep(5 * time.Second)
				c.end() // of what is still bound, this is the end
				synctest.Wait()
				cancel()
				wantConnections(t, s, 0, 0)
				if n := w.live.Load(); n != 0 || c.hung.Load() != 0 {
					t.Errorf("%d connections are left, hung up on %d times", n, c.hung.Load())
				}
			})
		})
	}
}

// Requests that come by no connection share, and those of one caller do not wait
// for another whose host cannot be reached.
func TestBoundOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := false
		w := &crowd{dial: func(context.Context) error {
			if fail {
				return errors.New("refused")
			}
			return nil
		}}
		s := w.shared(10, binding)
		defer s.Close()
		a, b := newCaller(t), newCaller(t)
		for range 3 {
			for _, req := range []*stream.Request{get(), a.from(), get()} {
				resp, err := s.Handle(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = resp.Close() }()
			}
		}
		wantConnections(t, s, 2, 0)
		fail = true
		bound := s.(*upstream.Bound)
		if _, err := s.Handle(t.Context(), b.from()); stream.AsError(err).Kind != stream.Connect || bound.Binds(b) || b.hung.Load() != 0 {
			t.Errorf("%v; bound: %v", err, bound.Binds(b))
		}
		if !bound.Binds(a) {
			t.Error("the other caller is not bound any more")
		}
	})
}

// A connection whose request has gone while it was dialed does not outlive a
// drain.
func TestSharedDrainsWhatIsDialed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &crowd{dial: func(context.Context) error { time.Sleep(time.Second); return nil }}
		s := w.shared(10, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := s.Handle(ctx, get()); stream.AsError(err).Kind != stream.Timeout {
			t.Errorf("%v", err)
		}
		s.Drain()
		time.Sleep(3 * time.Second)
		wantConnections(t, s, 0, 0)
		if n := w.live.Load(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}
