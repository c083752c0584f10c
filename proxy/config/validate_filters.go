package config

import (
	"slices"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Network filters that have a configuration of this package.
const (
	proxyFilter = "proxy"
	tcpFilter   = "tcp_proxy"
	udpFilter   = "udp_proxy"
)

func (v *validator) filters(path string, l *Listener, routers map[string]bool) {
	if n := len(l.FilterChains); n != 1 {
		remedy := `write one entry: filter_chains: [{filters: [{type: proxy, config: …}]}]`
		if n > 1 {
			remedy = "keep one, or split the listener"
		}
		v.fail(decode.Join(path, "filter_chains"), remedy, "a listener has exactly one filter chain, this one has %d", n)
	}
	for i, f := range l.ListenerFilters {
		v.name(decode.Join(decode.At(decode.Join(path, "listener_filters"), i), "type"), "listener filter", f.Type, v.known.ListenerFilters, nil, false)
	}
	if v.known.Capture != nil {
		v.add(v.known.Capture(l, path))
	}
	proxied := false
	for i := range l.FilterChains {
		chain, at := &l.FilterChains[i], decode.At(decode.Join(path, "filter_chains"), i)
		v.listenerContexts(at, chain)
		if l.Inspector && !chain.secured() {
			v.warn(decode.Join(path, "inspector"), "add a tls_context with status: true, or remove inspector", "has no effect: no TLS context is switched on")
		}
		v.datagrams(at, l, chain)
		proxied = v.chain(decode.Join(at, "filters"), chain.Filters, routers) || proxied
	}
	for i, f := range l.StreamFilters {
		at := decode.At(decode.Join(path, "stream_filters"), i)
		if f.Type == "" {
			v.fail(decode.Join(at, "type"), "name one", "the filter has no type")
			continue
		}
		v.name(decode.Join(at, "type"), "stream filter", f.Type, v.known.StreamFilters, unbuiltStreamFilters, false)
		if v.known.Filter != nil && slices.Contains(v.known.StreamFilters, f.Type) {
			v.add(nil, v.known.Filter(f, at))
		}
		if !proxied {
			v.warn(at, `add a network filter of type "proxy", or remove this`, "has no effect: no network filter of this listener reads requests")
		}
	}
}

// chain checks the network filters of a chain, and reports whether one of them
// reads requests.
func (v *validator) chain(path string, filters []Extension, routers map[string]bool) (proxied bool) {
	if len(filters) == 0 {
		v.fail(path, "name one: proxy, grpc, …", "the chain has no filter, so nobody would answer a connection")
		return false
	}
	fallback := false
	for i, f := range filters {
		at := decode.At(path, i)
		if f.Type == "" {
			v.fail(decode.Join(at, "type"), "name one", "the filter has no type")
			continue
		}
		v.name(decode.Join(at, "type"), "network filter", f.Type, v.known.NetworkFilters, unbuiltNetworkFilters, false)
		switch f.Type {
		case proxyFilter:
			p := v.proxy(decode.Join(at, "config"), f.Config, routers)
			proxied, fallback = true, fallback || i == 0 && p.Fallback
		case tcpFilter:
			var p TCPProxy
			v.passes(decode.Join(at, "config"), f.Config, &p, &p.L4Proxy)
		case udpFilter:
			var p UDPProxy
			v.passes(decode.Join(at, "config"), f.Config, &p, &p.L4Proxy)
		}
	}
	v.reached(path, filters, fallback)
	return proxied
}

// reached checks that connections get to every filter of a chain: a proxy
// passes those on whose protocol it does not know, if fallback is set, and the
// others none.
func (v *validator) reached(path string, filters []Extension, fallback bool) {
	switch n := len(filters); {
	case n == 1 && fallback:
		v.warn(decode.At(path, 0)+".config.fallback_for_unknown_protocol", "add a network filter behind this one, such as tcp_proxy", "has no effect: nobody would answer the connections, so they are closed")
	case n == 1:
	case filters[0].Type != proxyFilter:
		v.fail(decode.At(path, 1), "leave it out", "no connection would ever come here: the filter before it answers all of them")
	case !fallback:
		v.fail(decode.At(path, 1), "set it there, or leave this filter out", "behind a proxy filter, another gets connections only with fallback_for_unknown_protocol")
	case filters[1].Type == proxyFilter:
		v.fail(decode.At(path, 1), "add its protocols to downstream_protocol of the first", "a proxy filter cannot stand behind another")
	case n > 2:
		v.fail(decode.At(path, 2), "leave it out", "no connection would ever come here: the filters before it answer all of them")
	}
}

// secured reports whether a TLS context of the chain is switched on.
func (c *FilterChain) secured() bool {
	return c.TLSContext != nil && c.TLSContext.Status || slices.ContainsFunc(c.TLSContextSet, func(t TLS) bool { return t.Status })
}

// listenerContexts checks the TLS contexts of the chain at path.
func (v *validator) listenerContexts(path string, chain *FilterChain) {
	list, at := chain.TLSContextSet, func(i int) string { return decode.At(decode.Join(path, "tls_context_set"), i) }
	if chain.TLSContext != nil {
		if len(list) > 0 {
			v.fail(decode.Join(path, "tls_context"), "move it into tls_context_set", "the chain has both tls_context and tls_context_set")
			return
		}
		list, at = []TLS{*chain.TLSContext}, func(int) string { return decode.Join(path, "tls_context") }
	}
	v.contexts(list, true, at)
}

// clusterContext checks the TLS context of the cluster at path, one that
// clusters share only once.
func (v *validator) clusterContext(path string, c *Cluster) {
	if c.TLSContext == nil {
		return
	}
	at := decode.Join(path, "tls_context")
	if c.ClusterManagerTLS && v.known.Paths.ClusterTLS != "" {
		if v.clusterTLS {
			return
		}
		v.clusterTLS, at = true, v.known.Paths.ClusterTLS
	}
	v.contexts([]TLS{*c.TLSContext}, false, func(int) string { return at })
}

func (v *validator) contexts(list []TLS, server bool, path func(i int) string) {
	if v.known.TLS == nil || len(list) == 0 {
		return
	}
	v.add(v.known.TLS(list, server, path))
}

// proxy checks the configuration of a "proxy" and returns it.
func (v *validator) proxy(path string, config map[string]any, routers map[string]bool) (p Proxy) {
	warnings, err := decode.Into(&p, config, path)
	v.add(warnings, decode.AsProblems(err, path))
	if err != nil {
		return p
	}
	v.protocols(path, &p)
	if p.RouterHandlerName != "" {
		v.name(decode.Join(path, "router_handler_name"), "way to choose a route", p.RouterHandlerName, v.known.Choosers, nil, false)
	}
	at := decode.Join(path, "router_config_name")
	switch {
	case p.RouterConfigName == "":
		v.fail(at, "name one of routers", "the name of the router is missing")
	case !routers[p.RouterConfigName]:
		v.fail(at, knownNames(p.RouterConfigName, "routers", routers), "there is no router %q", p.RouterConfigName)
	case p.ValidateClusters:
		v.strictRouters[p.RouterConfigName] = path
	}
	return p
}

// datagrams checks that listeners for udp, and only they, pass datagrams on.
// path is that of the chain.
func (v *validator) datagrams(path string, l *Listener, chain *FilterChain) {
	at := decode.Join(path, "filters")
	if l.Network != "udp" {
		for i, f := range chain.Filters {
			if f.Type == udpFilter {
				v.fail(decode.Join(decode.At(at, i), "type"), "set network: udp, or use tcp_proxy", "udp_proxy needs a listener for udp")
			}
		}
		return
	}
	if len(chain.Filters) != 1 || chain.Filters[0].Type != udpFilter {
		v.fail(at, "write filters: [{type: udp_proxy, config: {cluster: …}}]", "a listener for udp has exactly one network filter, udp_proxy")
	}
	if chain.secured() {
		v.fail(path, "remove the TLS contexts", "TLS is not spoken over udp; datagrams are passed on as they are")
	}
}

// passes checks the configuration of a "tcp_proxy" or "udp_proxy": it is
// decoded into dst, of which l4 is a part.
func (v *validator) passes(path string, config map[string]any, dst any, l4 *L4Proxy) {
	warnings, err := decode.Into(dst, config, path)
	v.add(warnings, decode.AsProblems(err, path))
	if err != nil {
		return
	}
	if v.known.L4 != nil {
		v.add(nil, v.known.L4(*l4, path))
	}
	v.passedTo(decode.Join(path, "cluster"), l4.Cluster)
	for i, r := range l4.Routes {
		v.passedTo(decode.Join(decode.At(decode.Join(path, "routes"), i), "cluster"), r.Cluster)
	}
}

// passedTo checks the name of a cluster that connections are passed on to. One
// that is missing is for Known.L4 to find.
func (v *validator) passedTo(path, name string) {
	if name != "" && !v.clusterNames[name] {
		v.warn(path, knownNames(name, "clusters", v.clusterNames), "there is no cluster %q; connections that come here are closed", name)
	}
}
