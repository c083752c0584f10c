package router

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// naive is what a route's conditions mean, written down once more, without any
// of the package's code.
func naive(m config.Match, req *stream.Request) bool {
	finds := func(expr, s string) bool { return regexp.MustCompile(expr).MatchString(s) }
	if !strings.HasPrefix(req.Path, m.Prefix) || m.Path != "" && !strings.EqualFold(req.Path, m.Path) ||
		m.Regex != "" && !finds(m.Regex, req.Path) {
		return false
	}
	for _, h := range m.Headers {
		var values []string
		switch strings.ToLower(h.Name) {
		case "method":
			values = []string{req.Method}
		case "host":
			if req.Authority != "" {
				values = []string{req.Authority}
			}
		default:
			for name, value := range req.Header.All() {
				if strings.EqualFold(name, h.Name) {
					values = append(values, value)
				}
			}
		}
		switch {
		case len(values) == 0:
			return false
		case h.Value == ".*":
		case h.Regex && !finds(h.Value, values[0]), !h.Regex && h.Value != values[0]:
			return false
		}
	}
	for _, q := range m.QueryParameters {
		found := false
		for item := range strings.SplitSeq(req.Query, "&") {
			name, value, _ := strings.Cut(item, "=")
			if unescaped(name) != q.Name || item == "" {
				continue
			}
			if value = unescaped(value); q.Value != ".*" && (q.Regex && !finds(q.Value, value) || !q.Regex && q.Value != value) {
				return false
			}
			found = true
			break
		}
		if !found {
			return false
		}
	}
	for _, e := range m.DSLExpressions {
		if e.Expression != `request.method == "`+req.Method+`"` {
			return false
		}
	}
	return naiveVariables(m.Variables, req)
}

// naiveVariables goes through the conditions as MOSN does.
func naiveVariables(list []config.VariableMatch, req *stream.Request) bool {
	result, last := true, "and"
	for _, v := range list {
		value, ok := req.Vars.Get(v.Name)
		is := ok && (v.Value == "" || v.Value == value) && (v.Regex == "" || regexp.MustCompile(v.Regex).MatchString(value))
		if result = is && (result || last == "or"); result && v.Model == "or" {
			return true
		}
		last = v.Model
	}
	return result
}

func unescaped(s string) string {
	if d, err := url.QueryUnescape(s); err == nil {
		return d
	}
	return s
}

// chance makes tables and requests from few words, so that they often meet.
type chance struct{ *rand.Rand }

func (c chance) of(words ...string) string { return words[c.IntN(len(words))] }

func (c chance) path() string {
	var b strings.Builder
	for range c.IntN(4) {
		b.WriteString(c.of("/", "/a", "/A", "/ab", "/abc", "b", "/é"))
	}
	return b.String()
}

func (c chance) match() (m config.Match) {
	if c.IntN(3) == 0 {
		m.Prefix = c.path()
	}
	if c.IntN(4) == 0 {
		m.Path = c.path()
	}
	if c.IntN(8) == 0 {
		m.Regex = c.of("/a.*", "/|/ab", "(?i)/AB/?", ".*b")
	}
	for range c.IntN(3) {
		name := c.of("id", "ID", "service", "method", "Host", "x-very-long-name-"+strings.Repeat("x", 60))
		m.Headers = append(m.Headers, config.HeaderMatch{
			Name: name, Value: c.of("1", "2", "GET", "shop", ".*", "", "[12]"), Regex: c.IntN(4) == 0,
		})
	}
	for range max(0, c.IntN(5)-2) {
		m.QueryParameters = append(m.QueryParameters, config.HeaderMatch{
			Name: c.of("q", "r", "q r"), Value: c.of("1", "2", "", "x y", ".*", "^[12]"), Regex: c.IntN(4) == 0,
		})
	}
	for range max(0, c.IntN(7)-4) {
		v := config.VariableMatch{Name: c.of("v", "w"), Value: c.of("1", "2", ""), Model: c.of("and", "and", "or")}
		if v.Value == "" || c.IntN(4) == 0 {
			v.Regex = c.of("1", "[12]", "^$")
		}
		m.Variables = append(m.Variables, v)
	}
	if n := len(m.Variables); n > 0 {
		m.Variables[n-1].Model = "and" // for an "or" there has nothing to join
	}
	if c.IntN(10) == 0 {
		m.DSLExpressions = []config.DSLExpression{{Expression: c.of(`request.method == "GET"`, `request.method == "POST"`)}}
	}
	return m
}

func (c chance) request() *stream.Request {
	req := &stream.Request{Method: c.of("GET", "POST"), Authority: c.of("", "shop", "pub"), Path: c.path()}
	for range c.IntN(4) {
		name := c.of("id", "Id", "SERVICE", "x", "x-very-long-name-"+strings.Repeat("X", 60))
		req.Header.Add(name, c.of("1", "2", "12", ""))
	}
	var items []string
	for range c.IntN(5) {
		items = append(items, c.of("q", "r", "%71", "q+r", "q%20r", "")+c.of("", "=", "=1", "=2", "=%31", "=x+y", "=x%20y"))
	}
	if len(items) > 0 {
		req.Query, req.HasQuery = strings.Join(items, "&"), true
	}
	for range c.IntN(3) {
		req.Vars.Set(c.of("v", "w"), c.of("1", "2", "12", ""))
	}
	return req
}

// The index takes the same route as looking at one route after the other does.
func TestIndexAgreesWithTheList(t *testing.T) {
	taken := make(map[bool]int)
	for seed := range uint64(400) {
		c := chance{rand.New(rand.NewPCG(seed, 1))}
		cfg := routes()
		list := &cfg.VirtualHosts[0].Routes
		for range c.IntN(40) {
			*list = append(*list, config.Route{Match: c.match(), Route: to("c")})
		}
		table := compile(t, cfg)
		for range 200 {
			req := c.request()
			want := slices.IndexFunc(*list, func(r config.Route) bool { return naive(r.Match, req) })
			got := -1
			if r := table.domains.all.routes.match(req); r != nil {
				got = slices.Index(table.domains.all.routes.routes, r)
			}
			if got != want {
				t.Fatalf("seed %d: route %d was taken, want %d, for %+v among %+v", seed, got, want, req, *list)
			}
			if seed%4 == 0 { // and those behind it
				for n := want + 1; want >= 0 && n <= len(*list); n++ {
					behind := slices.IndexFunc((*list)[n:], func(r config.Route) bool { return naive(r.Match, req) })
					if behind += n; behind < n {
						behind = len(*list)
					}
					if got := table.domains.all.routes.next(n, req); got != behind {
						t.Fatalf("seed %d: from %d on, route %d was found, want %d, for %+v among %+v", seed, n, got, behind, req, *list)
					}
				}
			}
			taken[want >= 0]++
		}
	}
	if taken[true] < 10_000 || taken[false] < 5_000 {
		t.Errorf("%d requests were taken and %d not: the test is one-sided", taken[true], taken[false])
	}
}

// A name that has no number any more is found all the same.
func TestIndexManyNames(t *testing.T) {
	var list []config.Route
	for i := range 4 * maxNames {
		name := fmt.Sprintf("n%d", i/2)
		m := config.Match{Headers: []config.HeaderMatch{{Name: name, Value: fmt.Sprint(i)}}}
		if i%3 == 0 {
			m = config.Match{QueryParameters: []config.HeaderMatch{{Name: name, Value: fmt.Sprint(i)}}}
		}
		list = append(list, config.Route{Match: m, Route: to("c")})
	}
	table := compile(t, routes(list...))
	for i := range list {
		req := get("", "/", fmt.Sprintf("n%d=%d", i/2, i))
		if i%3 == 0 {
			req = get("", "/")
			req.Query, req.HasQuery = fmt.Sprintf("n%d=%d", i/2, i), true
		}
		if _, err := table.Handle(t.Context(), req); err != nil || req.Info.Route != fmt.Sprintf("routers[%d]", i) {
			t.Errorf("request %d went to %s, %v", i, req.Info.Route, err)
		}
	}
}

// A request that repeats one name as often as it can does not have each route
// looked at as often.
func TestIndexHostileRepetition(t *testing.T) {
	const times = 16_000
	query := config.Match{QueryParameters: []config.HeaderMatch{{Name: "a", Value: "1"}, {Name: "b", Value: "1"}}}
	header := config.Match{Headers: []config.HeaderMatch{{Name: "a", Value: "1"}, {Name: "b", Value: "1"}}}
	table := compile(t, routes(config.Route{Match: query, Route: to("c")}, config.Route{Match: header, Route: to("c")}))
	req := get("", "/")
	req.Query, req.HasQuery = strings.Repeat("a=1&", times), true
	for range times {
		req.Header.Add("a", "1")
	}
	best := time.Hour
	for range 20 { // the best counts: a machine may be busy
		begin := time.Now()
		_, err := table.Handle(t.Context(), req)
		wantKind(t, err, stream.NoRoute)
		if best = min(best, time.Since(begin)); best <= 500*time.Millisecond {
			return
		}
	}
	t.Errorf("it took %v", best)
}

// Every route is filed once, and under what is shared least.
func TestIndexFilesUnderWhatIsRare(t *testing.T) {
	var list []config.Route
	for i := range 100 {
		list = append(list, config.Route{Route: to("c"), Match: config.Match{
			Prefix: "/", Headers: []config.HeaderMatch{{Name: "v", Value: "1"}, {Name: "id", Value: fmt.Sprint(i)}},
		}})
	}
	x := compile(t, routes(list...)).domains.all.routes
	if n := x.fields.get("id"); n == nil || len(n.values) != 100 || x.fields.get("v") != nil || len(x.prefixes.children) != 0 || len(x.rest) != 0 {
		t.Errorf("%+v: want 100 routes filed under their id", x)
	}
}

// scales are the kinds of tables whose size must not matter.
var scales = []struct {
	name  string
	match func(i int) config.Match
	find  func(i int) *stream.Request
}{
	{
		"path",
		func(i int) config.Match { return config.Match{Path: fmt.Sprintf("/api/v1/Orders/%d", i)} },
		func(i int) *stream.Request { return browser(fmt.Sprintf("/api/v1/orders/%d", i)) },
	},
	{
		"prefix",
		func(i int) config.Match { return config.Match{Prefix: fmt.Sprintf("/svc-%d/", i)} },
		func(i int) *stream.Request { return browser(fmt.Sprintf("/svc-%d/orders/7", i)) },
	},
	{
		"id",
		func(i int) config.Match {
			return config.Match{Headers: []config.HeaderMatch{{Name: "id", Value: fmt.Sprintf("Service%d:1.0", i)}}}
		},
		func(i int) *stream.Request {
			req := browser("/hello")
			req.Header.Add("id", fmt.Sprintf("Service%d:1.0", i))
			return req
		},
	},
	{
		"query",
		func(i int) config.Match {
			return config.Match{Prefix: "/", QueryParameters: []config.HeaderMatch{{Name: "user", Value: fmt.Sprint(i)}}}
		},
		func(i int) *stream.Request {
			req := browser("/hello")
			req.Query, req.HasQuery = fmt.Sprintf("lang=en&user=%d&q=1", i), true
			return req
		},
	},
	{
		"variable",
		func(i int) config.Match {
			return config.Match{Variables: []config.VariableMatch{{Name: "tenant", Value: fmt.Sprint(i)}}}
		},
		func(i int) *stream.Request {
			req := browser("/hello")
			req.Vars.Set("tenant", fmt.Sprint(i))
			return req
		},
	},
	{
		"mix",
		func(i int) config.Match {
			switch i % 4 {
			case 0:
				return config.Match{Path: fmt.Sprintf("/api/v1/Orders/%d", i)}
			case 1:
				return config.Match{Prefix: fmt.Sprintf("/svc-%d/", i), Regex: `\.html$`}
			case 2:
				return config.Match{Prefix: "/", Headers: []config.HeaderMatch{{Name: "id", Value: fmt.Sprint(i)}}}
			}
			return config.Match{QueryParameters: []config.HeaderMatch{{Name: "user", Value: fmt.Sprint(i)}}}
		},
		func(i int) *stream.Request {
			req := browser("/hello")
			switch i % 4 {
			case 0:
				req.Path = fmt.Sprintf("/api/v1/orders/%d", i)
			case 1:
				req.Path = fmt.Sprintf("/svc-%d/index.html", i)
			case 2:
				req.Header.Add("id", fmt.Sprint(i))
			default:
				req.Query, req.HasQuery = fmt.Sprintf("user=%d", i), true
			}
			return req
		},
	},
	{
		"prefix+id",
		func(i int) config.Match {
			return config.Match{Prefix: "/", Headers: []config.HeaderMatch{{Name: "id", Value: fmt.Sprintf("Service%d:1.0", i)}}}
		},
		func(i int) *stream.Request {
			req := browser("/hello")
			req.Header.Add("id", fmt.Sprintf("Service%d:1.0", i))
			return req
		},
	},
}

// browser is a request with the usual fields.
func browser(path string) *stream.Request {
	return get("shop.example", path, "User-Agent=test/1.0", "Accept=*/*", "Accept-Encoding=gzip", "Accept-Language=en",
		"Content-Type=application/json", "X-Request-Id=4f2a", "Traceparent=00-1-2-01", "X-Forwarded-For=10.0.0.1")
}

func scaled(t testing.TB, n int, match func(int) config.Match) *Table {
	list := make([]config.Route, n)
	for i := range list {
		list[i] = config.Route{Match: match(i), Route: to("c")}
	}
	cfg := routes(list...)
	cfg.VirtualHosts = append(cfg.VirtualHosts,
		hosts("shop.example.com:8080 *.example.com", "[::1]:80").VirtualHosts...)
	return compile(t, cfg)
}

func TestMatchAllocatesNothing(t *testing.T) {
	for _, s := range scales {
		table := scaled(t, 100, s.match)
		req := s.find(99)
		authorities := []string{"shop.example", "A.Shop.Example.Com:8080", "[::1]:443"}
		if n := testing.AllocsPerRun(100, func() {
			for _, a := range authorities {
				if r := table.domains.find(a); r == nil {
					t.Fatal("no virtual host")
				}
			}
			if r := table.domains.find(req.Authority).routes.match(req); r == nil || r.name != "routers[99]" {
				t.Fatal("not found")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations per match, want none", s.name, n)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, s := range scales {
		for _, n := range []int{10, 1_000, 100_000} {
			table := scaled(b, n, s.match)
			reqs := make([]*stream.Request, 64)
			for i := range reqs {
				reqs[i] = s.find(rand.IntN(n))
			}
			b.Run(fmt.Sprintf("%s/%d", s.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					req := reqs[i%len(reqs)]
					if table.domains.find(req.Authority).routes.match(req) == nil {
						b.Fatal("not found")
					}
				}
			})
		}
	}
}

// BenchmarkMatchRegexOnly is for information: what can only be found by trying
// one expression after the other costs as much.
func BenchmarkMatchRegexOnly(b *testing.B) {
	for _, n := range []int{10, 1_000} {
		table := scaled(b, n, func(i int) config.Match { return config.Match{Regex: fmt.Sprintf("^/svc-%d/.*", i)} })
		req := browser(fmt.Sprintf("/svc-%d/x", n/2))
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if table.domains.find(req.Authority).routes.match(req) == nil {
					b.Fatal("not found")
				}
			}
		})
	}
}

// BenchmarkMatchHosts has one virtual host per name, each with a few routes.
func BenchmarkMatchHosts(b *testing.B) {
	for _, n := range []int{10, 1_000, 100_000} {
		cfg := config.Router{Name: "main"}
		for i := range n {
			vh := routes(config.Route{Match: config.Match{Path: "/health"}, Route: to("c")}, config.Route{Match: config.Match{Prefix: "/"}, Route: to("c")}).VirtualHosts[0]
			vh.Domains = []string{fmt.Sprintf("host-%d.example", i)}
			cfg.VirtualHosts = append(cfg.VirtualHosts, vh)
		}
		table := compile(b, cfg)
		reqs := make([]*stream.Request, 64)
		for i := range reqs {
			reqs[i] = browser("/x")
			reqs[i].Authority = fmt.Sprintf("host-%d.example", rand.IntN(n))
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				req := reqs[i%len(reqs)]
				if table.domains.find(req.Authority).routes.match(req) == nil {
					b.Fatal("not found")
				}
			}
		})
	}
}

func BenchmarkVirtualHost(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		var lists []string
		for i := range n {
			lists = append(lists, fmt.Sprintf("host-%d.example", i))
		}
		table := compile(b, hosts(append(lists, "*.example", "*")...))
		for _, a := range []string{"host-7.example", "Host-7.Example", "other.example", "other"} {
			b.Run(fmt.Sprintf("%d/%s", n, a), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if table.domains.find(a) == nil {
						b.Fatal("not found")
					}
				}
			})
		}
	}
}

func BenchmarkHandle(b *testing.B) {
	table := compile(b, routes(config.Route{Match: config.Match{Prefix: "/"}, Route: to("c")},
		config.Route{DirectResponse: &config.DirectResponse{Status: 200, Body: "hello"}}))
	table.backends = still{}
	for _, c := range []struct{ name, path string }{{"route", "/x"}, {"direct", "*"}} {
		b.Run(c.name, func(b *testing.B) {
			req := browser(c.path)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := table.Handle(b.Context(), req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHandleFull has a route with all that a route can say but a rewrite.
func BenchmarkHandleFull(b *testing.B) {
	table, req := fullTable(b)
	table.backends = still{}
	clean := req.Header.Len()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := table.Handle(b.Context(), req); err != nil {
			b.Fatal(err)
		}
		req.Header.DelFunc(func(f stream.Field) bool { return f.Name == "x-from" })
	}
	if req.Header.Len() > clean+2 {
		b.Fatalf("the header grows: %q", fields(&req.Header))
	}
}

func BenchmarkNew(b *testing.B) {
	for _, s := range scales {
		list := make([]config.Route, 100_000)
		for i := range list {
			list[i] = config.Route{Match: s.match(i), Route: to("c")}
		}
		b.Run(s.name+"/100000", func(b *testing.B) {
			for b.Loop() {
				compile(b, routes(list...))
			}
		})
	}
}
