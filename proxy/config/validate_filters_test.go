package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
)

// contextNames returns a Known.TLS that complains of each context's server name.
func contextNames(list []config.TLS, server bool, path func(i int) string) (warnings, errs decode.Problems) {
	for i, c := range list {
		if server {
			warnings = append(warnings, decode.Problem{Path: path(i), Message: "server " + c.ServerName})
		} else {
			errs = append(errs, decode.Problem{Path: path(i), Message: "client " + c.ServerName})
		}
	}
	return warnings, errs
}

// TestContexts: every context is checked once, at its place, as what it is.
func TestContexts(t *testing.T) {
	one, several, plain, both := listener("one", "", "h:1"), listener("several", "", "h:2"), listener("plain", "", "h:3"), listener("both", "", "h:4")
	one.FilterChains[0].TLSContext = &config.TLS{Status: true, ServerName: "a"}
	one.Inspector = true
	several.FilterChains[0].TLSContextSet = []config.TLS{{ServerName: "b"}, {Status: true, ServerName: "c"}}
	several.Inspector = true
	both.FilterChains[0].TLSContext = &config.TLS{ServerName: "x"}
	both.FilterChains[0].TLSContextSet = []config.TLS{{ServerName: "y"}}
	s := snapshot(one, several, plain, both)
	shared := &config.TLS{Status: true, ServerName: "shared"}
	hosts := []config.Host{{Address: "h:1"}}
	s.Clusters = []config.Cluster{
		{Name: "a", Hosts: hosts, ClusterManagerTLS: true, TLSContext: shared},
		{Name: "b", Hosts: hosts, TLSContext: &config.TLS{ServerName: "own"}},
		{Name: "c", Hosts: hosts, ClusterManagerTLS: true, TLSContext: shared},
		{Name: "d", Hosts: hosts},
	}
	k := known()
	k.TLS = contextNames
	k.Paths.ClusterTLS = "cluster_manager.tls_context"
	warnings, errs := s.Validate(k)
	if want := []string{
		"listeners[0].filter_chains[0].tls_context: server a",
		"listeners[1].filter_chains[0].tls_context_set[0]: server b",
		"listeners[1].filter_chains[0].tls_context_set[1]: server c",
	}; !slices.Equal(texts(warnings), want) {
		t.Errorf("warnings %q", texts(warnings))
	}
	if want := []string{
		"listeners[3].filter_chains[0].tls_context: the chain has both tls_context and tls_context_set (move it into tls_context_set)",
		"cluster_manager.tls_context: client shared",
		"clusters[1].tls_context: client own",
	}; !slices.Equal(texts(errs), want) {
		t.Errorf("errors %q", texts(errs))
	}
	// A source without a shared place has the context with each cluster.
	k.Paths.ClusterTLS = ""
	if _, errs := s.Validate(k); len(errs) != 4 || errs[3].Path != "clusters[2].tls_context" {
		t.Errorf("without a shared place: %q", texts(errs))
	}
}

func TestInspector(t *testing.T) {
	l := listener("a", "", "h:1")
	l.Inspector = true
	for name, tt := range map[string]struct {
		chain config.FilterChain
		warns bool
	}{
		"no context":     {config.FilterChain{}, true},
		"off":            {config.FilterChain{TLSContext: &config.TLS{}}, true},
		"on":             {config.FilterChain{TLSContext: &config.TLS{Status: true}}, false},
		"all are off":    {config.FilterChain{TLSContextSet: []config.TLS{{}, {}}}, true},
		"one of several": {config.FilterChain{TLSContextSet: []config.TLS{{}, {Status: true}}}, false},
	} {
		tt.chain.Filters = l.FilterChains[0].Filters
		l.FilterChains = []config.FilterChain{tt.chain}
		warnings, errs := snapshot(l).Validate(known())
		want := []string{"listeners[0].inspector: has no effect: no TLS context is switched on (add a tls_context with status: true, or remove inspector)"}
		if !tt.warns {
			want = nil
		}
		if errs != nil || !slices.Equal(texts(warnings), want) {
			t.Errorf("%s: %q %q", name, texts(warnings), texts(errs))
		}
	}
}

func TestProtocols(t *testing.T) {
	const at = "listeners[0].filter_chains[0].filters[0].config."
	for _, tt := range []struct {
		down, up string
		want     []string
	}{
		{down: "Http1"},
		{down: "HTTP2", up: "http1"},
		{down: "Http1,Http2"},
		{down: " http1 , Http2", up: "Http1"},
		{down: "Auto"},
		{down: "auto", up: "AUTO"},
		{down: "Http1", up: "Auto"},
		{down: "", want: []string{at + "downstream_protocol: the protocol that callers speak is missing (name it: Http1; or Auto for all that are known)"}},
		{down: "Http1,Http3,wasm", want: []string{
			at + `downstream_protocol: unknown protocol "Http3" (did you mean "Http1"? known: Http1, Http2)`,
			at + `downstream_protocol: this version knows the protocol "wasm" but has no code behind it yet (known: Http1, Http2)`,
		}},
		{down: "Http1,auto", want: []string{at + "downstream_protocol: auto stands for all protocols, and cannot be one of several (write it alone)"}},
		{down: "Http1,Http2", up: "Http1,Http2", want: []string{at + `upstream_protocol: one protocol is spoken with the hosts, "Http1,Http2" is several (name one, or write Auto for the one the request came by)`}},
		{down: "Http1", up: "wasm", want: []string{at + `upstream_protocol: this version knows the protocol "wasm" but has no code behind it yet (known: Auto, Http1, Http2)`}},
	} {
		l := listener("a", "", "h:1")
		l.FilterChains[0].Filters[0].Config = map[string]any{"downstream_protocol": tt.down, "upstream_protocol": tt.up, "router_config_name": "r"}
		warnings, errs := snapshot(l).Validate(known())
		if warnings != nil || !slices.Equal(texts(errs), tt.want) {
			t.Errorf("%q, %q:\ngot  %q %q\nwant %q", tt.down, tt.up, texts(errs), texts(warnings), tt.want)
		}
	}
	if got := known().Protocols; !slices.Equal(got, []string{"Http1", "Http2"}) {
		t.Errorf("the list of known names is now %q", got)
	}
}

// TestChains: which filters of a chain get connections.
func TestChains(t *testing.T) {
	const at = "listeners[0].filter_chains[0].filters"
	proxy := config.Extension{Type: "proxy", Config: map[string]any{"downstream_protocol": "Http1", "router_config_name": "r"}}
	passing := config.Extension{Type: "proxy", Config: map[string]any{"downstream_protocol": "Http1", "router_config_name": "r", "fallback_for_unknown_protocol": true}}
	tcp := config.Extension{Type: "tcp_proxy", Config: map[string]any{"cluster": "c"}}
	for name, tt := range map[string]struct {
		filters       []config.Extension
		warning, want string // the path of the one there is
	}{
		"proxy":                  {filters: []config.Extension{proxy}},
		"tcp":                    {filters: []config.Extension{tcp}},
		"proxy, then tcp":        {filters: []config.Extension{passing, tcp}},
		"nothing":                {want: at},
		"nobody behind":          {filters: []config.Extension{passing}, warning: at + "[0].config.fallback_for_unknown_protocol"},
		"without fallback":       {filters: []config.Extension{proxy, tcp}, want: at + "[1]"},
		"two proxies":            {filters: []config.Extension{passing, passing}, want: at + "[1]"},
		"a third":                {filters: []config.Extension{passing, tcp, tcp}, want: at + "[2]"},
		"the other way round":    {filters: []config.Extension{tcp, passing}, want: at + "[1]"},
		"behind what answers":    {filters: []config.Extension{tcp, tcp}, want: at + "[1]"},
		"no type, then a filter": {filters: []config.Extension{{}}, want: at + "[0].type"},
	} {
		l := listener("a", "", "h:1")
		l.FilterChains[0].Filters = tt.filters
		s := snapshot(l)
		s.Clusters = []config.Cluster{{Name: "c", Hosts: []config.Host{{Address: "h:1"}}}}
		warnings, errs := s.Validate(known())
		one := func(ps decode.Problems, path string) bool {
			return path == "" && ps == nil || path != "" && len(ps) == 1 && ps[0].Path == path
		}
		if !one(warnings, tt.warning) || !one(errs, tt.want) {
			t.Errorf("%s: %q %q", name, texts(warnings), texts(errs))
		}
	}
}

func TestTCPProxy(t *testing.T) {
	l := listener("a", "", "h:1")
	config1 := map[string]any{"cluster": "on", "routes": []any{map[string]any{"cluster": "one"}, map[string]any{"cluster": "two"}, map[string]any{}}}
	l.FilterChains[0].Filters = []config.Extension{{Type: "tcp_proxy", Config: config1}}
	l.StreamFilters = []config.Extension{{Type: "x"}}
	s := snapshot(l)
	s.Clusters = []config.Cluster{{Name: "one", Hosts: []config.Host{{Address: "h:1"}}}}
	k := known()
	k.L4 = func(cfg config.L4Proxy, path string) decode.Problems {
		return decode.Problems{{Path: path, Message: fmt.Sprintf("%s, %d routes", cfg.Cluster, len(cfg.Routes))}}
	}
	warnings, errs := s.Validate(k)
	const at = "listeners[0].filter_chains[0].filters[0].config"
	if want := []string{
		at + `.cluster: there is no cluster "on"; connections that come here are closed (clusters: one)`,
		at + `.routes[1].cluster: there is no cluster "two"; connections that come here are closed (clusters: one)`,
		`listeners[0].stream_filters[0]: has no effect: no network filter of this listener reads requests (add a network filter of type "proxy", or remove this)`,
	}; !slices.Equal(texts(warnings), want) {
		t.Errorf("warnings %q", texts(warnings))
	}
	if want := []string{at + ": on, 3 routes"}; !slices.Equal(texts(errs), want) {
		t.Errorf("errors %q", texts(errs))
	}
}

func TestCapture(t *testing.T) {
	l := listener("a", "", "h:1")
	l.UseOriginalDst = "redirekt"
	l.ListenerFilters = []config.Extension{{Type: "original_dst"}, {Type: "tls_inspector"}}
	k := known()
	k.ListenerFilters = []string{"original_dst"}
	k.Capture = func(l *config.Listener, path string) (warnings, errs decode.Problems) {
		return decode.Problems{{Path: path, Message: fmt.Sprint(l.UseOriginalDst)}}, nil
	}
	warnings, errs := snapshot(l).Validate(k)
	if want := []string{"listeners[0]: redirekt"}; !slices.Equal(texts(warnings), want) {
		t.Errorf("warnings %q", texts(warnings))
	}
	if want := []string{`listeners[0].listener_filters[1].type: unknown listener filter "tls_inspector" (known: original_dst)`}; !slices.Equal(texts(errs), want) {
		t.Errorf("errors %q", texts(errs))
	}
}

// TestPrivateKeysAreNotShown: however a context is written down, its key is not.
func TestPrivateKeysAreNotShown(t *testing.T) {
	const key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----"
	c := config.TLS{Status: true, ServerName: "pay.example", PrivateKey: key, ExtendVerify: map[string]any{"token": key, "mode": "strict"}}
	s := &config.Snapshot{
		Listeners: []config.Listener{{FilterChains: []config.FilterChain{{TLSContext: &c}, {TLSContextSet: []config.TLS{c}}}}},
		Clusters:  []config.Cluster{{TLSContext: &c}},
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "context", c, "snapshot", s)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "context", &c, "snapshot", s)
	asJSON, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"log": log.String(), "JSON": string(asJSON),
		"%v": fmt.Sprintf("%v %v %v", c, &c, *s), "%+v": fmt.Sprintf("%+v %+v %+v", c, &c, *s), "%#v": fmt.Sprintf("%#v %#v %#v", c, &c, *s),
		"%s": fmt.Sprintf("%s", c), "%q": fmt.Sprintf("%q", c), "%x": fmt.Sprintf("%x %x", c, &c),
	} {
		if strings.Contains(text, "c2VjcmV0") || strings.Contains(text, fmt.Sprintf("%x", "c2VjcmV0")) {
			t.Errorf("%s: %s", what, text)
		}
		if what != "%x" && (!strings.Contains(text, decode.Hidden) || !strings.Contains(text, "pay.example") || !strings.Contains(text, "strict")) {
			t.Errorf("%s does not say what may be said: %s", what, text)
		}
	}
	if c.PrivateKey != key || c.ExtendVerify["token"] != key {
		t.Error("the context itself has changed")
	}
}
