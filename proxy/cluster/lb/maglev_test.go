package lb_test

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb/lbtest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// slots is the size of the table for fewer than 30,000 hosts: hash i < slots
// leads to slot i.
const slots = 65537

// keyed returns the host of each of the hashes from 0 on, in attempts after tried.
func keyed(t testing.TB, p lb.Picker, hashes int, tried ...string) []string {
	t.Helper()
	list := make([]string, hashes)
	req := &stream.Request{Hashed: true, Tried: tried}
	for i := range list {
		req.Hash = uint64(i)
		h, err := p.Pick(req)
		if err != nil {
			t.Fatal(err)
		}
		list[i] = h.Address
	}
	return list
}

// moved returns the part of the hashes that lead elsewhere.
func moved(before, after []string) float64 {
	n := 0
	for i := range before {
		if before[i] != after[i] {
			n++
		}
	}
	return float64(n) / float64(len(before))
}

func TestH11Spread(t *testing.T) {
	for _, n := range []int{2, 3, 10, 100, 1000} {
		hosts := lbtest.Hosts("10.0.0", n)
		got := count(keyed(t, policy(t, "LB_MAGLEV", lb.Options{}).Picker(hosts, nil), slots))
		for _, h := range hosts {
			if k := got[h.Address]; k < slots/n || k > slots/n+1 {
				t.Errorf("%d hosts: %v has %d slots of %d", n, h, k, slots)
			}
		}
	}
}

func TestH11Weights(t *testing.T) {
	weights := make([]int, 200)
	sum := 0
	for i := range weights {
		weights[i] = []int{1, 2, 5, 128}[i%4]
		sum += weights[i]
	}
	hosts := lbtest.Weighted("h", weights...)
	got := count(keyed(t, policy(t, "LB_MAGLEV", lb.Options{}).Picker(hosts, nil), slots))
	for _, h := range hosts {
		want := slots * h.Weight / sum
		if k := got[h.Address]; k < want-1-want/100 || k > want+1+want/100 {
			t.Errorf("%v, of weight %d, has %d slots, want %d", h, h.Weight, k, want)
		}
	}
}

func TestH11RemoveOneOfTen(t *testing.T) {
	pol := policy(t, "LB_MAGLEV", lb.Options{})
	hosts := lbtest.Hosts("h", 10)
	p := pol.Picker(hosts, nil)
	before := keyed(t, p, slots)
	for i := range hosts {
		after := keyed(t, pol.Picker(slices.Delete(slices.Clone(hosts), i, i+1), p), slots)
		if m := moved(before, after); m < 0.09 || m > 0.12 {
			t.Errorf("without host %d, %.2f%% of the keys move", i, 100*m)
		}
	}
	if m := moved(before, keyed(t, pol.Picker(append(lbtest.Hosts("new", 1), hosts...), p), slots)); m < 0.08 || m > 0.12 {
		t.Errorf("with one more host, %.2f%% of the keys move", 100*m)
	}
}

// TestH11UnhealthySpreads takes hosts away without a new table: only their keys
// move, to all others, and come back.
func TestH11UnhealthySpreads(t *testing.T) {
	for _, tried := range []bool{false, true} {
		hosts := lbtest.Hosts("h", 10)
		p := policy(t, "LB_MAGLEV", lb.Options{}).Picker(hosts, nil)
		before := keyed(t, p, slots)
		var avoid []string
		if tried {
			avoid = []string{hosts[4].Address}
		} else {
			hosts[4].SetTrouble(upstream.CheckFailed, true)
		}
		after := keyed(t, p, slots, avoid...)
		got := make(map[string]int)
		for i := range before {
			switch {
			case before[i] == hosts[4].Address:
				got[after[i]]++
			case before[i] != after[i]:
				t.Fatalf("key %d moved from %s, which is healthy", i, before[i])
			}
		}
		for _, h := range hosts {
			want := slots / 10 / 9
			if k := got[h.Address]; h == hosts[4] && k != 0 || h != hosts[4] && (k < want*3/4 || k > want*5/4) {
				t.Errorf("tried %v: %v got %d of its keys, want %d", tried, h, k, want)
			}
		}
		hosts[4].SetTrouble(upstream.CheckFailed, false)
		if m := moved(before, keyed(t, p, slots)); m != 0 {
			t.Errorf("%.2f%% of the keys did not come back", 100*m)
		}
	}
}

// TestH11FewLeft has few hosts that can be used, by weight: the same key leads
// to the same host all the same, the load goes by weight, and a key moves only
// if its host does.
func TestH11FewLeft(t *testing.T) {
	const keys = slots / 8 // each takes a look at hundreds of hosts
	hosts := lbtest.Hosts("h", 1000)
	for i, h := range hosts {
		h.Weight = 1 + i%2
		h.SetTrouble(upstream.CheckFailed, i >= 4)
	}
	p := policy(t, "LB_MAGLEV", lb.Options{}).Picker(hosts, nil)
	before := keyed(t, p, keys)
	if m := moved(before, keyed(t, p, keys)); m != 0 {
		t.Fatalf("%.2f%% of the keys lead elsewhere the second time", 100*m)
	}
	got := count(before)
	for _, h := range hosts[:4] {
		want := keys * h.Weight / 6
		if k := got[h.Address]; k < want*9/10 || k > want*11/10 {
			t.Errorf("%v, of weight %d, got %d keys, want %d", h, h.Weight, k, want)
		}
	}
	hosts[2].SetTrouble(upstream.CheckFailed, true)
	after := keyed(t, p, keys)
	for i := range before {
		if before[i] != hosts[2].Address && before[i] != after[i] {
			t.Fatalf("key %d moved from %s, which is healthy", i, before[i])
		}
	}
}

// TestH11Order shuffles the list, and makes the table anew: nothing moves.
func TestH11Order(t *testing.T) {
	pol := policy(t, "LB_MAGLEV", lb.Options{})
	hosts := lbtest.Weighted("h", 3, 1, 4, 1, 5, 9, 2, 6)
	p := pol.Picker(hosts, nil)
	want := keyed(t, p, slots)
	for _, next := range []lb.Picker{pol.Picker(shuffled(renewed(hosts)), p), pol.Picker(shuffled(hosts), nil)} {
		if m := moved(want, keyed(t, next, slots)); m != 0 {
			t.Errorf("%.2f%% of the keys move", 100*m)
		}
	}
}

// TestH11TableIsKept makes pickers for the same hosts: that takes no second table.
func TestH11TableIsKept(t *testing.T) {
	pol := policy(t, "LB_MAGLEV", lb.Options{})
	hosts := lbtest.Hosts("h", 10)
	p := pol.Picker(hosts, nil)
	bytes := func(f func()) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 10 {
			f()
		}
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / 10
	}
	if n := bytes(func() { pol.Picker(shuffled(hosts), p) }); n > 10_000 {
		t.Errorf("a picker for the same hosts takes %d bytes", n)
	}
	if n := bytes(func() { pol.Picker(hosts[1:], p) }); n < slots {
		t.Errorf("a picker for other hosts takes %d bytes only", n)
	}
	heavier := renewed(hosts, 1, 1, 1, 1, 1, 1, 1, 1, 1, 50)
	if m := moved(keyed(t, p, slots), keyed(t, pol.Picker(heavier, p), slots)); m < 0.5 {
		t.Errorf("with another weight, %.2f%% of the keys move", 100*m)
	}
}

func TestH11ManyHosts(t *testing.T) {
	const large, n = 655373, 30000
	pol := policy(t, "LB_MAGLEV", lb.Options{})
	hosts := lbtest.Hosts("h", n)
	start := time.Now()
	p := pol.Picker(hosts, nil)
	t.Logf("%d hosts take %v", n, time.Since(start))
	got := count(keyed(t, p, large))
	for _, h := range hosts {
		if k := got[h.Address]; k < large/n || k > large/n+1 {
			t.Fatalf("%v has %d slots", h, k)
		}
	}
	many := make([]*upstream.Host, large+1)
	for i := range many {
		many[i] = hosts[0]
	}
	p = pol.Picker(many, nil)
	_, err := p.Pick(&stream.Request{Hashed: true})
	if err == nil || !strings.Contains(err.Error(), "LB_MAGLEV cannot serve 655374 hosts, only 655373") {
		t.Errorf("error %v", err)
	}
	if h, err := p.Pick(&stream.Request{}); h != hosts[0] {
		t.Errorf("without a hash: %v, %v", h, err)
	}
}
