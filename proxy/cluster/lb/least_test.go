package lb_test

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb/lbtest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// TestH9SlowHostGetsFew has callers at hosts of which one needs ten times as
// long as the others.
func TestH9SlowHostGetsFew(t *testing.T) {
	for _, c := range []struct {
		name    string
		weights []int
		config  map[string]any
		most    float64 // share of the slow host, the first
		least   float64
	}{
		{"two choices of two", []int{1, 1}, nil, 0.15, 0.05},
		{"two choices", []int{1, 1, 1, 1, 1}, nil, 0.10, 0.01},
		{"two choices of many", make([]int, 40), nil, 0.020, 0.001},
		{"all", []int{1, 1, 1, 1, 1}, map[string]any{"choice_count": 5}, 0.05, 0.01},
		{"one choice", []int{1, 1, 1, 1, 1}, map[string]any{"choice_count": "1"}, 0.23, 0.17},
		{"weights", []int{2, 1, 1, 1, 1}, nil, 0.17, 0.03},
		{"weights, without bias", []int{2, 1, 1, 1, 1}, map[string]any{"active_request_bias": 0}, 0.34, 0.32},
		{"weights, more bias", []int{2, 1, 1, 1, 1}, map[string]any{"active_request_bias": 2.0}, 0.11, 0.02},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, load := range map[string][2]func(*upstream.Host){
				"LB_LEAST_REQUEST":    {(*upstream.Host).Begin, (*upstream.Host).End},
				"LB_LEAST_CONNECTION": {(*upstream.Host).Connected, (*upstream.Host).Disconnected},
			} {
				synctest.Test(t, func(t *testing.T) {
					hosts := lbtest.Weighted("h", c.weights...)
					p := policy(t, name, lb.Options{Config: c.config}).Picker(hosts, nil)
					var total, slow atomic.Int64
					callers := 4 * len(hosts)
					for i := range callers {
						r := rand.New(rand.NewPCG(uint64(i), 1))
						go func() {
							for range 400 {
								h, err := p.Pick(&stream.Request{})
								if err != nil {
									t.Error(err)
									return
								}
								if total.Add(1); h == hosts[0] {
									slow.Add(1)
								}
								load[0](h)
								d := time.Duration(float64(10*time.Millisecond) * (0.5 + r.Float64()))
								if h == hosts[0] {
									d *= 10
								}
								time.Sleep(d)
								load[1](h)
							}
						}()
					}
					time.Sleep(time.Hour)
					if s := float64(slow.Load()) / float64(total.Load()); s > c.most || s < c.least {
						t.Errorf("%s: share of the slow host %.3f, want %v to %v", name, s, c.least, c.most)
					}
				})
			}
		})
	}
}
