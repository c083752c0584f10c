package lbtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

func (c *conformance) spread(t *testing.T) {
	for _, down := range [][]int{nil, {3}, {0, 1, 2}, {1, 3, 5, 7, 9}, {0, 1, 2, 3, 4, 5, 6, 7}} {
		hosts := Hosts("h", 10)
		for _, i := range down {
			set(true, hosts[i])
		}
		up := len(hosts) - len(down)
		picks := 2000 * up
		p := c.policy().Picker(hosts, nil)
		got := make(map[*upstream.Host]int)
		for i := range picks {
			got[c.pick(t, p, i)]++
		}
		c.check(t, fmt.Sprintf("down %v", down), got, up, picks)
	}
}

// check checks picks of hosts that deserve the same.
func (c *conformance) check(t *testing.T, when string, got map[*upstream.Host]int, up, picks int) {
	t.Helper()
	if len(got) != up {
		t.Errorf("%s: %d hosts were picked, want %d", when, len(got), up)
	}
	want := float64(picks) / float64(up)
	chi := 0.0
	for h, n := range got {
		off := float64(n) - want
		switch {
		case c.promise.Spread == Exact && off != 0,
			c.promise.Spread == Even && math.Abs(off) > want/10:
			t.Errorf("%s: %v was picked %d times, want %v", when, h, n, want)
		}
		chi += off * off / want
	}
	// With nine degrees of freedom or fewer, chance alone passes 60 once in
	// a thousand million times.
	if c.promise.Spread == Uniform && chi > 60 {
		t.Errorf("%s: not uniform (chi square %.0f): %v", when, chi, got)
	}
}

// weights checks shares by weight, also where some of the hosts are down: what
// they would have got goes to all others, in proportion.
func (c *conformance) weights(t *testing.T) {
	for _, tc := range []struct {
		weights []int
		down    []int
		picks   int
	}{
		{[]int{1, 2, 3}, nil, 6000},
		{[]int{3, 1, 2, 128}, []int{3}, 6000},
		{[]int{2, 2, 1, 3, 2}, []int{0, 4}, 6000},
		{[]int{128, 1, 64}, nil, 19300},
		{[]int{7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 1, 2}, []int{2, 5}, 11800},
	} {
		when := fmt.Sprintf("weights %v, down %v", tc.weights, tc.down)
		hosts := Weighted("h", tc.weights...)
		sum := 0
		for _, h := range hosts {
			sum += h.Weight
		}
		for _, i := range tc.down {
			set(true, hosts[i])
			sum -= hosts[i].Weight
		}
		p := c.policy().Picker(hosts, nil)
		got := make(map[*upstream.Host]int)
		for i := range tc.picks {
			got[c.pick(t, p, i)]++
		}
		for _, h := range hosts {
			want := 0.0
			if h.Healthy() {
				want = float64(tc.picks) * float64(h.Weight) / float64(sum)
			}
			if off := math.Abs(float64(got[h]) - want); off > max(2, want*c.promise.Weights) {
				t.Errorf("%s: %v, of weight %d, was picked %d times, want %.0f", when, h, h.Weight, got[h], want)
			}
		}
	}
}

// renew returns the same hosts as a new configuration would have them.
func renew(hosts []*upstream.Host) []*upstream.Host {
	list := make([]*upstream.Host, len(hosts))
	for i, h := range hosts {
		list[i] = upstream.NewHost(config.Host{Address: h.Address, Weight: h.Weight}, h)
	}
	return list
}

// goesOn replaces the list by the same in another order, again and again: the
// shares stay exact.
func (c *conformance) goesOn(t *testing.T) {
	policy := c.policy()
	hosts := Hosts("h", 10)
	set(true, hosts[4])
	p := policy.Picker(hosts, nil)
	got := make(map[string]int)
	for i := range 900 {
		got[c.pick(t, p, i).Address]++
		if i%7 == 0 {
			hosts = renew(hosts)
			rand.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
			p = policy.Picker(hosts, p)
		}
	}
	for _, h := range hosts {
		if n := got[h.Address]; h.Healthy() && (n < 99 || n > 101) {
			t.Errorf("%v was picked %d times of 900, want 100, within one", h, n)
		}
	}
}

// joins adds a host to others: it gets its share, and no burst.
func (c *conformance) joins(t *testing.T) {
	policy := c.policy()
	hosts := Hosts("h", 9)
	p := policy.Picker(hosts, nil)
	for i := range 5000 {
		c.pick(t, p, i)
	}
	all := slices.Concat(Hosts("new", 1), renew(hosts))
	p = policy.Picker(all, p)
	first, later := 0, 0
	for i := range 100 {
		if c.pick(t, p, 5000+i) == all[0] {
			first++
		}
	}
	for i := range 1000 {
		if c.pick(t, p, 5100+i) == all[0] {
			later++
		}
	}
	// By chance: 10 within 6.7 standard deviations, and 100 within 6.3.
	if first > 30 || later < 40 || later > 160 {
		t.Errorf("the tenth host got %d of the first 100, and %d of the next 1000", first, later)
	}
	if c.promise.Spread == Exact && (first < 9 || first > 11 || later < 99 || later > 101) {
		t.Errorf("the tenth host got %d of the first 100, and %d of the next 1000, want a tenth", first, later)
	}
}
