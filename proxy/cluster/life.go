package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// background is what goes on in a cluster besides its requests.
type background struct {
	checker interface {
		Run(ctx context.Context)
		SetHosts(hosts []*upstream.Host)
	}
	detector interface {
		Run(ctx context.Context)
		SetHosts(hosts []*upstream.Host)
		Done(host *upstream.Host, outcome lb.Outcome)
	}
	names interface {
		Run(ctx context.Context, update func([]config.Host))
	}
	// resolved is closed once names have had an answer, or failed, each; it is
	// nil where there are none.
	resolved chan struct{}

	// judging is held while the panic is found out about.
	judging sync.Mutex
	// changing is held while the hosts, or what is below, change.
	changing sync.Mutex
	started  bool
	state    state
	cancel   context.CancelFunc
	work     sync.WaitGroup
}

// newPolicy makes the balancer.
func (c *Cluster) newPolicy(path string) (policy lb.Policy, warnings decode.Problems, err error) {
	name := c.cfg.LBType
	if name == OriginalDst {
		name = "" // it is never asked
	}
	policy, warnings, err = c.tables.Balancers.Policy(name, lb.Options{
		Config: c.cfg.LBConfig, SlowStart: c.cfg.SlowStart, ConnectTimeout: c.cfg.ConnectTimeout, IdleTimeout: c.cfg.IdleTimeout, Path: path,
	})
	if err != nil {
		return nil, nil, decode.AsProblems(err, path+".lb_type")
	}
	return policy, warnings, nil
}

// prepare makes what Start will start.
func (c *Cluster) prepare(path string) (warnings decode.Problems, err error) {
	var problems decode.Problems
	return warnings, problems.Err()
}

// Start begins what goes on in the background: health checks, the watching of
// names, the judging of hosts by their failures. It ends with ctx, Retire or
// Close, whichever comes first. A second Start does nothing.
func (c *Cluster) Start(ctx context.Context) {
	c.changing.Lock()
	defer c.changing.Unlock()
	if c.started || c.state != inUse {
		return
	}
	c.started = true
	ctx, c.cancel = context.WithCancel(ctx)
	c.watch(c.set.Load())
	if c.checker != nil {
		c.work.Go(func() { c.checker.Run(ctx) })
	}
	if c.detector != nil {
		c.work.Go(func() { c.detector.Run(ctx) })
	}
	if c.names != nil {
		var once sync.Once
		c.work.Go(func() {
			c.names.Run(ctx, func(hosts []config.Host) {
				_ = c.SetHosts(hosts) // it fails when the cluster has ended: so does the watching
				once.Do(func() { close(c.resolved) })
			})
		})
	}
}

// watch has everybody look at the hosts of set. changing is held.
func (c *Cluster) watch(set *hostSet) {
	for _, h := range set.hosts {
		if c.checker == nil {
			h.SetTrouble(upstream.CheckFailed, false) // nobody would ever clear it
		}
		if c.detector == nil {
			h.SetTrouble(upstream.Ejected, false)
		}
		if c.cfg.PanicThreshold > 0 {
			h.Watch(func(_, _ upstream.Trouble) { c.panicking() })
		} else {
			h.Watch(nil)
			h.SetPanic(false)
		}
	}
	if c.checker != nil {
		c.checker.SetHosts(set.hosts)
	}
	if c.detector != nil {
		c.detector.SetHosts(set.hosts)
	}
	c.panicking()
}

// panicking finds out whether so few hosts are healthy that all are used.
func (c *Cluster) panicking() {
	if c.cfg.PanicThreshold <= 0 {
		return
	}
	c.judging.Lock()
	defer c.judging.Unlock()
	hosts := c.Hosts()
	healthy := 0
	for _, h := range hosts {
		if h.Healthy() {
			healthy++
		}
	}
	on := float64(healthy)*100 < c.cfg.PanicThreshold*float64(len(hosts))
	for _, h := range hosts {
		h.SetPanic(on)
	}
}

// awaitHosts waits until names have been looked up for the first time. It
// reports whether there was something to wait for.
func (c *Cluster) awaitHosts(ctx context.Context, req *stream.Request) bool {
	if c.resolved == nil {
		return false
	}
	select {
	case <-c.resolved:
		return true
	default:
	}
	limit := c.connectTimeout()
	if !req.Deadline.IsZero() {
		limit = min(limit, time.Until(req.Deadline))
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-c.resolved:
	case <-ctx.Done():
	case <-timer.C:
	}
	return true
}

// Retire ends what goes on in the background, and closes the connections that
// next, the cluster in its place, did not take over, as they become free; next
// may be nil.
func (c *Cluster) Retire(next *Cluster) { c.stop(retired, next) }

// Close closes all connections; requests in flight fail.
func (c *Cluster) Close() { c.stop(closed, nil) }

func (c *Cluster) stop(to state, next *Cluster) {
	c.changing.Lock()
	c.state = max(c.state, to)
	cancel := c.cancel
	c.changing.Unlock()
	if cancel != nil {
		cancel()
	}
	c.work.Wait()
	var kept *hostSet
	if next != nil {
		kept = next.set.Load()
	}
	c.set.Load().end(to, kept)
	if c.origin != nil && (next == nil || next.origin != c.origin) {
		c.origin.end(to)
	}
}
