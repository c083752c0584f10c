package outlier

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/health"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// ejected notes that the host is out from now on.
func (r *record) ejected(now time.Time, cfg *config.OutlierDetection) {
	r.times++
	longest := max(cfg.BaseEjectionTime, cfg.MaxEjectionTime)
	out := longest
	if longest/time.Duration(r.times) >= cfg.BaseEjectionTime { // else the product is more, or no number at all
		out = cfg.BaseEjectionTime * time.Duration(r.times)
	}
	r.until = now.Add(out)
	r.out.Store(true)
	r.forget()
}

// forget begins counting anew.
func (r *record) forget() {
	r.fives.Store(0)
	r.gateway.Store(0)
	r.rate.Store(0)
}

// eject takes a host out, if that is allowed; tell must follow. mu is held.
func (d *Detector) eject(r *record, now time.Time) bool {
	if r.gone || r.out.Load() {
		return false
	}
	hosts := d.hosts.Load().list
	if d.out >= max(1, int(d.cfg.MaxEjectionPercent*float64(len(hosts))/100)) {
		return false
	}
	another := func(o *record) bool { return o != r && !o.out.Load() && o.host.Healthy() }
	if !slices.ContainsFunc(hosts, another) {
		return false
	}
	r.ejected(now, &d.cfg)
	d.out++
	return true
}

// tell brings the host into the state that the record says, and everybody
// hears of it. mu is not held.
func (d *Detector) tell(r *record, cause string) {
	for {
		out := r.out.Load()
		if r.host.SetTrouble(upstream.Ejected, out) {
			d.opts.Events.Record(health.Event{Cluster: d.opts.Cluster, Host: r.host, Reason: upstream.Ejected, Out: out, Cause: cause})
			if out {
				d.opts.Log.Warn("outlier detection: a host is out of use", "cluster", d.opts.Cluster, "host", r.host.String(), "cause", cause)
			} else {
				d.opts.Log.Info("outlier detection: a host is back", "cluster", d.opts.Cluster, "host", r.host.String())
			}
		}
		if r.out.Load() == out {
			return
		}
	}
}

// change is that a host goes out, or comes back, for a cause.
type change struct {
	r     *record
	cause string
}

// tick is what happens every interval.
func (d *Detector) tick() {
	now := time.Now()
	d.mu.Lock()
	changes := d.returning(now)
	changes = append(changes, d.compare(now)...)
	d.mu.Unlock()
	for _, c := range changes {
		d.tell(c.r, c.cause)
	}
}

// returning brings back the hosts whose time is over. mu is held.
func (d *Detector) returning(now time.Time) (changes []change) {
	for _, r := range d.hosts.Load().list {
		switch out := r.out.Load(); {
		case !out && r.host.Trouble()&upstream.Ejected != 0:
			// The Detector before this one had the last word after all.
			r.ejected(now, &d.cfg)
			d.out++
		case !out:
			r.times = max(0, r.times-1) // it was well for an interval
		case !now.Before(r.until):
			r.forget()
			r.out.Store(false)
			d.out--
			changes = append(changes, change{r, "its time is over"})
		}
	}
	return changes
}

// compare takes out the hosts whose rate of success in this interval is too far
// below the mean, the worst first, and begins the next. mu is held.
func (d *Detector) compare(now time.Time) (changes []change) {
	type rated struct {
		r    *record
		rate float64 // percent
	}
	var hosts []rated
	for _, r := range d.hosts.Load().list {
		n := r.rate.Swap(0)
		if total := n >> 32; total > 0 && total >= uint64(d.cfg.SuccessRateRequestVolume) && !r.out.Load() {
			hosts = append(hosts, rated{r, 100 * float64(n&math.MaxUint32) / float64(total)})
		}
	}
	if d.cfg.SuccessRateMinHosts <= 0 || len(hosts) < d.cfg.SuccessRateMinHosts {
		return nil
	}
	mean, deviation := 0.0, 0.0
	for _, h := range hosts {
		mean += h.rate / float64(len(hosts))
	}
	for _, h := range hosts {
		deviation += (h.rate - mean) * (h.rate - mean) / float64(len(hosts))
	}
	deviation = math.Sqrt(deviation)
	// A little less, so that equal rates are not told apart by rounding.
	const rounding = 1e-6
	least := mean - d.cfg.SuccessRateStdevFactor*deviation - rounding
	slices.SortStableFunc(hosts, func(a, b rated) int {
		switch {
		case a.rate < b.rate:
			return -1
		case a.rate > b.rate:
			return 1
		}
		return 0
	})
	for _, h := range hosts {
		if h.rate >= least {
			break
		}
		if d.eject(h.r, now) {
			changes = append(changes, change{h.r, fmt.Sprintf("success rate %.1f %%, the mean of %d hosts is %.1f %%", h.rate, len(hosts), mean)})
		}
	}
	return changes
}
