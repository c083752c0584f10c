package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// TestPoolStress lets many callers use a small pool while dials fail and hang,
// connections break in use and while idle, and callers give up. Whatever
// happens, the limit holds, every caller gets an end, and nothing is left.
func TestPoolStress(t *testing.T) {
	for _, wait := range []bool{false, true} {
		for _, drain := range []bool{false, true} {
			t.Run(fmt.Sprintf("wait %v drain %v", wait, drain), func(t *testing.T) { stress(t, wait, drain) })
		}
	}
}

func stress(t *testing.T, wait, drain bool) {
	const limit, callers, requests = 4, 16, 300
	w := &world{}
	w.dial = func(ctx context.Context) error {
		if n := w.live.Load(); n > limit {
			t.Errorf("%d connections, the limit is %d", n, limit)
		}
		switch rand.IntN(10) {
		case 0:
			return errors.New("refused")
		case 1:
			<-ctx.Done()
			return ctx.Err()
		}
		runtime.Gosched()
		return nil
	}
	w.answer = func(ctx context.Context, cl *fakeClient, req *stream.Request) error {
		switch rand.IntN(12) {
		case 0:
			return reset(req.Idempotent())
		case 1:
			_ = cl.Close() // answered, but the connection is finished
		case 2:
			cl.stale.Store(true)
		case 3:
			runtime.Gosched()
		case 4:
			if ctx.Err() != nil {
				return stream.FromContext(ctx, "fake")
			}
		}
		return nil
	}
	host := upstream.NewHost(config.Host{Address: "10.0.0.1:80"}, nil)
	p := w.pool(func(o *upstream.PoolOptions) {
		o.Host, o.MaxConnections, o.Wait, o.MaxWait = host, limit, wait, 50*time.Millisecond
		o.ConnectTimeout, o.IdleTimeout, o.MaxRequests = 5*time.Millisecond, time.Millisecond, 7
	})
	var wg sync.WaitGroup
	var begun atomic.Int64
	half := make(chan struct{}) // closed when half of the requests have begun
	for range callers {
		wg.Go(func() {
			for range requests {
				if begun.Add(1) == callers*requests/2 {
					close(half)
				}
				ctx, cancel := context.WithCancel(t.Context())
				if rand.IntN(4) == 0 {
					time.AfterFunc(time.Duration(rand.IntN(1000))*time.Microsecond, cancel)
				}
				req := get()
				if rand.IntN(2) == 0 {
					req = post()
				}
				if rand.IntN(4) == 0 {
					req.Deadline = time.Now().Add(time.Duration(rand.IntN(2000)) * time.Microsecond)
				}
				resp, err := p.Handle(ctx, req)
				if err == nil {
					runtime.Gosched()
					_ = resp.Close()
				} else if _, ok := errors.AsType[*stream.Error](err); !ok {
					t.Errorf("%T: %v", err, err)
				}
				cancel()
			}
		})
	}
	if drain {
		wg.Go(func() {
			<-half
			p.Drain()
		})
	}
	wg.Wait()
	p.Close()
	wantEmpty(t, w, p)
	if n := host.Active(); n != 0 {
		t.Errorf("%d requests are counted as in flight", n)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t.Logf("%d connections for %d requests", len(w.clients), callers*requests)
}
