package lb_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb/lbtest"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// renewed returns the same hosts as another configuration would have them, with
// other weights if there are any.
func renewed(hosts []*upstream.Host, weights ...int) []*upstream.Host {
	list := make([]*upstream.Host, len(hosts))
	for i, h := range hosts {
		w := h.Weight
		if weights != nil {
			w = weights[i]
		}
		list[i] = upstream.NewHost(config.Host{Address: h.Address, Weight: w}, h)
	}
	return list
}

func shuffled(hosts []*upstream.Host) []*upstream.Host {
	hosts = slices.Clone(hosts)
	rand.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	return hosts
}

// sequence returns the addresses of the next n picks.
func sequence(t *testing.T, p lb.Picker, n int) []string {
	t.Helper()
	list := make([]string, n)
	for i := range list {
		h, err := p.Pick(&stream.Request{})
		if err != nil {
			t.Fatal(err)
		}
		list[i] = h.Address
	}
	return list
}

func count(list []string) map[string]int {
	n := make(map[string]int)
	for _, a := range list {
		n[a]++
	}
	return n
}

func TestH8WeightedSharesAndSmoothOrder(t *testing.T) {
	for range 20 {
		hosts := lbtest.Weighted("h", 1, 2, 3)
		list := sequence(t, policy(t, "LB_WEIGHTED_ROUNDROBIN", lb.Options{}).Picker(hosts, nil), 6000)
		n := count(list)
		for i, want := range []int{1000, 2000, 3000} {
			if got := n[hosts[i].Address]; got < want-1 || got > want+1 {
				t.Errorf("weight %d: %d picks, want %d", i+1, got, want)
			}
		}
		// Between two turns of a host, none of the others has more than one turn
		// above its share.
		for i, most := range []int{7, 5, 4} {
			before := -1
			for k, a := range list {
				if a != hosts[i].Address {
					continue
				}
				if before >= 0 && k-before > most {
					t.Fatalf("%s waited from turn %d to %d, want at most %d", a, before, k, most)
				}
				before = k
			}
		}
	}
}

// TestH8ManyComeBack takes half of many hosts away and back again: nobody gets
// more than its share for it.
func TestH8ManyComeBack(t *testing.T) {
	weights := make([]int, 1000)
	sum := 0
	for i := range weights {
		weights[i] = 1 + i%2
		sum += weights[i]
	}
	hosts := lbtest.Weighted("h", weights...)
	p := policy(t, "LB_WEIGHTED_ROUNDROBIN", lb.Options{}).Picker(hosts, nil)
	down := func(on bool) {
		for i, h := range hosts {
			if i%4 < 2 {
				h.SetTrouble(upstream.CheckFailed, on)
			}
		}
	}
	sequence(t, p, 700)
	down(true)
	n := count(sequence(t, p, 5*sum))
	for i, h := range hosts {
		if got := n[h.Address]; i%4 < 2 && got > 0 || i%4 >= 2 && (got < 10*h.Weight-1 || got > 10*h.Weight+1) {
			t.Fatalf("half are down: %d picks of host %d, of weight %d", got, i, h.Weight)
		}
	}
	down(false)
	sequence(t, p, 150) // in which it is noticed
	n = count(sequence(t, p, 5*sum))
	for i, h := range hosts {
		if got := n[h.Address]; got < 5*h.Weight-1 || got > 5*h.Weight+1 {
			t.Fatalf("all are back: %d picks of host %d, of weight %d", got, i, h.Weight)
		}
	}
}

// TestH8WeightChanges has the shares follow the weights of a new configuration.
func TestH8WeightChanges(t *testing.T) {
	pol := policy(t, "LB_WEIGHTED_ROUNDROBIN", lb.Options{})
	hosts := lbtest.Weighted("h", 2, 2, 2, 2)
	p := pol.Picker(hosts, nil)
	sequence(t, p, 101)
	for _, weights := range [][]int{{1, 2, 3, 4}, {4, 1, 1, 4}, {5, 5, 5, 5}, {128, 1, 1, 1}, {1, 1, 1, 1}} {
		hosts = renewed(hosts, weights...)
		p = pol.Picker(hosts, p)
		sum := 0
		for _, w := range weights {
			sum += w
		}
		n := count(sequence(t, p, 10*sum))
		for i, w := range weights {
			if got := n[hosts[i].Address]; got < 10*w-1 || got > 10*w+1 {
				t.Errorf("weights %v: host %d was picked %d times, want %d", weights, i, got, 10*w)
			}
		}
	}
}

// TestH19SequenceContinues replaces the list of hosts by the same one shuffled.
func TestH19SequenceContinues(t *testing.T) {
	for _, c := range []struct {
		name    string
		weights []int
	}{
		{"LB_ROUNDROBIN", []int{1, 1, 1, 1, 1, 1, 1}},
		{"LB_WEIGHTED_ROUNDROBIN", []int{1, 1, 1, 1, 1, 1, 1}},
		{"LB_WEIGHTED_ROUNDROBIN", []int{3, 1, 5, 2, 128, 7, 2}},
		{"LB_LEAST_REQUEST", []int{3, 1, 5, 2, 128, 7, 2}},
		{"LB_LEAST_CONNECTION", []int{3, 1, 5, 2, 128, 7, 2}},
	} {
		pol := policy(t, c.name, lb.Options{})
		for n := range 30 {
			hosts := lbtest.Weighted("h", c.weights...)
			old := pol.Picker(hosts, nil)
			sequence(t, old, n)
			hosts[n%7].SetTrouble(upstream.Ejected, true)
			sequence(t, old, n)
			hosts[n%7].SetTrouble(upstream.Ejected, false)
			sequence(t, old, 10) // in which it is noticed
			renewed := pol.Picker(shuffled(renewed(hosts)), old)
			if want, got := sequence(t, old, 500), sequence(t, renewed, 500); !slices.Equal(got, want) {
				t.Fatalf("%s %v after %d picks: goes on with\n%v, want\n%v", c.name, c.weights, n, got[:20], want[:20])
			}
		}
	}
}

// TestH19HostsLeave takes hosts out: the others keep their order.
func TestH19HostsLeave(t *testing.T) {
	pol := policy(t, "LB_WEIGHTED_ROUNDROBIN", lb.Options{})
	for _, weights := range [][]int{{1, 1, 1, 1, 1, 1}, {1, 4, 2, 4, 3, 1}} {
		hosts := lbtest.Weighted("h", weights...)
		old := pol.Picker(hosts, nil)
		sequence(t, old, 17)
		left := []*upstream.Host{hosts[5], hosts[1], hosts[3]}
		next := pol.Picker(left, old)
		var want []string
		for _, a := range sequence(t, old, 300) {
			if a == hosts[5].Address || a == hosts[1].Address || a == hosts[3].Address {
				want = append(want, a)
			}
		}
		if got := sequence(t, next, len(want)); !slices.Equal(got, want) {
			t.Errorf("%v: goes on with\n%v, want\n%v", weights, got[:20], want[:20])
		}
	}
}

func TestH17ShareGrowsLinearly(t *testing.T) {
	for _, name := range []string{"LB_WEIGHTED_ROUNDROBIN", "LB_LEAST_REQUEST", "LB_LEAST_CONNECTION", "LB_PEAK_EWMA"} {
		for _, c := range []struct {
			slow config.SlowStart
			want func(elapsed float64) float64 // part of its weight
		}{
			{
				config.SlowStart{Mode: "duration", Duration: time.Minute, Aggression: 1, MinWeightPercent: 0.1},
				func(s float64) float64 { return max(0.1, s/60) },
			},
			{
				config.SlowStart{Duration: time.Minute, Aggression: 2, MinWeightPercent: 0},
				func(s float64) float64 { return math.Sqrt(max(1, s) / 60) },
			},
			{
				config.SlowStart{Duration: time.Minute, Aggression: 0.5, MinWeightPercent: 0.5},
				func(s float64) float64 { return max(0.5, s*s/3600) },
			},
		} {
			synctest.Test(t, func(t *testing.T) {
				pol := policy(t, name, lb.Options{SlowStart: &c.slow})
				hosts := lbtest.Weighted("old", 1, 2, 1)
				p := pol.Picker(hosts, nil)
				time.Sleep(time.Hour)
				all := append(renewed(hosts), lbtest.Weighted("new", 2)...)
				fresh := all[3]
				p = pol.Picker(all, p)
				check := func(when string, elapsed float64) {
					t.Helper()
					sequence(t, p, 30) // a round
					f := 2 * min(1, c.want(elapsed))
					got := float64(count(sequence(t, p, 4000))[fresh.Address]) / 4000
					if want := f / (4 + f); math.Abs(got-want) > 0.001+want/50 {
						t.Errorf("%s %v: %s, after %v s: share %.4f, want %.4f", name, c.slow, when, elapsed, got, want)
					}
				}
				for _, at := range []float64{0, 15, 30, 45, 59, 61} {
					time.Sleep(time.Duration(at*float64(time.Second)) - time.Since(fresh.Since()))
					check("new", at)
				}
				fresh.SetTrouble(upstream.CheckFailed, true)
				sequence(t, p, 100)
				fresh.SetTrouble(upstream.CheckFailed, false)
				for _, at := range []float64{0, 30, 61} {
					time.Sleep(time.Duration(at*float64(time.Second)) - time.Since(fresh.Since()))
					check("back again", at)
				}
			})
		}
	}
}

// TestH17LowTraffic has a host whose first turn, by what it was worth when it
// came, would be far away: it does not wait longer than it has to.
func TestH17LowTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pol := policy(t, "LB_WEIGHTED_ROUNDROBIN", lb.Options{SlowStart: &config.SlowStart{Duration: time.Hour}})
		hosts := lbtest.Hosts("old", 1)
		p := pol.Picker(hosts, nil)
		time.Sleep(time.Hour)
		all := append(hosts, lbtest.Hosts("new", 1)...)
		p = pol.Picker(all, p)
		sequence(t, p, 10)
		time.Sleep(time.Hour)
		if n := count(sequence(t, p, 20))["new-0:80"]; n < 9 || n > 11 {
			t.Errorf("after its slow start, it got %d of 20 turns, want half", n)
		}
	})
}
