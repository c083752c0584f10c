package proxytest

import (
	"github.com/ottavo-runtime/ottavo/proxy/config"
)

// Listener returns an HTTP/1 listener without a socket whose requests follow
// the router of that name.
func Listener(name, router string) config.Listener {
	return config.Listener{Name: name, FilterChains: []config.FilterChain{{Filters: []config.Extension{{Type: "proxy", Config: map[string]any{
		"downstream_protocol": "Http1", "router_config_name": router,
	}}}}}}
}

// Bound returns a listener like Listener, with a socket at address.
func Bound(name, router, address string) config.Listener {
	l := Listener(name, router)
	l.BindPort, l.Address = true, address
	return l
}

// Router returns a router with one virtual host for every domain.
func Router(name string, routes ...config.Route) config.Router {
	return config.Router{Name: name, VirtualHosts: []config.VirtualHost{{Name: "all", Domains: []string{"*"}, Routes: routes}}}
}

// To returns a route that sends all paths with a prefix to a cluster.
func To(prefix, cluster string) config.Route {
	return config.Route{Match: config.Match{Prefix: prefix}, Route: &config.RouteAction{ClusterName: cluster}}
}

// Answer returns a route that answers all paths with a prefix itself.
func Answer(prefix string, status int, body string) config.Route {
	return config.Route{Match: config.Match{Prefix: prefix}, DirectResponse: &config.DirectResponse{Status: status, Body: body}}
}

// Cluster returns a cluster of hosts.
func Cluster(name string, addresses ...string) config.Cluster {
	c := config.Cluster{Name: name}
	for _, a := range addresses {
		c.Hosts = append(c.Hosts, config.Host{Address: a})
	}
	return c
}
