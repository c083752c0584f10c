package cluster_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// With max_pending_requests, requests over max_connections wait; those over
// both are refused at once, and counted.
func TestI11Pending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hosts{slow: make(chan struct{})}
		cfg := config.Cluster{Hosts: list("a:1"), CircuitBreakers: []config.Breaker{{MaxConnections: 2, MaxPendingRequests: 3}}}
		c := newCluster(t, cfg, tables(t, h.dial), nil)
		defer c.Close()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { mustCall(t, c, get()) })
		}
		synctest.Wait()
		for range 3 {
			wg.Go(func() { mustCall(t, c, get()) })
		}
		synctest.Wait()
		start := time.Now()
		for range 2 {
			_, err := call(t, c, get())
			if e := stream.AsError(err); e.Kind != stream.Overload || !strings.Contains(err.Error(), "max_pending_requests") {
				t.Errorf("the sixth: %v", err)
			}
		}
		if time.Since(start) > 0 {
			t.Error("the refusal was not at once")
		}
		if l := c.Limits(); l.Pending != 3 || l.RefusedPending != 2 {
			t.Errorf("%+v", l)
		}
		close(h.slow)
		wg.Wait()
		if l := c.Limits(); l.Pending != 0 {
			t.Errorf("%+v", l)
		}
		for range 5 {
			mustCall(t, c, get())
		}
	})
}

func TestI11Retries(t *testing.T) {
	for _, tc := range []struct {
		name    string
		breaker config.Breaker
		calls   int // in flight
		want    int
	}{
		{"no limit", config.Breaker{}, 0, 50},
		{"max_retries", config.Breaker{MaxRetries: 3}, 0, 3},
		{"budget at rest", config.Breaker{RetryBudget: &config.RetryBudget{Percent: 20, MinConcurrency: 2}}, 0, 2},
		{"budget under load", config.Breaker{RetryBudget: &config.RetryBudget{Percent: 20, MinConcurrency: 2}}, 29, 6},
		{"both", config.Breaker{MaxRetries: 5, RetryBudget: &config.RetryBudget{Percent: 20, MinConcurrency: 2}}, 29, 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hosts{slow: make(chan struct{})}
				c := newCluster(t, config.Cluster{Hosts: list("a:1"), CircuitBreakers: []config.Breaker{tc.breaker}}, tables(t, h.dial), nil)
				defer c.Close()
				var wg sync.WaitGroup
				for range tc.calls {
					wg.Go(func() { mustCall(t, c, get()) })
				}
				synctest.Wait()
				var done []func()
				for range 50 {
					if d, ok := c.BeginRetry(); ok {
						done = append(done, d)
					}
				}
				if l := c.Limits(); len(done) != tc.want || l.Retries != tc.want || l.SkippedRetries != int64(50-tc.want) {
					t.Errorf("%d retries, want %d; %+v", len(done), tc.want, l)
				}
				done[0]()
				again, ok := c.BeginRetry()
				if !ok {
					t.Error("no retry although one has ended")
				}
				again()
				for _, d := range done[1:] {
					d()
				}
				if l := c.Limits(); l.Retries != 0 {
					t.Errorf("%+v", l)
				}
				close(h.slow)
				wg.Wait()
			})
		})
	}
}
