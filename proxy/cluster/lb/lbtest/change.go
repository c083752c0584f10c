package lbtest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

var errReset = stream.Errorf(stream.Reset, stream.Upstream, "test")

// use is one attempt as a cluster makes it.
func use(p lb.Picker, h *upstream.Host, err error) {
	h.Begin()
	h.Connected()
	h.Disconnected()
	h.End()
	report(p, h, err)
}

// during runs work in several goroutines, again and again, while change runs.
func during(work func(i int), change func()) {
	var done atomic.Bool
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := w * 1_000_003; !done.Load(); i++ {
				work(i)
			}
		})
	}
	change()
	done.Store(true)
	wg.Wait()
}

func (c *conformance) concurrent(t *testing.T) {
	const workers, picks = 8, 5000
	hosts := Hosts("h", 8)
	set(true, hosts[2], hosts[3], hosts[5])
	p := c.policy().Picker(hosts, nil)
	counts := make([]map[*upstream.Host]int, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			counts[w] = make(map[*upstream.Host]int)
			for i := range picks {
				h, err := p.Pick(c.request(w*picks + i))
				if err != nil {
					t.Error(err)
					return
				}
				counts[w][h]++
				use(p, h, nil)
			}
		})
	}
	wg.Wait()
	all := make(map[*upstream.Host]int)
	for _, m := range counts {
		for h, n := range m {
			all[h] += n
		}
	}
	for h := range all {
		if !h.Healthy() {
			t.Errorf("picked %v, which is down", h)
		}
	}
	if c.promise.Spread == Exact {
		c.check(t, "concurrently", all, 5, workers*picks)
	}
}

// flips has hosts go up and down all the time, but for one that is always up
// and one that is always down.
func (c *conformance) flips(t *testing.T) {
	for _, n := range []int{8, 40} {
		hosts := Hosts("h", n)
		up, down := hosts[n/2], hosts[1]
		set(true, down)
		p := c.policy().Picker(hosts, nil)
		var picked atomic.Int64
		during(func(i int) {
			req := c.request(i)
			if i%3 == 0 {
				req.Tried = []string{up.Address}
			}
			h, err := p.Pick(req)
			if err != nil || h == down {
				t.Errorf("picked %v, %v", h, err)
				return
			}
			use(p, h, nil)
			picked.Add(1)
		}, func() {
			for i := 0; i < 20*n || picked.Load() < 1000; i++ {
				if h := hosts[i%n]; h != up && h != down {
					set(i/n%2 == 0, h)
				}
			}
		})
		set(false, hosts...)
		got := make(map[*upstream.Host]int)
		for i := range 100 * n {
			got[c.pick(t, p, i)]++
		}
		if c.promise.Spread != Any && len(got) != n {
			t.Errorf("when all were up again, %d of %d hosts were picked", len(got), n)
		}
	}
}

// replace picks while hosts go up and down and the set of hosts changes: some
// stay, some come, some go, some have another weight.
func (c *conformance) replace(t *testing.T) {
	type generation struct {
		hosts  []*upstream.Host
		picker lb.Picker
	}
	policy := c.policy()
	var current atomic.Pointer[generation]
	next := func(i int) {
		g := &generation{}
		var before lb.Picker
		if old := current.Load(); old != nil {
			before = old.picker
			for k, h := range renew(old.hosts) {
				if (k+i)%5 != 0 && k < 12 {
					h.Weight = 1 + (k+i/10)%3
					g.hosts = append(g.hosts, h)
				}
			}
		}
		g.hosts = append(g.hosts, Hosts(fmt.Sprintf("set%d", i), i%4)...)
		g.picker = policy.Picker(g.hosts, before)
		current.Store(g)
	}
	next(1)
	var picked atomic.Int64
	during(func(i int) {
		g := current.Load()
		h, err := g.picker.Pick(c.request(i))
		if err != nil {
			if e, ok := errors.AsType[*stream.Error](err); !ok || e.Kind != stream.NoHost {
				t.Error(err)
			}
			return
		}
		if !slices.Contains(g.hosts, h) {
			t.Errorf("picked %v, which is not among the picker's hosts", h)
		}
		use(g.picker, h, errReset)
		picked.Add(1)
	}, func() {
		for i := 0; i < 60 || picked.Load() < 300; i++ {
			next(i)
			set(i%3 == 0, current.Load().hosts...)
		}
	})
}

// foreign makes a picker after one of another policy, and one after that.
func (c *conformance) foreign(t *testing.T) {
	hosts := Weighted("h", 3, 1, 2)
	for _, row := range lb.Builtin() {
		other, _, err := row.New(lb.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p := c.policy().Picker(hosts, other.Picker(hosts[1:], nil))
		for i := range 100 {
			c.pick(t, p, i)
		}
		p = other.Picker(hosts, p)
		for i := range 100 {
			c.pick(t, p, i)
		}
	}
}
