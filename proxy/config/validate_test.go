package config_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
)

func texts(ps decode.Problems) []string {
	var out []string
	for _, p := range ps {
		out = append(out, p.String())
	}
	return out
}

// listener makes one that is all right, at an address.
func listener(name, network, address string) config.Listener {
	return config.Listener{
		Name: name, Network: network, Address: address, BindPort: true,
		FilterChains: []config.FilterChain{{Filters: []config.Extension{{Type: "proxy", Config: map[string]any{
			"downstream_protocol": "http1", "router_config_name": "r",
		}}}}},
	}
}

func snapshot(ls ...config.Listener) *config.Snapshot {
	return &config.Snapshot{Listeners: ls, Routers: []config.Router{{Name: "r"}}}
}

func known() config.Known {
	return config.Known{Protocols: []string{"Http1", "Http2"}, NetworkFilters: []string{"proxy", "tcp_proxy"}, StreamFilters: []string{"x"}, Balancers: []string{"LB_RANDOM"}}
}

func TestAddresses(t *testing.T) {
	unbound := listener("c", "", "127.0.0.1:80")
	unbound.BindPort = false
	nowhere := listener("d", "", "")
	nowhere.BindPort = false
	for name, tt := range map[string]struct {
		listeners []config.Listener
		want      []string
	}{
		"different ports":        {listeners: []config.Listener{listener("a", "", "127.0.0.1:80"), listener("b", "tcp", "127.0.0.1:81")}},
		"different hosts":        {listeners: []config.Listener{listener("a", "", "127.0.0.1:80"), listener("b", "", "[::1]:80")}},
		"any port":               {listeners: []config.Listener{listener("a", "", "127.0.0.1:0"), listener("b", "", "127.0.0.1:0")}},
		"no host":                {listeners: []config.Listener{listener("a", "", ":80")}},
		"zone":                   {listeners: []config.Listener{listener("a", "", "[fe80::1%eth0]:80")}},
		"not bound":              {listeners: []config.Listener{listener("a", "", "127.0.0.1:80"), unbound, nowhere}},
		"unix sockets":           {listeners: []config.Listener{listener("a", "unix", "/tmp/a"), listener("b", "", "unix:/tmp/b")}},
		"same port, no host":     {listeners: []config.Listener{listener("a", "", "127.0.0.1:80"), listener("b", "", ":80")}, want: []string{`listeners[1].address: :80 is taken by the listener "a", listeners[0], which has 127.0.0.1:80 (choose another address)`}},
		"same port, written odd": {listeners: []config.Listener{listener("a", "", "h:80"), listener("b", "", "h:080")}, want: []string{`listeners[1].address: h:080 is taken by the listener "a", listeners[0], which has h:80 (choose another address)`}},
		"same port, v6 wildcard": {listeners: []config.Listener{listener("a", "", "[::]:80"), listener("b", "", "h:80")}, want: []string{`listeners[1].address: h:80 is taken by the listener "a", listeners[0], which has [::]:80 (choose another address)`}},
		"same socket":            {listeners: []config.Listener{listener("a", "unix", "/tmp/x/../a"), listener("b", "", "unix:/tmp/a")}, want: []string{`listeners[1].address: unix:/tmp/a is taken by the listener "a", listeners[0], which has /tmp/x/../a (choose another address)`}},
		"long socket":            {listeners: []config.Listener{listener("a", "unix", strings.Repeat("x", 108))}, want: []string{`listeners[0].address: "` + strings.Repeat("x", 108) + `" is no path of a unix socket (a path of 1 to 107 bytes)`}},
		"no port":                {listeners: []config.Listener{listener("a", "", "h")}, want: []string{`listeners[0].address: "h" is no address: missing port in address (write host:port, for example "127.0.0.1:8080")`}},
		"unknown network":        {listeners: []config.Listener{listener("a", "tcp4", "h:1")}, want: []string{`listeners[0].network: unknown network "tcp4" (known: tcp, udp, unix)`}},
		"no name":                {listeners: []config.Listener{listener("", "", "h:1")}, want: []string{`listeners[0].name: the listener has no name (give it a name)`}},
	} {
		warnings, errs := snapshot(tt.listeners...).Validate(known())
		if !slices.Equal(texts(errs), tt.want) || warnings != nil {
			t.Errorf("%s:\ngot  %q\nwant %q\nwarnings %q", name, texts(errs), tt.want, texts(warnings))
		}
	}
}

func TestPaths(t *testing.T) {
	k := known()
	k.Paths = config.Paths{Listeners: "s.ls", Routers: "s.rs", Clusters: "c.cs", Made: map[string]string{"made": "api.listen"}}
	s := snapshot(listener("a", "", "h:80"), listener("made", "", "h:80"))
	s.Clusters = []config.Cluster{{Name: "", Hosts: []config.Host{{Address: "h:1"}}}}
	s.Routers = append(s.Routers, config.Router{})
	_, errs := s.Validate(k)
	want := []string{
		`api.listen: h:80 is taken by the listener "a", s.ls[0], which has h:80 (choose another address)`,
		`c.cs[0].name: the cluster has no name (give it a name)`,
		`s.rs[1].router_config_name: the router has no name (give it a name)`,
	}
	if !slices.Equal(texts(errs), want) {
		t.Errorf("got %q", texts(errs))
	}
}

func TestNames(t *testing.T) {
	l := listener("a", "", "h:80")
	l.StreamFilters = []config.Extension{{Type: "gzip"}}
	l.FilterChains[0].Filters[0].Config["downstream_protocol"] = "wasm"
	s := snapshot(l)
	s.Clusters = []config.Cluster{{Name: "c", LBType: "LB_MAGLEV", Hosts: []config.Host{{Address: "h:1"}}}}
	// Lists that are nil are not checked against.
	if warnings, errs := s.Validate(config.Known{}); warnings != nil || errs != nil {
		t.Errorf("without lists: %q %q", warnings, errs)
	}
	// Empty lists are: nothing is known then.
	_, errs := s.Validate(config.Known{Protocols: []string{}, NetworkFilters: []string{}, StreamFilters: []string{}})
	if len(errs) != 3 {
		t.Errorf("with empty lists: %q", errs)
	}
	_, errs = s.Validate(known())
	want := []string{
		`listeners[0].filter_chains[0].filters[0].config.downstream_protocol: this version knows the protocol "wasm" but has no code behind it yet (known: Auto, Http1, Http2)`,
		`listeners[0].stream_filters[0].type: this version knows the stream filter "gzip" but has no code behind it yet (known: x)`,
	}
	if !slices.Equal(texts(errs), want) {
		t.Errorf("got %q", texts(errs))
	}
}

func TestStreamFilterWithoutProxy(t *testing.T) {
	l := listener("a", "", "h:80")
	l.FilterChains[0].Filters[0] = config.Extension{Type: "grpc"}
	l.StreamFilters = []config.Extension{{Type: "x"}}
	warnings, errs := snapshot(l).Validate(config.Known{})
	if errs != nil || len(warnings) != 1 || warnings[0].Path != "listeners[0].stream_filters[0]" {
		t.Errorf("%q %q", warnings, errs)
	}
}

func TestMissingClusters(t *testing.T) {
	routed := func(strict bool) *config.Snapshot {
		l := listener("a", "", "h:80")
		l.FilterChains[0].Filters[0].Config["validate_clusters"] = strict
		s := snapshot(l)
		s.Routers[0].VirtualHosts = []config.VirtualHost{{Domains: []string{"*"}, Routes: []config.Route{{Route: &config.RouteAction{ClusterName: "onee"}}}}}
		s.Clusters = []config.Cluster{{Name: "one", Hosts: []config.Host{{Address: "h:1"}}}}
		return s
	}
	warnings, errs := routed(false).Validate(known())
	if want := []string{`routers[0].virtual_hosts[0].routers[0].route.cluster_name: there is no cluster "onee"; requests that come here fail (did you mean "one"? clusters: one)`}; errs != nil || !slices.Equal(texts(warnings), want) {
		t.Errorf("%q %q", texts(warnings), texts(errs))
	}
	warnings, errs = routed(true).Validate(known())
	if warnings != nil || len(errs) != 1 {
		t.Errorf("validate_clusters: %q %q", texts(warnings), texts(errs))
	}
}

func TestValidateChangesNothing(t *testing.T) {
	make1 := func() *config.Snapshot {
		s := snapshot(listener("a", "", "h:80"))
		s.Clusters = []config.Cluster{{Name: "c", ConnectTimeout: time.Second, Hosts: []config.Host{{Address: "h:1", Weight: 3}}}}
		return s
	}
	s := make1()
	if warnings, errs := s.Validate(known()); warnings != nil || errs != nil || !reflect.DeepEqual(s, make1()) {
		t.Errorf("%q %q %+v", warnings, errs, s)
	}
}

// FuzzValidate: whatever the texts in a snapshot, no panic.
func FuzzValidate(f *testing.F) {
	f.Add("127.0.0.1:80", "*", "(", "x", int16(1))
	f.Add("unix:", "*.a:*", "[::1%]:1", "", int16(-1))
	f.Fuzz(func(t *testing.T, address, domain, regex, name string, n int16) {
		l := listener(name, name, address)
		l.FilterChains[0].Filters[0].Config[name] = regex
		l.StreamFilters = []config.Extension{{Type: domain}}
		l.FilterChains[0].TLSContext = &config.TLS{Status: n > 0, ServerName: name}
		passed := listener(domain, "", address)
		passed.FilterChains[0].Filters[0].Config["downstream_protocol"] = regex
		passed.FilterChains[0].Filters[0].Config["fallback_for_unknown_protocol"] = n%2 == 0
		passed.FilterChains[0].Filters = append(passed.FilterChains[0].Filters, config.Extension{Type: "tcp_proxy", Config: map[string]any{name: n, "cluster": domain}})
		s := snapshot(l, listener(regex, "", address), listener(name, "unix", address), passed)
		s.Routers = append(s.Routers, config.Router{Name: name, VirtualHosts: []config.VirtualHost{{Domains: []string{domain, address}, Routes: []config.Route{
			{Match: config.Match{Regex: regex, Headers: []config.HeaderMatch{{Name: name, Value: regex, Regex: true}}}, Route: &config.RouteAction{ClusterName: name, Timeout: time.Duration(n)}},
			{DirectResponse: &config.DirectResponse{Status: int(n)}},
		}}}})
		s.Clusters = []config.Cluster{{Name: name, LBType: domain, Type: address, Hosts: []config.Host{{Address: address, Weight: int(n)}}}}
		_, _ = s.Validate(known())
		_, _ = s.Validate(config.Known{})
	})
}
