package cluster_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/ottavo-runtime/ottavo/proxy/cluster"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

func addresses(c *cluster.Cluster) string {
	var list []string
	for _, h := range c.Hosts() {
		list = append(list, h.Address)
	}
	return strings.Join(list, " ")
}

// Hosts that come and go leave those that stay, their connections and what is
// known about them alone.
func TestH5HostsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hosts{}
		c := newCluster(t, config.Cluster{Hosts: list("a:1", "b:1")}, tables(t, h.dial), nil)
		defer c.Close()
		for range 4 {
			mustCall(t, c, get())
		}
		c.Hosts()[0].SetTrouble(upstream.CheckFailed, true)
		for _, step := range []struct {
			do   func() error
			want string
			open int
		}{
			{func() error { return c.AppendHosts(list("c:1", "a:1")) }, "a:1 b:1 c:1", 3},
			{func() error { return c.SetHosts(list("c:1", "b:1", "a:1")) }, "c:1 b:1 a:1", 3},
			{func() error { return c.RemoveHosts([]string{"b:1", "none:1"}) }, "c:1 a:1", 2},
			{func() error { return c.SetHosts(nil) }, "", 0},
			{func() error { return c.SetHosts(list("a:1")) }, "a:1", 1},
		} {
			if err := step.do(); err != nil {
				t.Fatal(err)
			}
			if got := addresses(c); got != step.want {
				t.Fatalf("hosts %q, want %q", got, step.want)
			}
			for _, host := range c.Hosts() {
				if healthy := host.Address != "a:1" || step.want == "a:1"; host.Healthy() != healthy {
					t.Errorf("with %q: %s is %s", step.want, host, host.Trouble())
				}
			}
			for range 4 {
				if body, err := call(t, c, get()); err == nil && !strings.Contains(step.want, body) || err != nil && step.want != "" {
					t.Errorf("with %q: answer of %q, %v", step.want, body, err)
				}
			}
			synctest.Wait()
			if h.open() != step.open {
				t.Errorf("with %q: %d connections, want %d", step.want, h.open(), step.open)
			}
		}
		if h.dials.Load() != 4 {
			t.Errorf("%d dials, want 4: a, b, c, and a again", h.dials.Load())
		}
		c.Retire(nil)
		if err := c.SetHosts(nil); err == nil || addresses(c) != "a:1" {
			t.Errorf("hosts of a retired cluster: %q, %v", addresses(c), err)
		}
	})
}

// What is known about a host outlives a change of the cluster that makes its
// connections useless.
func TestH5HealthOutlivesConnections(t *testing.T) {
	h := &hosts{}
	cfg := config.Cluster{Hosts: list("a:1", "b:1"), HealthCheck: &config.HealthCheck{}}
	before := newCluster(t, cfg, tables(t, h.dial), nil)
	before.Hosts()[1].SetTrouble(upstream.CheckFailed, true)
	cfg.ConnectTimeout, cfg.LBType = 1234, "LB_RANDOM"
	cfg.Hosts = []config.Host{{Address: "a:1"}, {Address: "b:1", Weight: 7}}
	c := newCluster(t, cfg, tables(t, h.dial), before)
	defer c.Close()
	before.Retire(c)
	if b := c.Hosts()[1]; b.Weight != 7 || b.Trouble() != upstream.CheckFailed || !c.Hosts()[0].Healthy() {
		t.Errorf("%s: weight %d, %s", b, b.Weight, b.Trouble())
	}
	for range 10 {
		if body := mustCall(t, c, get()); body != "a:1" {
			t.Errorf("answer of %s", body)
		}
	}
}

func TestH5HundredHostsUnderLoad(t *testing.T) {
	h := &hosts{}
	c := newCluster(t, config.Cluster{Hosts: list("stays:1")}, tables(t, h.dial), nil)
	defer c.Close()
	var stop atomic.Bool
	var wg sync.WaitGroup
	var calls [4]atomic.Int64
	for i := range calls {
		wg.Go(func() {
			for !stop.Load() && !t.Failed() {
				mustCall(t, c, get())
				calls[i].Add(1)
			}
		})
	}
	waits := func() bool { // somebody has not got through yet
		for i := range calls {
			if calls[i].Load() == 0 {
				return !t.Failed()
			}
		}
		return false
	}
	var many []config.Host
	for i := range 100 {
		many = append(many, config.Host{Address: fmt.Sprintf("h%d:1", i)})
	}
	for i := 0; i < 50 || waits(); i++ {
		if err := c.AppendHosts(many); err != nil {
			t.Error(err)
		}
		var gone []string
		for _, m := range many[i%50:] {
			gone = append(gone, m.Address)
		}
		if err := c.RemoveHosts(gone); err != nil {
			t.Error(err)
		}
	}
	stop.Store(true)
	wg.Wait()
	wantActive(t, c, 0)
}

// Each handler sends to its own host; AutoHost names it.
func TestEach(t *testing.T) {
	h := &hosts{}
	cfg := config.Cluster{Hosts: []config.Host{{Address: "a:1", Hostname: "a.example"}, {Address: "b:1"}, {Address: "c:1"}}}
	c := newCluster(t, cfg, tables(t, h.dial), nil)
	defer c.Close()
	c.Hosts()[1].SetTrouble(upstream.Marked, true)
	var got []string
	for _, each := range c.Each() {
		for range 2 {
			req := get()
			req.Policy = &stream.Policy{AutoHost: true}
			got = append(got, mustCall(t, each, req)+" "+req.Authority)
		}
	}
	if want := []string{"a:1 a.example", "a:1 a.example", "c:1 pay", "c:1 pay"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	each := c.Each()
	if err := c.SetHosts(nil); err != nil {
		t.Fatal(err)
	}
	if body := mustCall(t, each[0], get()); body != "a:1" { // it was still meant for that one
		t.Errorf("answer of %s", body)
	}
}

// No attempt goes to a host again while there is another.
func TestH20AttemptsGoElsewhere(t *testing.T) {
	h := &hosts{down: map[string]bool{"a:1": true, "c:1": true}}
	c := newCluster(t, config.Cluster{Hosts: list("a:1", "b:1", "c:1")}, tables(t, h.dial), nil)
	defer c.Close()
	for range 20 {
		req := get()
		for attempt := 1; ; attempt++ {
			body, err := call(t, c, req)
			if err == nil {
				if body != "b:1" || len(req.Tried) != attempt {
					t.Errorf("answer of %s, tried %q", body, req.Tried)
				}
				break
			}
			if attempt == 3 {
				t.Fatalf("three attempts at %q", req.Tried)
			}
		}
	}
}
