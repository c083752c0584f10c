package upstream

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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
		h := NewHost(c.in, nil)
		if h.Address != c.in.Address || h.Hostname != c.in.Hostname || h.Weight != c.weight || h.String() != c.text {
			t.Errorf("NewHost(%+v) = %s, weight %d", c.in, h, h.Weight)
		}
		if !h.Healthy() || h.Active() != 0 {
			t.Errorf("%s: a new host is healthy %v, active %d", h, h.Healthy(), h.Active())
		}
	}
}

func TestHostTrouble(t *testing.T) {
	h := NewHost(config.Host{Address: "a:1"}, nil)
	var seen []string
	h.Watch(func(old, now Trouble) { seen = append(seen, old.String()+" -> "+now.String()) })
	for _, c := range []struct {
		reason Trouble
		on     bool
		want   Trouble
	}{
		{CheckFailed, true, CheckFailed},
		{CheckFailed, true, CheckFailed},
		{Ejected, true, CheckFailed | Ejected},
		{CheckFailed, false, Ejected},
		{Ejected, false, 0},
	} {
		before := h.Trouble()
		if changed := h.SetTrouble(c.reason, c.on); changed != (before != c.want) {
			t.Errorf("SetTrouble(%s, %v) = %v with %s", c.reason, c.on, changed, before)
		}
		if h.Trouble() != c.want || h.Healthy() != (c.want == 0) || h.Usable() != h.Healthy() {
			t.Errorf("after SetTrouble(%s, %v): %s, healthy %v, usable %v", c.reason, c.on, h.Trouble(), h.Healthy(), h.Usable())
		}
	}
	want := []string{
		"healthy -> check failed", "check failed -> check failed, ejected", "check failed, ejected -> ejected", "ejected -> healthy",
	}
	if !slices.Equal(seen, want) {
		t.Errorf("told of %q, want %q", seen, want)
	}
}

func TestHostPanic(t *testing.T) {
	h := NewHost(config.Host{Address: "a:1"}, nil)
	h.SetTrouble(Ejected, true)
	h.SetPanic(true)
	if h.Healthy() || !h.Usable() || h.Trouble() != Ejected {
		t.Errorf("in a panic: healthy %v, usable %v, %s", h.Healthy(), h.Usable(), h.Trouble())
	}
	h.SetPanic(false)
	if h.Usable() {
		t.Error("usable after the panic")
	}
}

func TestHostIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := NewHost(config.Host{Address: "a:1", Weight: 2}, nil)
		added := time.Now()
		old.SetTrouble(CheckFailed, true)
		old.Begin()
		time.Sleep(time.Minute)
		h := NewHost(config.Host{Address: "a:1", Weight: 7}, old)
		other := NewHost(config.Host{Address: "a:1"}, nil)
		if !h.Same(old) || h.Same(other) {
			t.Error("the host is not the same, or another is")
		}
		if h.Weight != 7 || h.Healthy() || h.Active() != 1 || !h.Since().Equal(added) {
			t.Errorf("weight %d, healthy %v, active %d, since %s", h.Weight, h.Healthy(), h.Active(), h.Since())
		}
		old.SetTrouble(CheckFailed, false)
		if !h.Healthy() || h.Since().Sub(added) != time.Minute {
			t.Errorf("healthy %v since %s, want since %s", h.Healthy(), h.Since(), added.Add(time.Minute))
		}
	})
}

func TestHostCountsRequests(t *testing.T) {
	h := NewHost(config.Host{Address: "a:1"}, nil)
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
