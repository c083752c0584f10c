// Package lbtest holds the test that every balancer must pass. It tests what a
// Picker does with hosts, health and changes; how a connection comes about is
// not its subject.
package lbtest

import (
	"errors"
	"fmt"
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
	// Any is no promise.
	Any Spread = iota
	// Uniform is by chance, with equal probability.
	Uniform
	// Exact is the same number for each host, also when the list of hosts is
	// replaced by another with the same ones.
	Exact
	// Even is that each gets about the same, within a tenth.
	Even
)

// Promise is what a policy promises beyond what all do.
type Promise struct {
	Spread Spread
	// Weights is by how much, as a part of it, the share of a host may differ
	// from its weight's; 0 is that the policy does not go by weight.
	Weights float64
	// Hashed has the requests come with hashes, all different.
	Hashed bool
}

// Run tests a policy; policy is called for each test.
func Run(t *testing.T, promise Promise, policy func() lb.Policy) {
	c := &conformance{promise: promise, policy: policy}
	t.Run("empty", c.empty)
	t.Run("single", c.single)
	t.Run("health", c.health)
	t.Run("panic", c.panic)
	t.Run("avoids the last host", c.avoid)
	t.Run("avoids all tried", c.avoidAll)
	t.Run("allocations", c.allocations)
	t.Run("concurrent", c.concurrent)
	t.Run("health flips", c.flips)
	t.Run("replaced while picking", c.replace)
	t.Run("after another policy", c.foreign)
	if promise.Spread != Any {
		t.Run("spread", c.spread)
		t.Run("a host joins", c.joins)
	}
	if promise.Spread == Exact {
		t.Run("goes on", c.goesOn)
	}
	if promise.Weights > 0 {
		t.Run("weights", c.weights)
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

// Weighted returns hosts with these weights, and addresses of the form
// "prefix-0:80".
func Weighted(prefix string, weights ...int) []*upstream.Host {
	hosts := make([]*upstream.Host, len(weights))
	for i, w := range weights {
		hosts[i] = upstream.NewHost(config.Host{Address: fmt.Sprintf("%s-%d:80", prefix, i), Weight: w}, nil)
	}
	return hosts
}

type conformance struct {
	promise Promise
	policy  func() lb.Policy
}

// request makes the i-th request of a test.
func (c *conformance) request(i int) *stream.Request {
	req := &stream.Request{}
	if c.promise.Hashed {
		h := uint64(i+1) * 0x9e3779b97f4a7c15
		req.Hash, req.Hashed = h^h>>29, true
	}
	return req
}

// pick picks for the first attempt of the i-th request, which succeeds.
func (c *conformance) pick(t *testing.T, p lb.Picker, i int) *upstream.Host {
	t.Helper()
	h, err := p.Pick(c.request(i))
	if err != nil {
		t.Fatal(err)
	}
	report(p, h, nil)
	return h
}

// again picks for a further attempt.
func (c *conformance) again(t *testing.T, p lb.Picker, i int, tried ...string) *upstream.Host {
	t.Helper()
	req := c.request(i)
	req.Tried = tried
	h, err := p.Pick(req)
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

// set gives all of hosts the same trouble, or takes it away.
func set(on bool, hosts ...*upstream.Host) {
	for _, h := range hosts {
		h.SetTrouble(upstream.Marked, on)
	}
}

func (c *conformance) wantNoHost(t *testing.T, p lb.Picker, tried ...string) {
	t.Helper()
	req := c.request(0)
	req.Tried = tried
	h, err := p.Pick(req)
	e, ok := errors.AsType[*stream.Error](err)
	if !ok || e.Kind != stream.NoHost || h != nil {
		t.Fatalf("picked %v, %v, want an error of kind %v", h, err, stream.NoHost)
	}
	if e.Op == "" {
		t.Error("the error does not say why there is no host")
	}
}

func (c *conformance) empty(t *testing.T) {
	c.wantNoHost(t, c.policy().Picker(nil, nil))
	policy := c.policy()
	p := policy.Picker([]*upstream.Host{}, nil)
	c.wantNoHost(t, p, "gone:80")
	hosts := Hosts("h", 3)
	p = policy.Picker(hosts, p)
	c.pick(t, p, 0)
	c.wantNoHost(t, policy.Picker(nil, p), "gone:80")
}

func (c *conformance) single(t *testing.T) {
	hosts := Hosts("one", 1)
	p := c.policy().Picker(hosts, nil)
	for i := range 100 {
		if h := c.pick(t, p, i); h != hosts[0] {
			t.Fatalf("picked %v of one host", h)
		}
	}
	// There is nowhere else to go for a second attempt.
	if h := c.again(t, p, 0, hosts[0].Address); h != hosts[0] {
		t.Fatalf("second attempt: %v", h)
	}
	set(true, hosts...)
	c.wantNoHost(t, p)
	c.wantNoHost(t, p, hosts[0].Address)
	set(false, hosts...)
	c.pick(t, p, 0)
}

func (c *conformance) health(t *testing.T) {
	for _, n := range []int{10, 100} {
		hosts := Hosts("h", n)
		p := c.policy().Picker(hosts, nil)
		for _, down := range []int{1, n / 2, n - 1} {
			set(true, hosts[:down]...)
			for i := range 1000 {
				if h := c.pick(t, p, i); !h.Healthy() {
					t.Fatalf("with %d of %d down, picked %v, which is one of them", down, n, h)
				}
			}
		}
		set(true, hosts...)
		c.wantNoHost(t, p)
		c.wantNoHost(t, p, hosts[3].Address)
		set(false, hosts[4])
		if h := c.pick(t, p, 0); h != hosts[4] {
			t.Errorf("picked %v, want the one that came back", h)
		}
		set(false, hosts...)
		if c.promise.Spread == Any {
			continue
		}
		got := make(map[*upstream.Host]int)
		for i := range 100 * n {
			got[c.pick(t, p, i)]++
		}
		if len(got) != n {
			t.Errorf("after all %d hosts came back, only %d were picked", n, len(got))
		}
	}
}

// panic checks that hosts in trouble are used if that is to be passed over.
func (c *conformance) panic(t *testing.T) {
	hosts := Hosts("h", 4)
	p := c.policy().Picker(hosts, nil)
	set(true, hosts...)
	c.wantNoHost(t, p)
	for _, h := range hosts {
		h.SetPanic(true)
	}
	got := make(map[*upstream.Host]bool)
	for i := range 1000 {
		got[c.pick(t, p, i)] = true
	}
	if c.promise.Spread != Any && len(got) != 4 {
		t.Errorf("in panic, %d of 4 hosts were picked", len(got))
	}
	for _, h := range hosts {
		h.SetPanic(false)
	}
	c.wantNoHost(t, p)
}

func (c *conformance) avoid(t *testing.T) {
	for _, n := range []int{5, 100} {
		hosts := Hosts("h", n)
		p := c.policy().Picker(hosts, nil)
		for i := range 1000 {
			if c.again(t, p, i, hosts[0].Address) == hosts[0] {
				t.Fatal("the second attempt went where the first did, though there are others")
			}
		}
		set(true, hosts[1:n-1]...)
		for i := range 100 {
			if c.again(t, p, i, hosts[0].Address) != hosts[n-1] {
				t.Fatal("the second attempt did not go to the only other healthy host")
			}
		}
		set(true, hosts[n-1])
		if c.again(t, p, 0, hosts[0].Address) != hosts[0] {
			t.Fatal("the second attempt did not go to the only healthy host")
		}
		// One that came back this moment is better than one that was tried.
		set(false, hosts[2])
		if h := c.again(t, p, 0, hosts[0].Address); h != hosts[2] {
			t.Fatalf("the second attempt went to %v, not to the host that came back", h)
		}
	}
}

// avoidAll makes as many attempts as there are hosts: each goes to another.
func (c *conformance) avoidAll(t *testing.T) {
	hosts := Hosts("h", 20)
	set(true, hosts[7], hosts[8])
	p := c.policy().Picker(hosts, nil)
	for i := range 50 {
		var tried []string
		got := make(map[*upstream.Host]bool)
		for range 18 {
			h := c.again(t, p, i, tried...)
			if got[h] || !h.Healthy() {
				t.Fatalf("attempt %d went to %v, after %v", len(tried)+1, h, tried)
			}
			got[h] = true
			tried = append(tried, h.Address)
		}
		if h := c.again(t, p, i, tried...); h.Address != tried[0] {
			t.Fatalf("when all were tried, %v was picked, want the one tried longest ago, %s", h, tried[0])
		}
	}
}

func (c *conformance) allocations(t *testing.T) {
	for _, down := range []int{0, 30, 90} {
		hosts := Hosts("h", 100)
		set(true, hosts[:down]...)
		p := c.policy().Picker(hosts, nil)
		first, second := c.request(1), c.request(2)
		second.Tried = []string{hosts[95].Address}
		n := testing.AllocsPerRun(1000, func() {
			first.Hash += 0x9e3779b97f4a7c15
			second.Hash += 0x9e3779b97f4a7c15
			for _, req := range [...]*stream.Request{first, second} {
				h, _ := p.Pick(req)
				report(p, h, nil)
			}
		})
		if n != 0 {
			t.Errorf("%v allocations per Pick with %d of 100 hosts down, want none", n, down)
		}
	}
}
