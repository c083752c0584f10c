package traffic

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Tests of circuit breakers: row I11. They trip at once and recover at once.

// flood sends n requests, one after the other but none waiting for another, and
// counts the answers by status: those that are there at once, and, by wait, all.
func (r *rig) flood(n int) (refused map[int]int, wait func() map[int]int) {
	var mu sync.Mutex
	got := make(map[int]int)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			a := r.get("/")
			mu.Lock()
			got[a.status]++
			mu.Unlock()
		})
		synctest.Wait()
	}
	mu.Lock()
	defer mu.Unlock()
	refused = make(map[int]int)
	for status, k := range got {
		refused[status] = k
	}
	return refused, func() map[int]int {
		wg.Wait()
		return got
	}
}

// TestI11Limits: the request over the limit is refused at once, and counted;
// when one is over, the next may come.
func TestI11Limits(t *testing.T) {
	for _, c := range []struct {
		breakers          string
		refused, refused2 int // of 15 requests at once, with one host, and then again
		took              time.Duration
	}{
		{"[{max_requests: 10}]", 5, 5, time.Second},
		{"[{max_connections: 10}]", 5, 5, time.Second},
		{"[{max_connections: 10, max_pending_requests: 3}]", 2, 2, 2 * time.Second},
		{"[{max_connections: 10, max_requests: 20, max_pending_requests: 10}]", 0, 0, 2 * time.Second},
		{"[{max_connections: 0, max_requests: 0}]", 0, 0, time.Second},
		{"[]", 0, 0, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, balanced(1, "circuit_breakers: "+c.breakers))
			r.numbered(1)
			r.hosts["1"].slow(time.Second)
			for i, want := range []int{c.refused, c.refused2} {
				begin := time.Now()
				at, wait := r.flood(15)
				if at[503] != want {
					t.Errorf("%s, round %d: refused at once %v, want %d", c.breakers, i, at, want)
				}
				got := wait()
				if got[200] != 15-want || got[503] != want || time.Since(begin) != c.took {
					t.Errorf("%s, round %d: %v after %v, want %d refused after %v", c.breakers, i, got, time.Since(begin), want, c.took)
				}
			}
			limits := r.Clusters()[0].Limits
			if n := int(limits.Refused + limits.RefusedPending); strings.Contains(c.breakers, "max_requests: 10") && n != 10 || strings.Contains(c.breakers, "pending_requests: 3") && n != 4 {
				t.Errorf("%s: counted %+v", c.breakers, limits)
			}
			if n := r.Network.Dials("10.0.0.1:80"); strings.Contains(c.breakers, "max_connections: 10") && n != 10 {
				t.Errorf("%s: %d connections were made", c.breakers, n)
			}
		})
	}
}

// TestI11Retries: retries in flight have a limit of their own, as a number or
// as a share of the requests; what is not retried gets its answer.
func TestI11Retries(t *testing.T) {
	for _, c := range []struct {
		breakers string
		retries  int // of 20 requests at once that all fail
	}{
		{"[{max_retries: 3}]", 3},
		{"[{max_retries: 1}]", 1},
		{"[{}]", 20},
		{"[{retry_budget: {budget_percent: 0, min_retry_concurrency: 2}}]", 2},
		{"[{retry_budget: {budget_percent: 100, min_retry_concurrency: 0}}]", 20},
		{"[{max_retries: 2, retry_budget: {budget_percent: 100, min_retry_concurrency: 0}}]", 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, balanced(2, "lb_type: LB_REQUEST_ROUNDROBIN\ncircuit_breakers: "+c.breakers)+`
routers: [{router_config_name: main, virtual_hosts: [{domains: ["*"], routers: [{route: {cluster_name: a, retry_policy: {retry_on: true, retry_back_off: {base_interval: 0}}}}]}]}]
`)
			r.numbered(2)
			r.hosts["1"].status(503)
			r.hosts["2"].slow(time.Second) // where retries are
			_, wait := r.flood(20)
			got := wait()
			if n := r.hosts["2"].hits(); n != c.retries || got[200] != c.retries || got[503] != 20-c.retries {
				t.Errorf("%s: %v, %d retries, want %d", c.breakers, got, n, c.retries)
			}
			if n := int(r.Clusters()[0].Limits.SkippedRetries); n != 20-c.retries {
				t.Errorf("%s: %d retries counted as not made, want %d", c.breakers, n, 20-c.retries)
			}
			if a := r.get("/"); a.status != 200 {
				t.Errorf("%s: a retry when all are over: %s", c.breakers, a)
			}
		})
	}
}

// TestI11BudgetIsAShare: a quarter of the requests in flight may be retries.
func TestI11BudgetIsAShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, balanced(2, "lb_type: LB_REQUEST_ROUNDROBIN\ncircuit_breakers: [{retry_budget: {budget_percent: 25, min_retry_concurrency: 1}}]")+`
stream_filters: [{type: note, config: {upstream_index: x-begin}}]
routers: [{router_config_name: main, virtual_hosts: [{domains: ["*"], routers: [{route: {cluster_name: a, retry_policy: {retry_on: true, retry_back_off: {base_interval: 0}}}}]}]}]
`)
		r.numbered(2)
		r.hosts["1"].status(503)
		r.hosts["2"].slow(30 * time.Second)
		var calm sync.WaitGroup
		for range 16 { // 16 requests are in flight, for a while
			calm.Go(func() { r.get("/", "x-begin: 1") })
		}
		synctest.Wait()
		_, wait := r.flood(20)
		got := wait()
		calm.Wait()
		if n := r.hosts["2"].hits() - 16; n != 5 || got[200] != n {
			t.Errorf("%d retries with 16 requests in flight besides, %v; a quarter of all are 5", n, got)
		}
	})
}
