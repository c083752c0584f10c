// Package lbtest holds the test that every balancer must pass.
package lbtest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// Spread is how a policy promises to spread requests over hosts of equal
// weight that answer alike.
type Spread int

const (
	// Uniform is by chance, with equal probability.
	Uniform Spread = iota
	// Exact is the same number for each host.
	Exact
	// Any is no promise.
	Any
)

// Run tests a policy; policy is called for each test.
func Run(t *testing.T, spread Spread, policy func() lb.Policy) {
	t.Run("empty", func(t *testing.T) { testEmpty(t, policy()) })
	t.Run("single", func(t *testing.T) { testSingle(t, policy()) })
	t.Run("health", func(t *testing.T) { testHealth(t, policy()) })
	t.Run("avoids the last host", func(t *testing.T) { testAvoid(t, policy()) })
	t.Run("concurrent", func(t *testing.T) { testConcurrent(t, spread, policy()) })
	t.Run("replaced while picking", func(t *testing.T) { testReplace(t, policy()) })
	t.Run("allocations", func(t *testing.T) { testAllocations(t, policy()) })
	if spread != Any {
		t.Run("spread", func(t *testing.T) { testSpread(t, spread, policy()) })
	}
}

// Hosts returns n hosts with addresses of the form "prefix-0:80".
func Hosts(prefix string, n int) []*upstream.Host {
	hosts := make([]*upstream.Host, n)
	for i := range hosts {
		hosts[i] = upstream.NewHost(config.Host{Address: fmt.Sprintf("%s-%d:80", prefix, i)}, nil)
	}
	return hosts
}

// pick picks for a first attempt and reports success.
func pick(t *testing.T, p lb.Picker) *upstream.Host {
	t.Helper()
	h, err := p.Pick(&stream.Request{})
	if err != nil {
		t.Fatal(err)
	}
	report(p, h, nil)
	return h
}

func report(p lb.Picker, h *upstream.Host, err error) {
	if r, ok := p.(lb.Reporter); ok {
		o := lb.Outcome{Err: err, Duration: time.Millisecond}
		if err == nil {
			o.Status = 200
		}
		r.Done(h, o)
	}
}

func wantNoHost(t *testing.T, p lb.Picker, avoid string) {
	t.Helper()
	h, err := p.Pick(&stream.Request{Tried: []string{avoid}})
	e, ok := errors.AsType[*stream.Error](err)
	if !ok || e.Kind != stream.NoHost || h != nil {
		t.Fatalf("picked %v, %v, want an error of kind %v", h, err, stream.NoHost)
	}
	if e.Op == "" {
		t.Error("the error does not say why there is no host")
	}
}

func testEmpty(t *testing.T, policy lb.Policy) {
	wantNoHost(t, policy.Picker(nil, nil), "")
	wantNoHost(t, policy.Picker([]*upstream.Host{}, nil), "gone:80")
}

func testSingle(t *testing.T, policy lb.Policy) {
	hosts := Hosts("one", 1)
	p := policy.Picker(hosts, nil)
	for range 100 {
		if h := pick(t, p); h != hosts[0] {
			t.Fatalf("picked %v of one host", h)
		}
	}
	// There is nowhere else to go for a second attempt.
	if h, err := p.Pick(&stream.Request{Tried: []string{hosts[0].Address}}); h != hosts[0] {
		t.Fatalf("second attempt: %v, %v", h, err)
	}
	report(p, hosts[0], nil)
	hosts[0].SetTrouble(upstream.Marked, true)
	wantNoHost(t, p, "")
	wantNoHost(t, p, hosts[0].Address)
}

func testHealth(t *testing.T, policy lb.Policy) {
	hosts := Hosts("h", 10)
	p := policy.Picker(hosts, nil)
	for _, down := range []int{1, 5, 9} {
		for _, h := range hosts[:down] {
			h.SetTrouble(upstream.Marked, true)
		}
		for range 1000 {
			if h := pick(t, p); !h.Healthy() {
				t.Fatalf("with %d of 10 down, picked %v, which is one of them", down, h)
			}
		}
	}
	hosts[9].SetTrouble(upstream.Marked, true)
	wantNoHost(t, p, "")
	wantNoHost(t, p, hosts[3].Address)
	hosts[4].SetTrouble(upstream.Marked, false)
	if h := pick(t, p); h != hosts[4] {
		t.Errorf("picked %v, want the one that came back", h)
	}
}

func testAvoid(t *testing.T, policy lb.Policy) {
	hosts := Hosts("h", 5)
	p := policy.Picker(hosts, nil)
	second := func() *upstream.Host {
		t.Helper()
		h, err := p.Pick(&stream.Request{Tried: []string{hosts[0].Address}})
		if err != nil {
			t.Fatal(err)
		}
		report(p, h, nil)
		return h
	}
	for range 1000 {
		if second() == hosts[0] {
			t.Fatal("the second attempt went where the first did, though there are others")
		}
	}
	for _, h := range hosts[1:4] {
		h.SetTrouble(upstream.Marked, true)
	}
	for range 100 {
		if second() != hosts[4] {
			t.Fatal("the second attempt did not go to the only other healthy host")
		}
	}
	hosts[4].SetTrouble(upstream.Marked, true)
	if second() != hosts[0] {
		t.Fatal("the second attempt did not go to the only healthy host")
	}
}

func testSpread(t *testing.T, spread Spread, policy lb.Policy) {
	for _, down := range [][]int{nil, {3}, {0, 1, 2}, {1, 3, 5, 7, 9}, {0, 1, 2, 3, 4, 5, 6, 7}} {
		hosts := Hosts("h", 10)
		for _, i := range down {
			hosts[i].SetTrouble(upstream.Marked, true)
		}
		up := len(hosts) - len(down)
		picks := 10_000 * up
		p := policy.Picker(hosts, nil)
		got := make(map[*upstream.Host]int)
		for range picks {
			got[pick(t, p)]++
		}
		checkSpread(t, fmt.Sprintf("down %v", down), spread, got, up, picks)
	}
}

func checkSpread(t *testing.T, when string, spread Spread, got map[*upstream.Host]int, up, picks int) {
	t.Helper()
	if len(got) != up {
		t.Errorf("%s: %d hosts were picked, want %d", when, len(got), up)
	}
	want := float64(picks) / float64(up)
	chi := 0.0
	for h, n := range got {
		if spread == Exact && float64(n) != want {
			t.Errorf("%s: %v was picked %d times, want %v", when, h, n, want)
		}
		chi += (float64(n) - want) * (float64(n) - want) / want
	}
	// With nine degrees of freedom or fewer, chance alone passes 60 once in
	// a thousand million times.
	if spread == Uniform && chi > 60 {
		t.Errorf("%s: not uniform (chi square %.0f): %v", when, chi, got)
	}
}

func testConcurrent(t *testing.T, spread Spread, policy lb.Policy) {
	const workers, picks = 8, 5000
	hosts := Hosts("h", 8)
	hosts[2].SetTrouble(upstream.Marked, true)
	hosts[3].SetTrouble(upstream.Marked, true)
	hosts[5].SetTrouble(upstream.Marked, true)
	p := policy.Picker(hosts, nil)
	counts := make([]map[*upstream.Host]int, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			counts[w] = make(map[*upstream.Host]int)
			for range picks {
				h, err := p.Pick(&stream.Request{})
				if err != nil {
					t.Error(err)
					return
				}
				h.Begin()
				counts[w][h]++
				h.End()
				report(p, h, nil)
			}
		})
	}
	wg.Wait()
	all := make(map[*upstream.Host]int)
	for _, c := range counts {
		for h, n := range c {
			all[h] += n
		}
	}
	if spread != Any {
		checkSpread(t, "concurrently", spread, all, 5, workers*picks)
	}
}

// testReplace picks while hosts go up and down and the set of hosts changes.
func testReplace(t *testing.T, policy lb.Policy) {
	type set struct {
		hosts  []*upstream.Host
		picker lb.Picker
	}
	var current atomic.Pointer[set]
	replace := func(i int) {
		s := &set{hosts: Hosts(fmt.Sprintf("set%d", i), 1+i%7)}
		s.picker = policy.Picker(s.hosts, nil)
		current.Store(s)
	}
	replace(0)
	var picked atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				s := current.Load()
				h, err := s.picker.Pick(&stream.Request{})
				if err != nil {
					if e, ok := errors.AsType[*stream.Error](err); !ok || e.Kind != stream.NoHost {
						t.Error(err)
					}
					continue
				}
				found := false
				for _, o := range s.hosts {
					found = found || o == h
				}
				if !found {
					t.Errorf("picked %v, which is not among the picker's hosts", h)
				}
				report(s.picker, h, stream.Errorf(stream.Reset, stream.Upstream, "test"))
				picked.Add(1)
			}
		})
	}
	for i := 0; i < 300 || picked.Load() < 300; i++ {
		replace(i)
		for _, h := range current.Load().hosts {
			h.SetTrouble(upstream.Marked, !(i%3 != 0))
		}
	}
	close(stop)
	wg.Wait()
}

func testAllocations(t *testing.T, policy lb.Policy) {
	hosts := Hosts("h", 100)
	for _, h := range hosts[:30] {
		h.SetTrouble(upstream.Marked, true)
	}
	p := policy.Picker(hosts, nil)
	first, second := &stream.Request{}, &stream.Request{Tried: []string{hosts[50].Address}}
	if n := testing.AllocsPerRun(1000, func() {
		for _, req := range []*stream.Request{first, second} {
			h, _ := p.Pick(req)
			report(p, h, nil)
		}
	}); n != 0 {
		t.Errorf("%v allocations per Pick, want none", n)
	}
}
