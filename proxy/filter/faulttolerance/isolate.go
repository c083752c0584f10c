package faulttolerance

import (
	"cmp"
	"slices"
)

// seen is a host with enough requests in a window.
type seen struct {
	host            string
	calls, failures int64
}

func (s seen) rate() float64 { return float64(s.failures) / float64(s.calls) }

// compare looks at a window that is over.
func (c *counter) compare(tallies map[place]*tally) {
	clusters := make(map[string][]seen)
	for at, t := range tallies {
		if s := (seen{at.host, t.calls.Load(), t.failures.Load()}); s.calls >= int64(c.cfg.LeastWindowCount) {
			clusters[at.cluster] = append(clusters[at.cluster], s)
		}
	}
	for cluster, hosts := range clusters {
		c.compareHosts(cluster, hosts)
	}
}

// compareHosts isolates the hosts of a cluster that fail far more than all
// together, the worst first, as far as that is allowed.
func (c *counter) compareHosts(cluster string, hosts []seen) {
	var all seen
	for _, h := range hosts {
		all.calls += h.calls
		all.failures += h.failures
	}
	if all.failures == 0 {
		return
	}
	slices.SortFunc(hosts, func(a, b seen) int {
		return cmp.Or(cmp.Compare(b.rate(), a.rate()), cmp.Compare(b.failures, a.failures), cmp.Compare(a.host, b.host))
	})
	for _, h := range hosts {
		if h.rate() < all.rate()*c.cfg.ExceptionRateMultiple || !c.allowed(cluster) {
			return
		}
		c.isolate(cluster, h, all)
	}
}

// allowed reports whether one more host of the cluster may be isolated.
func (c *counter) allowed(cluster string) bool {
	all, isolated := c.env.Clusters.Hosts(cluster)
	most := min(c.cfg.MaxIPCount, all-1)
	if c.cfg.MaxIPRatio > 0 {
		most = min(most, int(c.cfg.MaxIPRatio*float64(all)))
	}
	return isolated < most
}

// isolate takes a host out; it comes back by itself.
func (c *counter) isolate(cluster string, h, all seen) {
	if !c.env.Clusters.Isolate(cluster, h.host, c.cfg.RecoverTime) {
		return // it is out, on behalf of this filter or another, or it is not there any more
	}
	c.env.Log.Warn("fault_tolerance: a host is isolated", "listener", c.env.Listener, "cluster", cluster, "host", h.host,
		"failures", h.failures, "requests", h.calls, "rate", h.rate(), "cluster_rate", all.rate(), "for", c.cfg.RecoverTime)
}
