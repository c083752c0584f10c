package config

import (
	"net"
	"strconv"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

func (v *validator) routers(s *Snapshot) {
	names := map[string]string{}
	for i := range s.Routers {
		r := &s.Routers[i]
		path := v.known.Paths.of(v.known.Paths.Routers, "routers", r.Name, i)
		v.unique(names, "router", path, "router_config_name", r.Name)
		for j := range r.VirtualHosts {
			at := decode.At(decode.Join(path, "virtual_hosts"), j)
			for k := range r.VirtualHosts[j].Routes {
				v.route(decode.At(decode.Join(at, "routers"), k), r.Name, &r.VirtualHosts[j].Routes[k])
			}
		}
		if v.known.Router != nil {
			v.add(v.known.Router(r, path))
		}
	}
}

// route checks where a route leads: what concerns it alone is checked by
// Known.Router.
func (v *validator) route(path, router string, r *Route) {
	v.mirrors(decode.Join(path, "request_mirror_policies"), router, r.RequestMirrorPolicies)
	a := r.Route
	if a == nil {
		return
	}
	at := decode.Join(path, "route")
	if a.UpstreamProtocol != "" {
		v.protocol(decode.Join(at, "upstream_protocol"), a.UpstreamProtocol)
	}
	v.mirrors(decode.Join(at, "request_mirror_policies"), router, a.RequestMirrorPolicies)
	for i, w := range a.WeightedClusters {
		v.clusterOf(decode.At(decode.Join(at, "weighted_clusters"), i)+".cluster.name", router, w.Cluster.Name)
	}
	if len(a.WeightedClusters) == 0 && a.ClusterHeader == "" && a.ClusterVariable == "" || a.ClusterName != "" {
		v.clusterOf(decode.Join(at, "cluster_name"), router, a.ClusterName)
	}
}

func (v *validator) mirrors(path, router string, list []MirrorPolicy) {
	for i, m := range list {
		v.clusterTo(decode.At(path, i)+".cluster", router, m.Cluster, "copies that would go there are dropped")
	}
}

func (v *validator) clusterOf(path, router, name string) {
	v.clusterTo(path, router, name, "requests that come here fail")
}

// clusterTo checks that there is a cluster of that name; effect says what
// happens while there is none.
func (v *validator) clusterTo(path, router, name, effect string) {
	clusters := v.clusterNames
	switch {
	case name == "", clusters[name]:
	case v.strictRouters[router] != "":
		v.fail(path, knownNames(name, "clusters", clusters), "there is no cluster %q, and validate_clusters is true in %s", name, v.strictRouters[router])
	default:
		v.warn(path, knownNames(name, "clusters", clusters), "there is no cluster %q; %s", name, effect)
	}
}

func (v *validator) clusters(s *Snapshot) {
	names := map[string]string{}
	for i := range s.Clusters {
		c := &s.Clusters[i]
		path := v.known.Paths.of(v.known.Paths.Clusters, "clusters", "", i)
		v.unique(names, "cluster", path, "name", c.Name)
		if v.known.Cluster != nil {
			v.add(v.known.Cluster(c, path))
		}
		v.notNegative(path, "connect_timeout", c.ConnectTimeout)
		v.notNegative(path, "idle_timeout", c.IdleTimeout)
		v.breakers(path, c)
		v.clusterContext(path, c)
		if len(c.Hosts) == 0 && c.Type != "EDS" && c.Type != "ORIGINAL_DST" && c.LBType != "LB_ORIGINAL_DST" {
			v.warn(decode.Join(path, "hosts"), "list host:port", "the cluster has no hosts; requests to it fail")
		}
		for j := range c.Hosts {
			v.host(decode.At(decode.Join(path, "hosts"), j), &c.Hosts[j])
		}
	}
}

func (v *validator) breakers(path string, c *Cluster) {
	if c.MaxRequestPerConn < 0 {
		v.fail(decode.Join(path, "max_request_per_conn"), "0 is no limit", "must not be negative, is %d", c.MaxRequestPerConn)
	}
	at := decode.Join(path, "circuit_breakers")
	for i, b := range c.CircuitBreakers {
		if i == 1 {
			v.warn(at, "keep one", "has %d entries; the first counts", len(c.CircuitBreakers))
		}
		for _, limit := range []struct {
			key string
			n   int
		}{
			{"max_connections", b.MaxConnections},
			{"max_requests", b.MaxRequests},
			{"max_pending_requests", b.MaxPendingRequests},
			{"max_retries", b.MaxRetries},
		} {
			if limit.n < 0 {
				v.fail(decode.Join(decode.At(at, i), limit.key), "0 is no limit", "must not be negative, is %d", limit.n)
			}
		}
	}
}

// CheckHosts checks a list of hosts that stands at path by itself.
func CheckHosts(hosts []Host, path string) decode.Problems {
	v := new(validator)
	for i := range hosts {
		v.host(decode.At(path, i), &hosts[i])
	}
	return v.errs
}

func (v *validator) host(path string, h *Host) {
	at := decode.Join(path, "address")
	const form = `write host:port, for example "127.0.0.1:8080"`
	host, port, err := net.SplitHostPort(h.Address)
	switch n, portErr := strconv.ParseUint(port, 10, 16); {
	case h.Address == "":
		v.fail(at, form, "the host has no address")
	case err != nil:
		v.fail(at, form, "%q is no address: %s", h.Address, addrError(err))
	case !hostName(host):
		v.fail(at, form, "the host of %q is neither an IP address nor a name", h.Address)
	case portErr != nil || n == 0:
		v.fail(at, "a number from 1 to 65535", "the port of %q is no port", h.Address)
	}
	if h.Weight < 0 || h.Weight > 128 {
		v.fail(decode.Join(path, "weight"), "0 is as if it were not there", "must be from 1 to 128, is %d", h.Weight)
	}
}
