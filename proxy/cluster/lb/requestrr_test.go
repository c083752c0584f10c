package lb_test

import (
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb/lbtest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

func TestH12FirstTryIsAlwaysHost0(t *testing.T) {
	hosts := lbtest.Hosts("h", 4)
	p := policy(t, "LB_REQUEST_ROUNDROBIN", lb.Options{}).Picker(hosts, nil)
	for _, c := range []struct {
		name  string
		index string // variable upstream_index
		down  []int
		want  []int // hosts of the attempts
	}{
		{"each in turn", "", nil, []int{0, 1, 2, 3, 0}},
		{"without the first", "", []int{0}, []int{1, 2, 3, 1}},
		{"without one in the middle", "", []int{1}, []int{0, 2, 3, 0}},
		{"one is left", "", []int{0, 1, 3}, []int{2, 2}},
		{"another start", "2", nil, []int{2, 3, 0, 1, 2}},
		{"beyond the end", "7", nil, []int{3, 0, 1, 2}},
		{"no number", "first", nil, []int{0, 1, 2, 3}},
		{"negative", "-1", nil, []int{0, 1, 2, 3}},
		{"too large", "99999999999999999999", nil, []int{0, 1, 2, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, i := range c.down {
				hosts[i].SetTrouble(upstream.Marked, true)
				defer hosts[i].SetTrouble(upstream.Marked, false)
			}
			for range 3 {
				req := &stream.Request{}
				if c.index != "" {
					req.Vars.Set("upstream_index", c.index)
				}
				for attempt, want := range c.want {
					h, err := p.Pick(req)
					if err != nil || h != hosts[want] {
						t.Fatalf("attempt %d: %v, %v, want host %d", attempt+1, h, err, want)
					}
					req.Tried = append(req.Tried, h.Address)
				}
			}
		})
	}
}

// TestH12OrderOfTheList: a new list with another first host is obeyed.
func TestH12OrderOfTheList(t *testing.T) {
	pol := policy(t, "LB_REQUEST_ROUNDROBIN", lb.Options{})
	hosts := lbtest.Hosts("h", 3)
	next := []*upstream.Host{hosts[2], hosts[0], hosts[1]}
	if h, err := pol.Picker(next, pol.Picker(hosts, nil)).Pick(&stream.Request{}); h != hosts[2] {
		t.Errorf("picked %v, %v, want the first of the list", h, err)
	}
}

// TestH12RetryTakesTheNext: a retry does not go back to a host before the one
// that failed, though it is healthy again.
func TestH12RetryTakesTheNext(t *testing.T) {
	hosts := lbtest.Hosts("h", 3)
	p := policy(t, "LB_REQUEST_ROUNDROBIN", lb.Options{}).Picker(hosts, nil)
	hosts[0].SetTrouble(upstream.Marked, true)
	req := &stream.Request{}
	first, err := p.Pick(req)
	if err != nil || first != hosts[1] {
		t.Fatalf("picked %v, %v", first, err)
	}
	hosts[0].SetTrouble(upstream.Marked, false)
	req.Tried = append(req.Tried, first.Address)
	if h, err := p.Pick(req); h != hosts[2] {
		t.Errorf("the retry went to %v, %v, want %v", h, err, hosts[2])
	}
}
