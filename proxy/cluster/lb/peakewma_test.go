package lb_test

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb/lbtest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// experiment is that of MOSN's page on its latency balancer: ten servers whose
// usual latencies are spread around 50 ms, one of which takes a second longer
// for one request in ten. Each serves eight requests at a time; the others
// queue. 16 callers ask, each again as soon as it has its answer.
func experiment(t *testing.T, policyName string, seed uint64, requests int) []time.Duration {
	const servers, slots, callers, faulty = 10, 8, 16, 3
	var all []time.Duration
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 1))
		hosts := lbtest.Hosts("server", servers)
		usual := make(map[*upstream.Host]float64)
		free := make(map[*upstream.Host]chan struct{})
		for _, h := range hosts {
			usual[h] = 50 + 10*r.NormFloat64()
			free[h] = make(chan struct{}, slots)
		}
		p := policy(t, policyName, lb.Options{ConnectTimeout: 3 * time.Second}).Picker(hosts, nil)
		var wg sync.WaitGroup
		took := make([][]time.Duration, callers)
		for c := range callers {
			r := rand.New(rand.NewPCG(seed, uint64(2+c)))
			wg.Go(func() {
				for range requests / callers {
					start := time.Now()
					h, err := p.Pick(&stream.Request{})
					if err != nil {
						t.Error(err)
						return
					}
					h.Begin()
					free[h] <- struct{}{}
					ms := max(1, usual[h]+5*r.NormFloat64())
					if h == hosts[faulty] && r.IntN(10) == 0 {
						ms += 1000
					}
					time.Sleep(time.Duration(ms * float64(time.Millisecond)))
					<-free[h]
					h.End()
					if l, ok := p.(lb.Reporter); ok {
						l.Done(h, lb.Outcome{Status: 200, Duration: time.Since(start)})
					}
					took[c] = append(took[c], time.Since(start))
				}
			})
		}
		wg.Wait()
		for _, d := range took {
			all = append(all, d...)
		}
	})
	slices.Sort(all)
	return all
}

func TestH13Experiment(t *testing.T) {
	var ewma, least, robin, tail time.Duration
	for seed := range uint64(6) {
		p99 := func(name string) (p99, p995 time.Duration) {
			d := experiment(t, name, seed, 16000)
			t.Logf("%d %s: P50 %v P99 %v P99.5 %v", seed, name, d[len(d)/2], d[len(d)*99/100], d[len(d)*995/1000])
			return d[len(d)*99/100], d[len(d)*995/1000]
		}
		r, _ := p99("LB_ROUNDROBIN")
		l, _ := p99("LB_LEAST_REQUEST")
		e, t := p99("LB_PEAK_EWMA")
		robin, least, ewma, tail = robin+r, least+l, ewma+e, max(tail, t)
	}
	if ewma >= least || ewma >= robin {
		t.Errorf("mean P99 %v, that of least request is %v, that of round robin %v", ewma/6, least/6, robin/6)
	}
	if tail > 300*time.Millisecond {
		t.Errorf("P99.5 is up to %v: the faulty server is not avoided", tail)
	}
}

// shares picks n times, one request after the other, and returns the parts that
// hosts got; answer says what becomes of each.
func shares(t *testing.T, p lb.Picker, n int, answer func(*upstream.Host) lb.Outcome) map[*upstream.Host]float64 {
	t.Helper()
	got := make(map[*upstream.Host]float64)
	for range n {
		h, err := p.Pick(&stream.Request{})
		if err != nil {
			t.Fatal(err)
		}
		got[h] += 1 / float64(n)
		o := answer(h)
		h.Begin()
		time.Sleep(o.Duration)
		h.End()
		p.(lb.Reporter).Done(h, o)
	}
	return got
}

func TestH13FailingFastIsNotFast(t *testing.T) {
	canceled := &stream.Error{Kind: stream.Canceled, Side: stream.Downstream}
	reset := &stream.Error{Kind: stream.Reset, Side: stream.Upstream}
	const ms = time.Millisecond
	for _, c := range []struct {
		name     string
		bad      lb.Outcome
		low, top float64 // share of the bad one among ten
	}{
		{"500", lb.Outcome{Status: 500, Duration: ms}, 0, 0.01},
		{"reset", lb.Outcome{Err: reset, Duration: ms}, 0, 0.01},
		{"404", lb.Outcome{Status: 404, Duration: ms}, 0, 0.03},
		{"timeout", lb.Outcome{Err: &stream.Error{Kind: stream.Timeout}, Duration: time.Second}, 0, 0.01},
		{"caller gone", lb.Outcome{Err: canceled, Duration: ms}, 0.05, 0.2},
		{"no answer is due", lb.Outcome{Duration: ms}, 0.05, 0.2},
		{"as good as the others", lb.Outcome{Status: 200, Duration: 50 * ms}, 0.05, 0.2},
		{"faster", lb.Outcome{Status: 200, Duration: 40 * ms}, 0.15, 0.25},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hosts := lbtest.Hosts("h", 10)
				p := policy(t, "LB_PEAK_EWMA", lb.Options{}).Picker(hosts, nil)
				got := shares(t, p, 2000, func(h *upstream.Host) lb.Outcome {
					if h == hosts[0] {
						return c.bad
					}
					return lb.Outcome{Status: 200, Duration: 50 * ms}
				})
				if s := got[hosts[0]]; s < c.low || s > c.top {
					t.Errorf("share %.3f, want %v to %v", s, c.low, c.top)
				}
			})
		})
	}
}

// TestH13ErrorBias turns off what errors count.
func TestH13ErrorBias(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := lbtest.Hosts("h", 4)
		p := policy(t, "LB_PEAK_EWMA", lb.Options{Config: map[string]any{"client_error_bias": 0, "server_error_bias": "0"}}).Picker(hosts, nil)
		got := shares(t, p, 2000, func(h *upstream.Host) lb.Outcome {
			o := lb.Outcome{Status: 200, Duration: time.Millisecond}
			if h == hosts[0] {
				o.Status = 404
			}
			if h == hosts[1] {
				o.Status = 503
			}
			return o
		})
		for _, h := range hosts {
			if got[h] < 0.15 {
				t.Errorf("share of %v is %.2f", h, got[h])
			}
		}
	})
}

// TestH13SlowHost has a host that is slow for a while: it is avoided, also by
// the picker of the next configuration, and forgiven in time.
func TestH13SlowHost(t *testing.T) {
	for _, weights := range [][]int{{1, 1, 1, 1}, {2, 1, 2, 1}} {
		synctest.Test(t, func(t *testing.T) {
			hosts := lbtest.Weighted("h", weights...)
			pol := policy(t, "LB_PEAK_EWMA", lb.Options{})
			p := pol.Picker(hosts, nil)
			slow := true
			answer := func(h *upstream.Host) lb.Outcome {
				if h.Same(hosts[0]) && slow {
					return lb.Outcome{Status: 200, Duration: time.Second}
				}
				return lb.Outcome{Status: 200, Duration: 10 * time.Millisecond}
			}
			shares(t, p, 500, answer)
			if s := shares(t, p, 500, answer)[hosts[0]]; s > 0.05 {
				t.Errorf("share of a slow host %.3f", s)
			}
			slow = false
			// The new set also has a new host: it is expected to be like the others.
			set := append(renewed(hosts), lbtest.Hosts("new", 1)...)
			p = pol.Picker(set, p)
			got := shares(t, p, 300, answer)
			if got[set[0]] > 0.08 {
				t.Errorf("share of a host that was slow %.3f, in a new set", got[set[0]])
			}
			if s := got[set[4]]; s < 0.05 || s > 0.6 {
				t.Errorf("share of a new host %.3f", s)
			}
			time.Sleep(5 * time.Minute)
			shares(t, p, 200, answer)
			if s := shares(t, p, 1000, answer)[set[0]]; s < 0.08 {
				t.Errorf("share of a host that was slow long ago %.3f", s)
			}
		})
	}
}

// TestH13ByWeight has turns in proportion to weight and inverse to latency.
func TestH13ByWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := lbtest.Weighted("h", 3, 1, 2)
		p := policy(t, "LB_PEAK_EWMA", lb.Options{}).Picker(hosts, nil)
		answer := func(h *upstream.Host) lb.Outcome {
			o := lb.Outcome{Status: 200, Duration: 10 * time.Millisecond}
			if h == hosts[0] {
				o.Duration *= 3
			}
			return o
		}
		shares(t, p, 1000, answer)
		got := shares(t, p, 4000, answer)
		for i, want := range []float64{0.25, 0.25, 0.5} { // 3/3 : 1/1 : 2/1
			if s := got[hosts[i]]; s < want*0.95 || s > want*1.05 {
				t.Errorf("share of %v is %.3f, want %.2f", hosts[i], s, want)
			}
		}
	})
}

// TestH13Unknown has callers at hosts of which nothing is known: they spread.
func TestH13Unknown(t *testing.T) {
	for _, o := range []lb.Options{{}, {ConnectTimeout: time.Second, IdleTimeout: time.Minute}} {
		hosts := lbtest.Hosts("h", 10)
		p := policy(t, "LB_PEAK_EWMA", o).Picker(hosts, nil)
		for range 200 {
			h, err := p.Pick(&stream.Request{})
			if err != nil {
				t.Fatal(err)
			}
			h.Begin()
		}
		for _, h := range hosts {
			if n := h.Active(); n < 10 || n > 30 {
				t.Errorf("%v has %d of 200 requests", h, n)
			}
			for range h.Active() {
				h.End()
			}
		}
	}
}
