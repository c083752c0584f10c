package traffic

import (
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/router"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Tests of the choice of a route: rows G1 to G12, G21 and G24.

// TestG1NamedTablesOnOpenConnections: listeners refer to tables by name, and a
// table that takes the place of another acts on connections that are open.
func TestG1NamedTablesOnOpenConnections(t *testing.T) {
	const listeners = `
listeners:
  - {name: in, bind_port: false, filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: Http1, router_config_name: first}}]}]}
  - {name: other, bind_port: false, filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: Http1, router_config_name: second}}]}]}
`
	const table = `
  - router_config_name: %s
    virtual_hosts: [{domains: ["*"], routers: [{direct_response: {status: 200, body: %s}}]}]
`
	second := fmt.Sprintf(table, "second", "second")
	r := start(t, listeners+"routers:"+fmt.Sprintf(table, "first", "old")+second)
	r.want("200 old", "/")
	if a := ask(r.caller("other"), "GET", "/", ""); a.String() != "200 second" {
		t.Errorf("the other table: %s", a)
	}
	r.apply(listeners + "routers:" + fmt.Sprintf(table, "first", "new") + second)
	r.want("200 new", "/")
	if n := r.Status(t, "in").Accepted; n != 1 {
		t.Errorf("%d connections: the table was not changed under an open one", n)
	}
}

// TestG2Domains: the most definite domain takes the request.
func TestG2Domains(t *testing.T) {
	domains := []string{
		"shop.example", "shop.example:8080", "any.example:*", "*.shop.example", "*.eu.shop.example", "*-bar.foo.example", "*.tcp.example:9000", "[2001:db8::1]:80", "*",
	}
	var b strings.Builder
	b.WriteString("routers:\n  - router_config_name: main\n    virtual_hosts:\n")
	for _, d := range domains {
		fmt.Fprintf(&b, "      - {name: %q, domains: [%q], routers: [{direct_response: {status: 200, body: %q}}]}\n", d, d, d)
	}
	r := start(t, b.String())
	for host, want := range map[string]string{
		"shop.example":         "shop.example",
		"SHOP.Example":         "shop.example",
		"shop.example:8080":    "shop.example:8080",
		"shop.example:8081":    "*",
		"any.example:1":        "any.example:*",
		"any.example":          "any.example:*",
		"a.shop.example":       "*.shop.example",
		"a.b.shop.example":     "*.shop.example",
		"a.eu.shop.example":    "*.eu.shop.example",
		".shop.example":        "*",
		"x-bar.foo.example":    "*-bar.foo.example",
		"x.tcp.example:9000":   "*.tcp.example:9000",
		"x.tcp.example":        "*",
		"[2001:DB8:0::1]:80":   "[2001:db8::1]:80",
		"unknown.example":      "*",
		"shop.example.evil.co": "*",
	} {
		got := r.Raw(t, "in", "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
		if _, body, _ := strings.Cut(got, "\r\n\r\n"); body != want {
			t.Errorf("host %s: %q, want %s", host, got, want)
		}
	}
}

// TestG2DomainsTwice: a domain belongs to one virtual host, and so does "*".
func TestG2DomainsTwice(t *testing.T) {
	for _, d := range []string{"shop.example", "*.shop.example", "*"} {
		_, _, err := parse(fmt.Sprintf(`
routers:
  - router_config_name: main
    virtual_hosts:
      - {name: a, domains: [%q], routers: [{direct_response: {status: 200}}]}
      - {name: b, domains: [%q], routers: [{direct_response: {status: 200}}]}
`, d, d), builtin(t))
		if err == nil || !strings.Contains(err.Error(), "routers[0].virtual_hosts[1].domains[0]") || !strings.Contains(err.Error(), "taken by virtual host a") {
			t.Errorf("%s twice: %v", d, err)
		}
	}
}

// routes is a table of direct answers: each route answers with its place.
func routes(list ...string) string {
	var b strings.Builder
	b.WriteString("routers:\n  - router_config_name: main\n    virtual_hosts:\n      - domains: [\"*\"]\n        routers:\n")
	for i, match := range list {
		fmt.Fprintf(&b, "          - {match: %s, direct_response: {status: 200, body: \"%d\"}}\n", match, i)
	}
	return b.String()
}

// matchCase is a request and the place of the route that takes it; -1 is none.
type matchCase struct {
	want   int
	url    string
	fields []string
}

func (r *rig) matches(cases ...matchCase) {
	r.t.Helper()
	for _, c := range cases {
		want := fmt.Sprintf("200 %d", c.want)
		if c.want < 0 {
			want = "404 no route matches the request"
		}
		a := r.get(c.url, c.fields...)
		if got := a.String(); got != want && !(c.want < 0 && a.status == 404) {
			r.t.Errorf("GET %s %q: %s, want %s", c.url, c.fields, got, want)
		}
	}
}

// TestG3FirstOfAllConditions: the first route in the list whose conditions all
// hold is taken, of whatever kind they are.
func TestG3FirstOfAllConditions(t *testing.T) {
	r := start(t, routes(
		`{prefix: /a, headers: [{name: x, value: "1"}], query_parameters: [{name: q, value: "1"}]}`,
		`{prefix: /a, path: /a/b}`,
		`{regex: "^/a/.$"}`,
		`{prefix: /a, headers: [{name: x, value: "1"}]}`,
		`{prefix: /}`,
		`{path: /never}`,
	), "routers[1].match: has more than one of prefix, path and regex")
	r.matches(
		matchCase{0, "/a/b?q=1", []string{"x: 1"}},
		matchCase{1, "/a/b?q=2", []string{"x: 1"}},
		matchCase{1, "/a/b?q=1", nil},
		matchCase{2, "/a/c?q=1", nil},
		matchCase{3, "/a/cc?q=0", []string{"x: 1"}},
		matchCase{4, "/a/cc?q=0", []string{"x: 2"}},
		matchCase{4, "/never", nil},
	)
}

// TestG4PrefixPathRegex: a path is compared without regard to case, a prefix
// with; the query is no part of either.
func TestG4PrefixPathRegex(t *testing.T) {
	r := start(t, routes(
		`{path: /index.html}`,
		`{prefix: /api/}`,
		`{regex: "^/users/[0-9]+$"}`,
	))
	r.matches(
		matchCase{0, "/index.html", nil},
		matchCase{0, "/Index.HTML", nil},
		matchCase{0, "/index.html?a=/api/", nil},
		matchCase{-1, "/index.html/", nil},
		matchCase{1, "/api/x", nil},
		matchCase{-1, "/API/x", nil},
		matchCase{-1, "/api", nil},
		matchCase{2, "/users/17", nil},
		matchCase{2, "/users/17?x", nil},
		matchCase{-1, "/users/17/x", nil},
		matchCase{-1, "/?p=/users/17", nil},
	)
}

// TestG5Headers: every header condition must hold; ".*" is any value.
func TestG5Headers(t *testing.T) {
	r := start(t, routes(
		`{headers: [{name: a, value: "1"}, {name: b, value: "^x+$", regex: true}]}`,
		`{headers: [{name: a, value: "1"}]}`,
		`{headers: [{name: service, value: ".*"}]}`,
		`{headers: [{name: method, value: POST}]}`,
		`{headers: [{name: b, value: "[0-9]", regex: true}]}`,
	))
	r.matches(
		matchCase{0, "/", []string{"a: 1", "b: xx"}},
		matchCase{1, "/", []string{"a: 1", "b: xy"}},
		matchCase{1, "/", []string{"a: 1"}},
		matchCase{2, "/", []string{"a: 2", "service: anything at all"}},
		matchCase{4, "/", []string{"a: 2", "b: v3.x"}},
		matchCase{-1, "/", []string{"a: 2", "b: xx"}},
		matchCase{-1, "/", nil},
	)
	if a := ask(r.client, "POST", "/", "body"); a.String() != "200 3" {
		t.Errorf("by method: %s", a)
	}
}

// TestG6QueryParameters: parameters are compared decoded, all of them.
func TestG6QueryParameters(t *testing.T) {
	r := start(t, routes(
		`{query_parameters: [{name: a, value: "1"}, {name: b, value: "^[0-9]+$", regex: true}]}`,
		`{query_parameters: [{name: a, value: "1"}]}`,
		`{query_parameters: [{name: name, value: "a b"}]}`,
		`{variables: [{name: Http1_request_arg_v, value: "2"}]}`,
	))
	r.matches(
		matchCase{0, "/?b=20&a=1", nil},
		matchCase{1, "/x?a=1&b=z", nil},
		matchCase{1, "/?a=1&a=2", nil},
		matchCase{-1, "/?a=2&a=1", nil},
		matchCase{2, "/?name=a%20b", nil},
		matchCase{2, "/?name=a+b", nil},
		matchCase{3, "/?v=2", nil},
		matchCase{-1, "/?A=1", nil},
		matchCase{-1, "/", nil},
	)
}

// TestG7Variables: variables that the request has, or that a filter notes,
// steer; "model" says how a condition is joined with the next.
func TestG7Variables(t *testing.T) {
	r := start(t, `
stream_filters: [{type: note, config: {tenant: x-tenant, stage: x-stage}}]
`+routes(
		`{variables: [{name: tenant, value: gold, model: and}, {name: stage, value: beta}]}`,
		`{variables: [{name: tenant, value: silver, model: or}, {name: stage, regex: "^ca"}]}`,
		`{variables: [{name: x-mosn-method, value: DELETE}]}`,
	))
	r.matches(
		matchCase{0, "/", []string{"x-tenant: gold", "x-stage: beta"}},
		matchCase{-1, "/", []string{"x-tenant: gold"}},
		matchCase{1, "/", []string{"x-tenant: silver"}},
		matchCase{1, "/", []string{"x-tenant: gold", "x-stage: canary"}},
		matchCase{-1, "/", []string{"x-tenant: bronze", "x-stage: other"}},
		matchCase{-1, "/", nil},
	)
	if a := ask(r.client, "DELETE", "/", ""); a.String() != "200 2" {
		t.Errorf("by a variable of the request: %s", a)
	}
}

// TestG8Expressions: CEL conditions must all be true; what cannot be said of a
// request is not true.
func TestG8Expressions(t *testing.T) {
	r := start(t, `
stream_filters: [{type: note, config: {tenant: x-tenant}}]
`+routes(
		`{dsl_expressions: [{expression: 'request.headers["x-user"].startsWith("a")'}, {expression: 'request.method == "GET"'}]}`,
		`{prefix: /cel, dsl_expressions: [{expression: 'request.query_params["v"] in ["1", "2"] || vars["tenant"] == "gold"'}]}`,
	))
	r.matches(
		matchCase{0, "/", []string{"x-user: anna"}},
		matchCase{-1, "/", []string{"x-user: bob"}},
		matchCase{1, "/cel?v=2", nil},
		matchCase{1, "/cel?v=3", []string{"x-tenant: gold"}},
		matchCase{-1, "/cel", []string{"x-tenant: silver"}},
		matchCase{-1, "/other?v=2", nil},
	)
	_, _, err := parse(routes(`{dsl_expressions: [{expression: 'request.method'}]}`), builtin(t))
	if err == nil || !strings.Contains(err.Error(), "dsl_expressions[0].expression") {
		t.Errorf("an expression that is no condition: %v", err)
	}
}

const abc = `
clusters:
  - {name: a, hosts: [{address: "10.0.0.1:80"}]}
  - {name: b, hosts: [{address: "10.0.0.2:80"}]}
  - {name: c, hosts: [{address: "10.0.0.3:80"}]}
`

// TestG9G10ChoiceOfCluster: the route names the cluster, or where to find its
// name; a cluster that the request names and nobody knows is a 404.
func TestG9G10ChoiceOfCluster(t *testing.T) {
	r := start(t, abc+`
stream_filters: [{type: note, config: {shard: x-shard}}]
routers:
  - router_config_name: main
    virtual_hosts:
      - domains: ["*"]
        routers:
          - {match: {prefix: /name}, route: {cluster_name: a}}
          - {match: {prefix: /header}, route: {cluster_header: x-cluster}}
          - {match: {prefix: /default}, route: {cluster_header: x-cluster, cluster_name: c}}
          - {match: {prefix: /variable}, route: {cluster_variable: shard}}
`)
	r.listed("a 10.0.0.1:80, b 10.0.0.2:80, c 10.0.0.3:80")
	r.want("200 a", "/name", "x-cluster: b")
	r.want("200 b", "/header", "x-cluster: b")
	r.want("200 b", "/default", "x-cluster: b")
	r.want("200 c", "/default")
	r.want("200 b", "/variable", "x-shard: b")
	for _, a := range []answer{r.get("/header", "x-cluster: nobody"), r.get("/header"), r.get("/variable", "x-shard: nobody"), r.get("/variable")} {
		if a.status != 404 {
			t.Errorf("a cluster that is not there: %s, want 404", a)
		}
	}
}

// TestG11WeightedClusters: shares are exact, not only about right, and a weight
// of 0 is nothing. (A draw by chance would hit 1400 of 2000 once in 50 times.)
func TestG11WeightedClusters(t *testing.T) {
	r := start(t, abc+`
routers:
  - router_config_name: main
    virtual_hosts:
      - domains: ["*"]
        routers:
          - route:
              weighted_clusters:
                - {cluster: {name: a, weight: 7}}
                - {cluster: {name: b, weight: 3}}
                - {cluster: {name: c, weight: 0}}
`)
	r.listed("a 10.0.0.1:80, b 10.0.0.2:80, c 10.0.0.3:80")
	if got := r.shares(2000, "/"); got["200 a"] != 1400 || got["200 b"] != 600 || len(got) != 2 {
		t.Errorf("shares %v, want 1400 and 600", got)
	}
	// Any ten requests in a row have their share, which no draw would give.
	if got := r.shares(10, "/"); got["200 a"] != 7 || got["200 b"] != 3 {
		t.Errorf("shares of ten requests %v, want 7 and 3", got)
	}
}

// versions is a cluster with hosts of two versions in two zones.
const versions = `
clusters:
  - name: pay
    lb_subset_config: {subset_selectors: [[version], [version, zone]]}
    hosts:
      - {address: "10.0.0.1:80", metadata: {filter_metadata: {mosn.lb: {version: v1, zone: east}}}}
      - {address: "10.0.0.2:80", metadata: {filter_metadata: {mosn.lb: {version: v2, zone: east}}}}
      - {address: "10.0.0.3:80", metadata: {filter_metadata: {mosn.lb: {version: v2, zone: west}}}}
`

// TestG12F10MetadataMatch: a route asks for labels of hosts; labels that a
// filter takes from the request are asked for as well, and count more.
func TestG12F10MetadataMatch(t *testing.T) {
	r := start(t, versions+`
stream_filters:
  - type: header_to_metadata
    config:
      request_rules:
        - {header: x-version, on_header_present: {key: version}, remove: true}
        - {header: x-west, on_header_present: {key: zone, value: west}}
routers:
  - router_config_name: main
    virtual_hosts:
      - domains: ["*"]
        routers:
          - match: {prefix: /stable}
            route: {cluster_name: pay, metadata_match: {filter_metadata: {mosn.lb: {version: v1}}}}
          - match: {prefix: /split}
            route:
              weighted_clusters:
                - {cluster: {name: pay, weight: 9, metadata_match: {filter_metadata: {mosn.lb: {version: v1}}}}}
                - {cluster: {name: pay, weight: 1, metadata_match: {filter_metadata: {mosn.lb: {version: v2, zone: west}}}}}
          - route: {cluster_name: pay}
`)
	r.listed("v1 10.0.0.1:80, v2east 10.0.0.2:80, v2west 10.0.0.3:80")
	check := func(want map[string]int, n int, url string, fields ...string) {
		t.Helper()
		if got := r.shares(n, url, fields...); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("GET %s %q: %v, want %v", url, fields, got, want)
		}
	}
	check(map[string]int{"200 v1": 6}, 6, "/stable")
	check(map[string]int{"200 v2east": 3, "200 v2west": 3}, 6, "/", "x-version: v2")
	check(map[string]int{"200 v2east": 3, "200 v2west": 3}, 6, "/stable", "x-version: v2")
	check(map[string]int{"200 v2west": 6}, 6, "/stable", "x-version: v2", "x-west: yes")
	check(map[string]int{"200 v1": 18, "200 v2west": 2}, 20, "/split")
	check(map[string]int{"200 v1": 2, "200 v2east": 2, "200 v2west": 2}, 6, "/")
	if s := r.hosts["v2west"].requests(); s[0].header.Get("x-version") != "" {
		t.Errorf("the field was not removed: %v", s[0].header)
	}
}

// chooserFile is a listener whose routes are chosen in a way by this name, and four
// routes that take every request.
func chooserFile(name string) string {
	return `
listeners:
  - {name: in, bind_port: false, filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: Http1, router_config_name: main, router_handler_name: ` + name + `}}]}]}
clusters:
  - {name: none}
  - {name: sick, health_check: {interval: 1s, timeout: 1s, initial_delay: 10s}, hosts: [{address: "10.0.0.1:80"}]}
  - {name: well, hosts: [{address: "10.0.0.2:80"}]}
routers:
  - router_config_name: main
    virtual_hosts:
      - domains: ["*"]
        routers:
          - {name: weighted, match: {prefix: /, headers: [{name: x-weighted, value: "yes"}]}, route: {weighted_clusters: [{cluster: {name: none, weight: 1}}, {cluster: {name: sick, weight: 1}}]}}
          - {name: first, match: {prefix: /}, route: {cluster_name: none}}
          - {name: asked, match: {regex: "^/a"}, route: {cluster_header: x-cluster}}
          - {name: second, match: {path: /a}, route: {cluster_name: sick}}
          - {name: third, match: {prefix: /a}, route: {cluster_name: well}}
`
}

// TestG21HandlerChain: where several routes take a request, the first need not be
// the one; who decides is configured by name, and may be code of one's own.
func TestG21HandlerChain(t *testing.T) {
	bubble := func(name string, test func(t *testing.T)) {
		t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
	}
	bubble("usable", func(t *testing.T) {
		r := start(t, chooserFile("usable"), "the cluster has no hosts")
		r.listed("sick 10.0.0.1:80, well 10.0.0.2:80")
		r.want("200 sick", "/a")
		r.want("200 well", "/a", "x-cluster: well")
		r.want("200 sick", "/a", "x-cluster: none")
		if got := r.shares(4, "/a", "x-weighted: yes"); got["200 sick"] != 2 { // one of its clusters will do
			t.Errorf("%v", got)
		}
		r.hosts["sick"].kill()
		time.Sleep(time.Minute)
		r.want("200 well", "/a")
		r.want("200 well", "/a", "x-weighted: yes")
		if a := r.get("/b"); a.status != 503 { // the first, as no other is better
			t.Errorf("GET /b: %s", a)
		}
	})
	bubble("default", func(t *testing.T) {
		for _, name := range []string{"default", `""`} {
			r := start(t, chooserFile(name), "the cluster has no hosts")
			if a := r.get("/a"); a.status != 503 {
				t.Errorf("GET /a: %s", a)
			}
		}
	})
	bubble("of one's own", func(t *testing.T) {
		tables := builtin(t)
		var err error
		tables.Choosers, err = router.NewChoosers(router.Chooser{Name: "mine", Choose: func(req *stream.Request, routes iter.Seq[router.Candidate]) (router.Candidate, bool) {
			var names []string
			for c := range routes {
				names = append(names, fmt.Sprintf("%s%v", c.Name(), c.Clusters()))
				if c.Name() == req.Header.Get("x-route") {
					return c, true
				}
			}
			req.Header.Add("x-seen", strings.Join(names, " "))
			if want := "first[none] asked[] second[sick] third[well]"; req.Path == "/a" && strings.Join(names, " ") != want {
				t.Errorf("routes %v, want %s", names, want)
			}
			return router.Candidate{}, false
		}})
		must(t, err)
		// It is the default, too, as it comes first.
		for _, name := range []string{"mine", `""`} {
			r := begin(t, chooserFile(name), tables, "the cluster has no hosts")
			r.listed("sick 10.0.0.1:80, well 10.0.0.2:80")
			r.want("200 sick", "/a", "x-route: second")
			r.want("200 well", "/a", "x-route: third")
			if a := r.get("/a"); a.status != 404 {
				t.Errorf("no route: %s", a)
			}
			if a := r.get("/b", "x-route: third"); a.status != 404 { // which does not take it
				t.Errorf("no such route: %s", a)
			}
		}
	})
	_, _, err := parse(chooserFile("nobody"), builtin(t))
	if want := `config.router_handler_name: unknown way to choose a route "nobody" (known: default, usable)`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	if _, err := router.NewChoosers(router.Chooser{Name: "x"}, router.Chooser{Name: "x"}); err == nil {
		t.Error("a name can be listed twice")
	}
}

// TestG24UpstreamProtocol: a route says which protocol its hosts speak.
func TestG24UpstreamProtocol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, `
clusters:
  - {name: a, hosts: [{address: "10.0.0.1:80"}]}
  - {name: h2, hosts: [{address: "10.0.0.2:80"}]}
routers:
  - router_config_name: main
    virtual_hosts:
      - domains: ["*"]
        routers:
          - {match: {prefix: /h2}, route: {cluster_name: h2, upstream_protocol: Http2}}
          - route: {cluster_name: a}
`)
		r.listed("a 10.0.0.1:80")
		r.speak("10.0.0.2:80", "Http2", func(p proxytest.Protocol, req *stream.Request) *stream.Response {
			return p.Answer(200, strings.NewReader(req.Protocol+" "+req.Path), -1)
		})
		r.want("200 a", "/")
		r.want("200 Http2 /h2/x", "/h2/x")
	})
}
