package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a Backends where every cluster but "gone" is there; it remembers the
// requests.
type echo struct {
	mu   sync.Mutex
	seen []stream.Request
}

func (e *echo) Cluster(name string) (stream.Handler, bool) {
	return stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.seen = append(e.seen, *req)
		return &stream.Response{Status: 200}, nil
	}), name != "gone"
}

func to(cluster string) *config.RouteAction { return &config.RouteAction{ClusterName: cluster} }

// hosts makes a router with one virtual host per list of domains, each with
// one route that takes everything to the cluster named as the list.
func hosts(lists ...string) config.Router {
	cfg := config.Router{Name: "main"}
	for _, list := range lists {
		cfg.VirtualHosts = append(cfg.VirtualHosts, config.VirtualHost{
			Name: list, Domains: strings.Fields(list), Routes: []config.Route{{Route: to(list)}},
		})
	}
	return cfg
}

// routes makes a router with one virtual host for all.
func routes(list ...config.Route) config.Router {
	return config.Router{Name: "main", VirtualHosts: []config.VirtualHost{{Name: "all", Domains: []string{"*"}, Routes: list}}}
}

func compile(t testing.TB, cfg config.Router) *Table {
	t.Helper()
	table, _, err := New(cfg, Options{Backends: &echo{}}, "routers[0]")
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func get(authority, path string, fields ...string) *stream.Request {
	req := &stream.Request{Method: "GET", Authority: authority, Path: path}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		req.Header.Add(name, value)
	}
	return req
}

func wantKind(t *testing.T, err error, kind stream.Kind) string {
	t.Helper()
	e, ok := errors.AsType[*stream.Error](err)
	if !ok || e.Kind != kind {
		t.Fatalf("error %v, want one of kind %v", err, kind)
	}
	return e.Error()
}

func TestG2VirtualHost(t *testing.T) {
	full := []string{
		"shop.example", "shop.example:8080", "any.example:*", "*.example", "*.shop.example", "*-eu.shop.example",
		"*.example:8080", "*.far.example:*", "*", "[::1] [2001:DB8::0:1]:80", "[fe80::1]:*", "*:9000", "10.0.0.1:80", "HelloService:1.0",
	}
	for _, c := range []struct {
		authority, want string
		lists           []string
	}{
		{"shop.example", "shop.example", full},
		{"SHOP.Example", "shop.example", full},
		{"shop.example:8080", "shop.example:8080", full},
		{"shop.example:80", "*", full}, // a domain without port is for requests without
		{"any.example", "any.example:*", full},
		{"any.example:80", "any.example:*", full},
		{"x.example", "*.example", full},
		{"X.EXAMPLE", "*.example", full},
		{"x.shop.example", "*.shop.example", full},
		{"a.x.shop.example", "*.shop.example", full},
		{"a-eu.shop.example", "*-eu.shop.example", full},
		{"a-EU.shop.example", "*-eu.shop.example", full},
		{"-eu.shop.example", "*.shop.example", full}, // the * stands for something
		{".example", "*", full},
		{"example", "*", full},
		{"x.shop.example:8080", "*.example:8080", full}, // with that port before longer
		{"x.far.example:8080", "*.example:8080", full},
		{"x.far.example:1", "*.far.example:*", full},
		{"other:9000", "*:9000", full},
		{"shop.example:9000", "*:9000", full},
		{"", "*", full},
		{"unknown", "*", full},
		{":80", "*", full},
		{"[::1]", "[::1] [2001:DB8::0:1]:80", full},
		{"::1", "[::1] [2001:DB8::0:1]:80", full},
		{"[0:0::1]", "[::1] [2001:DB8::0:1]:80", full},
		{"[::1]:80", "*", full},
		{"[2001:db8:0:0::1]:80", "[::1] [2001:DB8::0:1]:80", full},
		{"[2001:db8::1]", "*", full},
		{"[FE80::1]", "[fe80::1]:*", full},
		{"[FE80::1]:443", "[fe80::1]:*", full},
		{"[not-v6]:9000", "*:9000", full},
		{"[broken", "*", full},
		{"10.0.0.1:80", "10.0.0.1:80", full},
		{"helloservice:1.0", "HelloService:1.0", full},
		{"anything", "", []string{"shop.example"}},
		{"", "", []string{"shop.example"}},
		{"shop.example:1", "", []string{"shop.example"}},
		{"x.example", "", []string{"*.shop.example"}},
		{"anything:1", "*:*", []string{"*:*"}},
		{"anything", "", nil},
	} {
		t.Run(fmt.Sprintf("%s of %d", c.authority, len(c.lists)), func(t *testing.T) {
			req := get(c.authority, "/")
			_, err := compile(t, hosts(c.lists...)).Handle(t.Context(), req)
			if c.want == "" {
				wantKind(t, err, stream.NoRoute)
				return
			}
			if err != nil || req.Info.VirtualHost != c.want {
				t.Errorf("went to %q, %v, want %q", req.Info.VirtualHost, err, c.want)
			}
		})
	}
}

func TestG4G5RouteConditions(t *testing.T) {
	field := func(name, value string) config.HeaderMatch { return config.HeaderMatch{Name: name, Value: value} }
	regex := func(name, value string) config.HeaderMatch {
		return config.HeaderMatch{Name: name, Value: value, Regex: true}
	}
	headers := func(h ...config.HeaderMatch) config.Match { return config.Match{Headers: h} }
	post := get("shop", "/x")
	post.Method = "POST"
	for _, c := range []struct {
		name  string
		match config.Match
		req   *stream.Request
		want  bool
	}{
		{"none", config.Match{}, get("", "*"), true},
		{"prefix", config.Match{Prefix: "/a"}, get("", "/abc"), true},
		{"prefix is all", config.Match{Prefix: "/a"}, get("", "/a"), true},
		{"prefix longer", config.Match{Prefix: "/ab"}, get("", "/a"), false},
		{"prefix, case", config.Match{Prefix: "/a"}, get("", "/A"), false},
		{"path", config.Match{Path: "/Index.html"}, get("", "/index.HTML"), true},
		{"path is not a prefix", config.Match{Path: "/a"}, get("", "/a/"), false},
		{"path of same length", config.Match{Path: "/a"}, get("", "/b"), false},
		{"path, not ASCII", config.Match{Path: "/É"}, get("", "/É"), true},
		{"path, only ASCII folds", config.Match{Path: "/É"}, get("", "/é"), false},
		{"regex", config.Match{Regex: `/v[0-9]+/.*`}, get("", "/v12/x"), true},
		{"regex of the beginning, as in MOSN's documentation", config.Match{Regex: `^/\d+`}, get("", "/12/x"), true},
		{"regex of the beginning, elsewhere", config.Match{Regex: `^/\d+`}, get("", "/x/12"), false},
		{"regex finds a part", config.Match{Regex: `/v[0-9]+`}, get("", "/x/v12/x"), true},
		{"regex anchored at both ends", config.Match{Regex: `^/v[0-9]+$`}, get("", "/v12/x"), false},
		{"regex flags", config.Match{Regex: `(?i)/abc`}, get("", "/ABC"), true},
		{"field", headers(field("Id", "a")), get("", "/", "iD=a"), true},
		{"field, other value", headers(field("id", "a")), get("", "/", "id=A"), false},
		{"field missing", headers(field("id", "")), get("", "/"), false},
		{"field empty", headers(field("id", "")), get("", "/", "id="), true},
		{"field of two", headers(field("id", "a"), field("v", "1")), get("", "/", "v=1", "id=a"), true},
		{"field of two wrong", headers(field("id", "a"), field("v", "1")), get("", "/", "id=a", "v=2"), false},
		{"field repeated, first", headers(field("id", "a")), get("", "/", "id=a", "id=b"), true},
		{"field repeated, second", headers(field("id", "b")), get("", "/", "id=a", "id=b"), false},
		{"field regex", headers(regex("id", "a+")), get("", "/", "id=aaa"), true},
		{"field regex finds a part", headers(regex("id", "a+")), get("", "/", "id=caab"), true},
		{"field regex anchored", headers(regex("id", "^a+$")), get("", "/", "id=aab"), false},
		{"field there", headers(field("service", ".*")), get("", "/", "service="), true},
		{"field there, as regex", headers(regex("service", ".*")), get("", "/", "service=x"), true},
		{"field not there", headers(regex("service", ".*")), get("", "/"), false},
		{"method", headers(field("method", "POST")), post, true},
		{"method wrong", headers(field(":method", "GET")), post, false},
		{"host", headers(regex("Host", "sh.p")), post, true},
		{"authority", headers(field(":authority", "shop")), post, true},
		{"path as field", headers(field("x-mosn-path", "/x")), post, true},
		{"path as field wrong", headers(field(":path", "/y")), post, false},
		{
			"all kinds",
			config.Match{Prefix: "/a", Path: "/a/B", Regex: "/a/.", Headers: []config.HeaderMatch{field("id", "1")}},
			get("", "/a/b", "id=1"), true,
		},
		{"all kinds, prefix fails", config.Match{Prefix: "/A", Path: "/a/b"}, get("", "/a/b"), false},
		{"all kinds, path fails", config.Match{Prefix: "/a", Path: "/a/c"}, get("", "/a/b"), false},
		{"all kinds, regex fails", config.Match{Prefix: "/a", Regex: "^/b.*"}, get("", "/a/b"), false},
		{"all kinds, field fails", config.Match{Prefix: "/a", Headers: []config.HeaderMatch{field("id", "1")}}, get("", "/a"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := compile(t, routes(config.Route{Match: c.match, Route: to("c")})).Handle(t.Context(), c.req)
			if !c.want {
				wantKind(t, err, stream.NoRoute)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestG3FirstRouteWins(t *testing.T) {
	prefix := config.Match{Prefix: "/a"}
	path := config.Match{Path: "/a/b"}
	regex := config.Match{Regex: "/a/.*"}
	id := config.Match{Headers: []config.HeaderMatch{{Name: "id", Value: "1"}}}
	method := config.Match{Headers: []config.HeaderMatch{{Name: "method", Value: "GET"}}}
	kinds := []config.Match{prefix, path, regex, id, method, {}}
	for _, first := range kinds {
		for _, second := range kinds {
			for _, third := range kinds {
				table := compile(t, routes(
					config.Route{Match: config.Match{Path: "/other"}, Route: to("c")},
					config.Route{Name: "first", Match: first, Route: to("c")},
					config.Route{Name: "second", Match: second, Route: to("c")},
					config.Route{Name: "third", Match: third, Route: to("c")},
				))
				req := get("", "/a/b", "id=1")
				if _, err := table.Handle(t.Context(), req); err != nil || req.Info.Route != "first" {
					t.Errorf("%+v before %+v, %+v: %s was taken, %v", first, second, third, req.Info.Route, err)
				}
			}
		}
	}
}

func TestInfo(t *testing.T) {
	cfg := routes(config.Route{Match: config.Match{Path: "/a"}, Route: to("alpha")}, config.Route{Route: to("beta")})
	cfg.VirtualHosts[0].Name = ""
	req := get("x", "/b")
	if _, err := compile(t, cfg).Handle(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if i := req.Info; i.VirtualHost != "virtual_hosts[0]" || i.Route != "routers[1]" || i.Cluster != "beta" {
		t.Errorf("info %+v", i)
	}
}

func TestErrors(t *testing.T) {
	long := "/" + strings.Repeat("x", 10_000)
	table := compile(t, config.Router{Name: "main", VirtualHosts: []config.VirtualHost{{
		Name: "shop", Domains: []string{"shop"},
		Routes: []config.Route{{Name: "r", Match: config.Match{Path: "/a"}, Route: to("gone")}},
	}}})
	for _, c := range []struct {
		name string
		req  *stream.Request
		kind stream.Kind
		want []string
	}{
		{"no host", get("pub\n", "/a"), stream.NoRoute, []string{"router main", `"pub\n"`, `"/a"`}},
		{"no route", get("shop", "/b"), stream.NoRoute, []string{"virtual host shop", "router main", "GET", `"/b"`, `"shop"`}},
		{"no cluster", get("shop", "/a"), stream.NoCluster, []string{`"gone"`, "route r", "virtual host shop", "router main"}},
		{"long path", get("shop", long), stream.NoRoute, nil},
		{"long host", get(long, long), stream.NoRoute, nil},
		{"long method", &stream.Request{Method: long, Authority: "shop"}, stream.NoRoute, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, err := table.Handle(t.Context(), c.req)
			text := wantKind(t, err, c.kind)
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("error %q does not name %s", text, want)
				}
			}
			if len(text) > 400 || resp != nil {
				t.Errorf("error of %d bytes, response %v", len(text), resp)
			}
		})
	}
}

func TestG13RouteTimeout(t *testing.T) {
	start := time.Now().Add(-time.Second)
	for _, c := range []struct {
		name           string
		route, request time.Duration
		before         time.Duration // a deadline that is there already
		want           time.Duration // from start
	}{
		{"default", 0, 0, 0, config.DefaultRouteTimeout},
		{"route", 5 * time.Second, 0, 0, 5 * time.Second},
		{"request is shorter", 5 * time.Second, 2 * time.Second, 0, 2 * time.Second},
		{"request is longer", 5 * time.Second, time.Hour, 0, 5 * time.Second},
		{"request is longer than the default", 0, time.Hour, 0, time.Hour},
		{"request against the default", 0, time.Second, 0, time.Second},
		{"earlier deadline stays", 5 * time.Second, 0, time.Second, time.Second},
		{"later deadline moves", 5 * time.Second, 0, time.Hour, 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			var e echo
			table, _, err := New(routes(config.Route{Route: &config.RouteAction{
				ClusterName: "c", Timeout: c.route, UpstreamProtocol: "Http2",
			}}), Options{Backends: &e}, "routers[0]")
			if err != nil {
				t.Fatal(err)
			}
			req := get("", "/")
			req.Info.Start, req.Timeout, req.UpstreamProtocol = start, c.request, "Http1"
			if c.before > 0 {
				req.Deadline = start.Add(c.before)
			}
			if _, err := table.Handle(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			got := e.seen[0]
			if got.Deadline.Sub(start) != c.want || got.UpstreamProtocol != "Http2" {
				t.Errorf("the cluster saw %v, protocol %s, want %v, Http2", got.Deadline.Sub(start), got.UpstreamProtocol, c.want)
			}
		})
	}
}

func TestG13WithoutStartAndProtocol(t *testing.T) {
	req := get("", "/")
	req.UpstreamProtocol = "Http1"
	before := time.Now()
	if _, err := compile(t, routes(config.Route{Route: to("c")})).Handle(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if d := req.Deadline.Sub(before) - config.DefaultRouteTimeout; d < 0 || d > time.Minute {
		t.Errorf("deadline is %v off", d)
	}
	if req.UpstreamProtocol != "Http1" {
		t.Errorf("protocol %s, want the one that was set", req.UpstreamProtocol)
	}
}

func TestG19DirectResponse(t *testing.T) {
	for _, c := range []struct {
		method string
		status int
		body   string
		length int64
		want   string // what can be read
		typed  bool
	}{
		{"GET", 200, "hello", 5, "hello", true},
		{"POST", 503, "later", 5, "later", true},
		{"HEAD", 200, "hello", 5, "", true},
		{"GET", 404, "", 0, "", false},
		{"GET", 204, "hello", 0, "", false},
		{"GET", 205, "hello", 0, "", false},
		{"GET", 304, "hello", 5, "", false},
		{"HEAD", 204, "hello", 0, "", false},
	} {
		t.Run(fmt.Sprint(c.method, " ", c.status), func(t *testing.T) {
			table := compile(t, routes(config.Route{Name: "d", DirectResponse: &config.DirectResponse{Status: c.status, Body: c.body}}))
			for range 2 { // the second answer is as whole as the first
				req := get("", "/")
				req.Method = c.method
				resp, err := table.Handle(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				got := ""
				if resp.Body != nil {
					if !stream.BodyReady(resp.Body) {
						t.Error("the body is not ready")
					}
					b, err := io.ReadAll(resp.Body)
					if err != nil {
						t.Fatal(err)
					}
					got = string(b)
				}
				if err := resp.Close(); err != nil {
					t.Error(err)
				}
				if resp.Status != c.status || resp.ContentLength != c.length || got != c.want || (c.want == "") != (resp.Body == nil) {
					t.Errorf("status %d, length %d, body %q", resp.Status, resp.ContentLength, got)
				}
				if typed := resp.Header.Get("content-type") != ""; typed != c.typed {
					t.Errorf("content type %q", resp.Header.Get("content-type"))
				}
				if req.Info.Route != "d" || req.Info.Cluster != "" || !req.Deadline.IsZero() {
					t.Errorf("info %+v", req.Info)
				}
			}
		})
	}
}

func TestG19DirectResponseOneWay(t *testing.T) {
	req := get("", "/")
	req.OneWay = true
	table := compile(t, routes(config.Route{DirectResponse: &config.DirectResponse{Status: 200, Body: "x"}}))
	if resp, err := table.Handle(t.Context(), req); resp != stream.NoResponse || err != nil {
		t.Errorf("%v, %v, want NoResponse", resp, err)
	}
}

// still is a Backends that does nothing.
type still struct{}

var stillHandler stream.Handler = stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) {
	return stream.NoResponse, nil
})

func (still) Cluster(string) (stream.Handler, bool) { return stillHandler, true }
