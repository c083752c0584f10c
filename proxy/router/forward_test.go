package router

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/variable"
)

// forwarded returns the request as the cluster of the first route sees it.
func forwarded(t *testing.T, cfg config.Router, req *stream.Request) stream.Request {
	t.Helper()
	var e echo
	table, warnings, err := New(cfg, Options{Backends: &e}, "routers[0]")
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) > 0 {
		t.Logf("warnings: %v", warnings)
	}
	if _, err := table.Handle(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	return e.seen[0]
}

func action(a config.RouteAction) config.Router { return routes(config.Route{Name: "r", Route: &a}) }

func TestG10ClusterOfTheRequest(t *testing.T) {
	byHeader := config.RouteAction{ClusterHeader: "x-cluster"}
	byVariable := config.RouteAction{ClusterVariable: "chosen"}
	with := func(a config.RouteAction, name string) config.RouteAction { a.ClusterName = name; return a }
	both := config.RouteAction{ClusterHeader: "x-cluster", ClusterVariable: "chosen"}
	for _, c := range []struct {
		name             string
		action           config.RouteAction
		header, variable string
		want             string // "": no route
	}{
		{"header", byHeader, "alpha", "", "alpha"},
		{"header missing", byHeader, "", "", ""},
		{"header missing, with a name", with(byHeader, "beta"), "", "", "beta"},
		{"header, with a name", with(byHeader, "beta"), "alpha", "", "alpha"},
		{"header names an unknown one", with(byHeader, "beta"), "gone", "", ""},
		{"variable", byVariable, "", "alpha", "alpha"},
		{"variable missing", byVariable, "x", "", ""},
		{"variable missing, with a name", with(byVariable, "beta"), "", "", "beta"},
		{"variable names an unknown one", byVariable, "", "gone", ""},
		{"header before variable", both, "alpha", "beta", "alpha"},
		{"variable where the header is missing", both, "", "beta", "beta"},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := get("", "/")
			if c.header != "" {
				req.Header.Add("X-Cluster", c.header)
			}
			if c.variable != "" {
				req.Vars.Set("chosen", c.variable)
			}
			table := compile(t, action(c.action))
			_, err := table.Handle(t.Context(), req)
			if c.want == "" {
				if wantKind(t, err, stream.NoRoute); stream.AsError(err).Status() != 404 {
					t.Errorf("status %d, want 404", stream.AsError(err).Status())
				}
				return
			}
			if err != nil || req.Info.Cluster != c.want {
				t.Errorf("went to %q, %v, want %q", req.Info.Cluster, err, c.want)
			}
		})
	}
}

// some is a Backends with the clusters that it lists.
type some map[string]stream.Handler

func (s some) Cluster(name string) (stream.Handler, bool) { h, ok := s[name]; return h, ok }

func TestG10UnknownClusterOfTheConfiguration(t *testing.T) {
	_, err := compile(t, action(config.RouteAction{ClusterName: "gone"})).Handle(t.Context(), get("", "/"))
	wantKind(t, err, stream.NoCluster)
}

func lbLabels(pairs map[string]string) *config.Metadata {
	return &config.Metadata{Filter: config.FilterMetadata{LB: pairs}}
}

func TestG12Labels(t *testing.T) {
	ab := lbLabels(map[string]string{"b": "2", "a": "1"})
	weighted := func(m *config.Metadata) []config.WeightedCluster {
		return []config.WeightedCluster{{Cluster: config.ClusterWeight{Name: "c", Weight: 1, MetadataMatch: m}}}
	}
	for _, c := range []struct {
		name   string
		action config.RouteAction
		meta   string
		want   []stream.Label
	}{
		{"none", config.RouteAction{ClusterName: "c"}, "", nil},
		{"route", config.RouteAction{ClusterName: "c", MetadataMatch: ab}, "", []stream.Label{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}}},
		{"variable", config.RouteAction{ClusterName: "c"}, "z=26,a=x", []stream.Label{{Key: "a", Value: "x"}, {Key: "z", Value: "26"}}},
		{
			"variable wins",
			config.RouteAction{ClusterName: "c", MetadataMatch: ab},
			"c=3,a=x",
			[]stream.Label{{Key: "a", Value: "x"}, {Key: "b", Value: "2"}, {Key: "c", Value: "3"}},
		},
		{
			"cluster of a division wins over the route",
			config.RouteAction{MetadataMatch: ab, WeightedClusters: weighted(lbLabels(map[string]string{"a": "y", "c": "3"}))},
			"",
			[]stream.Label{{Key: "a", Value: "y"}, {Key: "b", Value: "2"}, {Key: "c", Value: "3"}},
		},
		{
			"route's where the cluster of a division has none",
			config.RouteAction{MetadataMatch: ab, WeightedClusters: weighted(nil)},
			"",
			[]stream.Label{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}},
		},
		{
			"all three",
			config.RouteAction{MetadataMatch: ab, WeightedClusters: weighted(lbLabels(map[string]string{"a": "y"}))},
			"a=z",
			[]stream.Label{{Key: "a", Value: "z"}, {Key: "b", Value: "2"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := action(c.action)
			for range 2 { // a request does not change what the next one sees
				req := get("", "/")
				if c.meta != "" {
					req.Vars.Set(variable.RouterMeta, c.meta)
				}
				if got := forwarded(t, cfg, req); !reflect.DeepEqual(got.Labels, c.want) {
					t.Errorf("labels %v, want %v", got.Labels, c.want)
				}
			}
		})
	}
}

func TestG13TimesOfTheRequest(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name                                       string
		global, try                                time.Duration // of the route
		headerGlobal, headerTry, varGlobal, varTry string
		protocol                                   time.Duration
		wantGlobal, wantTry                        time.Duration
	}{
		{name: "route", global: 5 * s, try: s, wantGlobal: 5 * s, wantTry: s},
		{name: "default", try: s, wantGlobal: 60 * s, wantTry: s},
		{name: "header shortens", global: 5 * s, headerGlobal: "1500", wantGlobal: 1500 * time.Millisecond},
		{name: "header lengthens", global: 5 * s, headerGlobal: "90000", wantGlobal: 90 * s},
		{name: "header for the try", global: 5 * s, try: s, headerTry: "2000", wantGlobal: 5 * s, wantTry: 2 * s},
		{name: "variables before headers", global: 5 * s, headerGlobal: "1000", headerTry: "100", varGlobal: "3000", varTry: "300", wantGlobal: 3 * s, wantTry: 300 * time.Millisecond},
		{name: "protocol shortens", global: 5 * s, protocol: 2 * s, wantGlobal: 2 * s},
		{name: "protocol lengthens no more than the default", protocol: 90 * s, wantGlobal: 90 * s},
		{name: "protocol and header, the shorter", global: 5 * s, headerGlobal: "1000", protocol: 2 * s, wantGlobal: s},
		{name: "header and protocol, the shorter", global: 5 * s, headerGlobal: "3000", protocol: 2 * s, wantGlobal: 2 * s},
		{name: "variable before protocol", global: 5 * s, varGlobal: "7000", protocol: 2 * s, wantGlobal: 7 * s},
		{name: "try as long as the whole is void", global: 5 * s, try: 5 * s, wantGlobal: 5 * s},
		{name: "try longer than the whole is void", global: 5 * s, try: s, headerTry: "6000", wantGlobal: 5 * s},
		{name: "try longer than the shortened whole is void", global: 5 * s, try: 2 * s, headerGlobal: "1000", wantGlobal: s},
		{name: "no number", global: 5 * s, headerGlobal: "soon", headerTry: "1s", varGlobal: "", wantGlobal: 5 * s},
		{name: "zero", global: 5 * s, try: s, headerGlobal: "0", headerTry: "0", wantGlobal: 5 * s, wantTry: s},
		{name: "negative", global: 5 * s, headerGlobal: "-1", wantGlobal: 5 * s},
		{name: "too large for a number", global: 5 * s, headerGlobal: "99999999999999999999", wantGlobal: 5 * s},
		{name: "very large", global: 5 * s, headerGlobal: "9223372036854775807", wantGlobal: longest},
		{name: "blanks", global: 5 * s, headerGlobal: " 1000 ", wantGlobal: s},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := config.RouteAction{ClusterName: "c", Timeout: c.global, RetryPolicy: &config.RetryPolicy{RetryOn: true, RetryTimeout: c.try}}
			start := time.Now()
			req := get("", "/")
			req.Info.Start, req.Timeout = start, c.protocol
			for name, value := range map[string]string{"X-Mosn-Global-Timeout": c.headerGlobal, "x-mosn-try-timeout": c.headerTry} {
				if value != "" {
					req.Header.Add(name, value)
				}
			}
			for name, value := range map[string]string{variable.GlobalTimeout: c.varGlobal, variable.TryTimeout: c.varTry} {
				if value != "" {
					req.Vars.Set(name, value)
				}
			}
			fields := req.Header.Len()
			got := forwarded(t, action(a), req)
			if got.Deadline.Sub(start) != c.wantGlobal || got.TryTimeout != c.wantTry {
				t.Errorf("%v, %v for a try, want %v, %v", got.Deadline.Sub(start), got.TryTimeout, c.wantGlobal, c.wantTry)
			}
			if got.Header.Len() != fields {
				t.Error("the fields were taken out: the next proxy would not know")
			}
		})
	}
}

func TestG20FilterConfig(t *testing.T) {
	cfg := routes(
		config.Route{
			Name: "own", Match: config.Match{Path: "/own"}, PerFilterConfig: map[string]any{"a": "route"},
			Route: &config.RouteAction{ClusterName: "c", PerFilterConfig: map[string]any{"a": "action", "b": "action"}},
		},
		config.Route{Name: "plain", Route: to("c")},
	)
	cfg.VirtualHosts[0].PerFilterConfig = map[string]any{"a": "host", "b": "host", "c": "host"}
	var paths []string
	var e echo
	table, _, err := New(cfg, Options{Backends: &e, FilterConfig: func(kind string, config any, path string) (any, error) {
		paths = append(paths, path)
		return fmt.Sprint("made of ", config), nil
	}}, "routers[3]")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/own", "/"} {
		if _, err := table.Handle(t.Context(), get("", path)); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]any{"a": "made of route", "b": "made of action", "c": "made of host"}
	if got := e.seen[0].Policy.Filters; !maps.Equal(got, want) {
		t.Errorf("route with its own: %v, want %v", got, want)
	}
	want = map[string]any{"a": "made of host", "b": "made of host", "c": "made of host"}
	if got := e.seen[1].Policy.Filters; !maps.Equal(got, want) {
		t.Errorf("route without: %v, want %v", got, want)
	}
	wantPaths := []string{
		"routers[3].virtual_hosts[0].per_filter_config.a", "routers[3].virtual_hosts[0].per_filter_config.b", "routers[3].virtual_hosts[0].per_filter_config.c",
		"routers[3].virtual_hosts[0].routers[0].route.per_filter_config.a", "routers[3].virtual_hosts[0].routers[0].route.per_filter_config.b",
		"routers[3].virtual_hosts[0].routers[0].per_filter_config.a",
	}
	if !reflect.DeepEqual(paths, wantPaths) {
		t.Errorf("asked at %q, want %q", paths, wantPaths)
	}

	_, _, err = New(cfg, Options{FilterConfig: func(kind string, _ any, path string) (any, error) {
		if kind == "b" {
			return nil, decode.Problems{{Path: path + ".delay", Message: "is wrong"}}
		}
		return nil, errors.New("not like this")
	}}, "routers[3]")
	problems, ok := errors.AsType[decode.Problems](err)
	if !ok || len(problems) != 6 || problems[1].Path != "routers[3].virtual_hosts[0].per_filter_config.b.delay" || problems[5].Path != wantPaths[5] {
		t.Errorf("problems %v", err)
	}
}

func TestG23Mirrors(t *testing.T) {
	half, none := 50.0, 0.0
	cfg := routes(config.Route{
		RequestMirrorPolicies: []config.MirrorPolicy{{Cluster: "shadow"}},
		Route:                 &config.RouteAction{ClusterName: "c", RequestMirrorPolicies: []config.MirrorPolicy{{Cluster: "other", Percent: &half}, {Cluster: "off", Percent: &none}}},
	})
	want := []stream.Mirror{{Cluster: "shadow", Percent: 100, Copies: 1}, {Cluster: "other", Percent: 50, Copies: 1}}
	if got := forwarded(t, cfg, get("", "/")); !reflect.DeepEqual(got.Policy.Mirrors, want) {
		t.Errorf("mirrors %v, want %v", got.Policy.Mirrors, want)
	}
}

func TestG24UpstreamProtocol(t *testing.T) {
	req := get("", "/")
	req.UpstreamProtocol = "Http1"
	if got := forwarded(t, action(config.RouteAction{ClusterName: "c", UpstreamProtocol: "Http2"}), req); got.UpstreamProtocol != "Http2" {
		t.Errorf("protocol %s", got.UpstreamProtocol)
	}
}

// A table made for validation only has no clusters and no filters.
func TestNewWithoutBackends(t *testing.T) {
	table, warnings, err := New(action(config.RouteAction{ClusterName: "c", PerFilterConfig: map[string]any{"f": 1}}), Options{}, "routers[0]")
	if table == nil || len(warnings) > 0 || err != nil {
		t.Errorf("%v, %v, %v", table, warnings, err)
	}
}

// What reaches the cluster does not change because two requests come at once.
func TestHandleConcurrently(t *testing.T) {
	table, req := fullTable(t)
	table.backends = some{"c": stillHandler, "d": stillHandler}
	done := make(chan error)
	const workers = 8
	for range workers {
		go func() {
			own := new(stream.Request)
			for range 500 {
				own.CopyFrom(req)
				own.Info = stream.Info{Start: req.Info.Start, Downstream: "10.1.2.3:4"}
				if _, err := table.Handle(context.WithoutCancel(t.Context()), own); err != nil {
					done <- err
					return
				}
				own.Reset()
			}
			done <- nil
		}()
	}
	for range workers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestHandleAllocatesNothing(t *testing.T) {
	table, req := fullTable(t)
	table.backends = still{}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := table.Handle(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		req.Header.DelFunc(func(f stream.Field) bool { return f.Name == "x-from" })
	}); n != 0 {
		t.Errorf("%v allocations per request, want none", n)
	}
}

// fullTable has a route with all that a route can say, but a rewrite, and a
// request that it takes.
func fullTable(t testing.TB) (*Table, *stream.Request) {
	t.Helper()
	yes, no := true, false
	add := func(name, value string, appends *bool) []config.HeaderToAdd {
		return []config.HeaderToAdd{{Header: config.HeaderValue{Key: name, Value: value}, Append: appends}}
	}
	percent := 1.0
	cfg := routes(config.Route{
		Match: config.Match{
			Prefix: "/", Headers: []config.HeaderMatch{{Name: "accept", Value: "*/*"}},
			QueryParameters: []config.HeaderMatch{{Name: "v", Value: "1"}},
			Variables:       []config.VariableMatch{{Name: "x-mosn-method", Value: "GET"}},
		},
		Route: &config.RouteAction{
			WeightedClusters: []config.WeightedCluster{{Cluster: config.ClusterWeight{Name: "c", Weight: 9}}, {Cluster: config.ClusterWeight{Name: "d", Weight: 1}}},
			Timeout:          time.Second, MetadataMatch: lbLabels(map[string]string{"zone": "a"}),
			RetryPolicy:           &config.RetryPolicy{RetryOn: true, RetryTimeout: 100 * time.Millisecond},
			HashPolicy:            []config.HashPolicy{{Header: &config.HashHeader{Key: "x-user"}}, {SourceIP: &config.HashSourceIP{}}},
			RequestMirrorPolicies: []config.MirrorPolicy{{Cluster: "d", Percent: &percent}},
			PerFilterConfig:       map[string]any{"fault": 1},
			UpstreamProtocol:      "Http2",
			HeaderChanges: config.HeaderChanges{
				RequestHeadersToAdd: add("x-route", "r", &no), RequestHeadersToRemove: []string{"x-secret"},
				ResponseHeadersToAdd: add("x-cluster", "%upstream_cluster%", &no), ResponseHeadersToRemove: []string{"server"},
			},
		},
	})
	cfg.RequestHeadersToAdd = add("x-from", "%downstream_remote_address%", &yes)
	cfg.VirtualHosts[0].RequestHeadersToAdd = add("x-host", "%x-mosn-host%", &no)
	req := browser("/x")
	req.Query, req.HasQuery = "v=1", true
	req.Info.Start, req.Info.Downstream = time.Now(), "10.1.2.3:4"
	return compile(t, cfg), req
}
