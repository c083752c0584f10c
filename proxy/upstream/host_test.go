package upstream

import (
	"sync"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/config"
)

func TestNewHost(t *testing.T) {
	for _, c := range []struct {
		in     config.Host
		weight int
		text   string
	}{
		{config.Host{Address: "10.0.0.1:80"}, 1, "10.0.0.1:80"},
		{config.Host{Address: "10.0.0.1:80", Hostname: "pay-1", Weight: 5}, 5, "10.0.0.1:80 (pay-1)"},
		{config.Host{Address: "10.0.0.1:80", Weight: -3}, 1, "10.0.0.1:80"},
	} {
		h := NewHost(c.in)
		if h.Address != c.in.Address || h.Hostname != c.in.Hostname || h.Weight != c.weight || h.String() != c.text {
			t.Errorf("NewHost(%+v) = %s, weight %d", c.in, h, h.Weight)
		}
		if !h.Healthy() || h.Active() != 0 {
			t.Errorf("%s: a new host is healthy %v, active %d", h, h.Healthy(), h.Active())
		}
	}
}

func TestHostHealth(t *testing.T) {
	h := NewHost(config.Host{Address: "a:1"})
	for _, ok := range []bool{false, false, true, true, false} {
		h.SetHealthy(ok)
		if h.Healthy() != ok {
			t.Errorf("Healthy is %v after SetHealthy(%v)", h.Healthy(), ok)
		}
	}
}

func TestHostCountsRequests(t *testing.T) {
	h := NewHost(config.Host{Address: "a:1"})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				h.Begin()
				if h.Active() < 1 {
					t.Error("a request in flight is not counted")
				}
				h.End()
			}
		})
	}
	h.Begin()
	wg.Wait()
	if h.Active() != 1 {
		t.Errorf("%d in flight, want 1", h.Active())
	}
}
