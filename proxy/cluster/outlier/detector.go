package outlier

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/health"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// Options are the surroundings of a Detector.
type Options struct {
	// Cluster is the cluster's name, for records.
	Cluster string
	// Log hears of hosts that go out and come back; nil drops it.
	Log *slog.Logger
	// Events has a line for the same; nil is none.
	Events *health.EventLog
	// Before is the Detector that the hosts had in an earlier configuration:
	// what it knows of hosts that stay is taken over when they are set. It may
	// still run, or have ended. nil is none.
	Before *Detector
}

// Detector judges the hosts of one cluster by what becomes of requests. Its
// methods are safe for concurrent use.
//
// At most max_ejection_percent of the hosts are out on its behalf at a time,
// rounded down, but one in any case. A host is left in, however bad, while no
// other is healthy (upstream.Host.Healthy): a bad answer is better than none.
// So a cluster of one host never loses it.
type Detector struct {
	cfg  config.OutlierDetection
	opts Options

	hosts atomic.Pointer[hostSet] // replaced, under the lock, when the hosts change

	// mu guards what follows, and of each record what says so. It is not held
	// while a host is changed: whoever watches that may want SetHosts.
	mu  sync.Mutex
	out int // how many hosts are out
}

// hostSet is what is judged. It does not change.
type hostSet struct {
	list      []*record
	byHost    map[*upstream.Host]*record
	byAddress map[string][]*record
}

// record is what is known about a host.
type record struct {
	// host is as it was when the record was made. It does not change: what is
	// the same host later shares its state and address.
	host *upstream.Host

	// Guarded by the lock.
	until time.Time // when it comes back, while it is out
	times int       // how often it went out lately
	gone  bool      // it is not among the hosts any more

	// What every request changes has a cache line of its own.
	_       [56]byte
	fives   atomic.Uint32 // failures in a row
	gateway atomic.Uint32 // those that are a gateway's
	// rate counts the requests of this interval in its upper half, and those
	// that went well in its lower.
	rate atomic.Uint64
	out  atomic.Bool // changed under the lock
	_    [40]byte
}

// New makes a Detector, which has no hosts. Times in cfg that are 0 take their
// defaults.
func New(cfg config.OutlierDetection, opts Options) *Detector {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{
		{&cfg.Interval, 10 * time.Second},
		{&cfg.BaseEjectionTime, 30 * time.Second},
		{&cfg.MaxEjectionTime, 300 * time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.otherwise
		}
	}
	d := &Detector{cfg: cfg, opts: opts}
	d.hosts.Store(&hostSet{})
	return d
}

// SetHosts says which hosts are judged from now on. What is known of those that
// stay (upstream.Host.Same, at the same address) is kept; one that comes
// ejected already comes back in due time. It does not block, and calls nothing
// that is outside.
func (d *Detector) SetHosts(hosts []*upstream.Host) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.hosts.Load()
	next := &hostSet{
		list:   make([]*record, 0, len(hosts)),
		byHost: make(map[*upstream.Host]*record, len(hosts)), byAddress: make(map[string][]*record, len(hosts)),
	}
	for _, r := range old.list {
		r.gone = true
	}
	d.out = 0
	for _, h := range hosts {
		r := next.find(h)
		if r == nil { // else it is listed twice
			if r = old.find(h); r == nil {
				r = d.newRecord(h)
			}
			r.gone = false
			next.list = append(next.list, r)
			next.byAddress[h.Address] = append(next.byAddress[h.Address], r)
			if r.out.Load() {
				d.out++
			}
		}
		next.byHost[h] = r
	}
	d.hosts.Store(next)
}

// newRecord makes the record of a host, with what Before knows about it. mu is held.
func (d *Detector) newRecord(h *upstream.Host) *record {
	r := &record{host: h}
	if b := d.opts.Before; b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		if old := b.hosts.Load().find(h); old != nil {
			r.until, r.times = old.until, old.times
			r.fives.Store(old.fives.Load())
			r.gateway.Store(old.gateway.Load())
			r.rate.Store(old.rate.Load())
			r.out.Store(old.out.Load())
			return r
		}
	}
	if h.Trouble()&upstream.Ejected != 0 {
		r.ejected(time.Now(), &d.cfg)
	}
	return r
}

// find returns the record of a host, which may be another upstream.Host of it;
// nil if there is none.
func (s *hostSet) find(h *upstream.Host) *record {
	if r := s.byHost[h]; r != nil {
		return r
	}
	for _, r := range s.byAddress[h.Address] {
		if r.host.Same(h) {
			return r
		}
	}
	return nil
}

// Run compares the rates of success, and brings hosts back, every interval
// until ctx ends. It is called once. It leaves the hosts as they are: who does
// not have them judged any more clears upstream.Ejected.
func (d *Detector) Run(ctx context.Context) {
	d.mu.Lock()
	d.opts.Before = nil // or each would keep all that were before it
	d.mu.Unlock()
	ticker := time.NewTicker(d.cfg.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			d.tick()
		}
	}
}
