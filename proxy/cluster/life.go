package cluster

import (
	"context"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/dns"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/health"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/outlier"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/subset"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// background is what goes on in a cluster besides its requests.
type background struct {
	checker  *health.Checker   // nil: hosts are not asked
	detector *outlier.Detector // nil: failures do not take hosts out
	names    *dns.Watcher      // nil: the hosts are not names

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
	if cfg := c.cfg.LBSubsetConfig; cfg != nil {
		w, errs := subset.Check(*cfg, path+".lb_subset_config")
		if len(errs) > 0 {
			return nil, nil, errs
		}
		policy, warnings = subset.Policy(*cfg, policy), append(warnings, w...)
	}
	return policy, warnings, nil
}

// prepare makes what Start will start, with what before knew.
func (c *Cluster) prepare(before *Cluster, path string) (warnings decode.Problems, err error) {
	var problems decode.Problems
	add := func(w decode.Problems, err error) {
		warnings, problems = append(warnings, w...), append(problems, decode.AsProblems(err, path)...)
	}
	if before == nil {
		before = new(Cluster)
	}
	var events *health.EventLog
	if c.cfg.HealthCheck != nil {
		events = health.NewEventLog(c.cfg.HealthCheck.EventLogPath, c.tables.Log)
		add(c.prepareChecks(before, events, path+".health_check"))
	}
	if c.cfg.OutlierDetection != nil {
		c.detector = outlier.New(*c.cfg.OutlierDetection, outlier.Options{Cluster: c.cfg.Name, Log: c.tables.Log, Events: events, Before: before.detector})
	}
	add(c.prepareNames(before, path))
	return warnings, problems.Err()
}

func (c *Cluster) prepareChecks(before *Cluster, events *health.EventLog, path string) (warnings decode.Problems, err error) {
	check, warnings, err := health.Parse(*c.cfg.HealthCheck, path)
	if err != nil {
		return warnings, err
	}
	if check.NeedsTLS() && c.tls == nil {
		return warnings, decode.Problems{{
			Path: path + ".check_config.http_check_config.scheme", Message: "https needs a TLS context, and the cluster has none", Remedy: "give it a tls_context, or leave out scheme",
		}}
	}
	c.checker = health.New(check, health.Options{
		Cluster: c.cfg.Name, Dial: c.dialCheck, Protocols: c.tables.Protocols, Log: c.tables.Log, Events: events, Before: before.checker,
	})
	return warnings, nil
}

// prepareNames makes what looks names up: once and again for hosts that are
// all addresses of a name, when connecting for others that have name servers
// of their own.
func (c *Cluster) prepareNames(before *Cluster, path string) (warnings decode.Problems, err error) {
	own := c.cfg.DNSResolvers != nil || c.cfg.DNSResolverFile != "" || c.cfg.DNSResolverPort != "" || c.cfg.DNSLookupFamily != ""
	if !c.Resolves() && !own {
		return nil, nil
	}
	resolver, warnings, err := dns.NewResolver(c.cfg, c.tables.DNS, path)
	if err != nil {
		return warnings, err
	}
	family, _ := dns.ParseFamily(c.cfg.DNSLookupFamily) // NewResolver has complained
	if c.Resolves() {
		c.names = dns.NewWatcher(c.cfg.Hosts, resolver, dns.WatcherOptions{
			RefreshRate: c.cfg.DNSRefreshRate, RespectTTL: c.cfg.RespectDNSTTL, Family: family, Before: before.names, Log: c.tables.Log,
		})
	} else {
		c.dialer = dns.NewDialer(resolver, family, c.connectIP)
	}
	return warnings, nil
}

// dialCheck opens the connection for a health check.
func (c *Cluster) dialCheck(ctx context.Context, to health.Target) (net.Conn, error) {
	address := to.Host.Address
	if to.Port != 0 {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		address = net.JoinHostPort(host, strconv.Itoa(to.Port))
	}
	secure := c.tls != nil && !to.Host.Plain
	switch to.Security {
	case health.AsRequests:
	case health.Plain:
		secure = false
	case health.Secure:
		secure = c.tls != nil
	}
	return c.dialWith(ctx, address, to.Protocol, secure)
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
		c.work.Go(func() {
			c.names.Run(ctx, func(hosts []config.Host) {
				_ = c.SetHosts(hosts) // it fails when the cluster has ended: so does the watching
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
	if c.names == nil {
		return false
	}
	ready := c.names.Ready()
	select {
	case <-ready:
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
	case <-ready:
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
