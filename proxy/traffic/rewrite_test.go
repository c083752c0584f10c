package traffic

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Tests of what becomes of a request that a route has taken: rows G16 to G20.

// TestG16Rewrite: path and host that the host sees, and what the caller asked for.
func TestG16Rewrite(t *testing.T) {
	r := start(t, `
clusters: [{name: a, hosts: [{address: "10.0.0.1:80", hostname: pay.internal}]}]
routers:
  - router_config_name: main
    virtual_hosts:
      - domains: ["*"]
        routers:
          - {match: {prefix: /api/}, route: {cluster_name: a, prefix_rewrite: /v1/}}
          - {match: {path: /exact}, route: {cluster_name: a, prefix_rewrite: /whole}}
          - match: {prefix: /user}
            route: {cluster_name: a, regex_rewrite: {pattern: {regex: "^/user/([^/]+)/(.*)$"}, substitution: "/\\2/of/$1"}}
          - {match: {prefix: /host}, route: {cluster_name: a, host_rewrite: "other.example:81"}}
          - {match: {prefix: /auto}, route: {cluster_name: a, auto_host_rewrite: true}}
          - {match: {prefix: /from}, route: {cluster_name: a, auto_host_rewrite_header: x-host}}
          - {route: {cluster_name: a}}
`)
	r.listed("a 10.0.0.1:80")
	for _, c := range []struct {
		url, field, want, original string
	}{
		{"/api/x?q=/api/", "x-any: x", "GET test /v1/x?q=/api/", "/api/x"},
		{"/Exact?q", "x-any: x", "GET test /whole?q", "/Exact"},
		{"/user/ann/cart/1", "x-any: x", "GET test /cart/1/of/ann", "/user/ann/cart/1"},
		{"/user", "x-any: x", "GET test /user", ""},
		{"/host", "x-any: x", "GET other.example:81 /host", ""},
		{"/auto", "x-any: x", "GET pay.internal /auto", ""},
		{"/from", "x-host: third.example", "GET third.example /from", ""},
		{"/from", "x-other: x", "GET test /from", ""},
		{"/plain", "x-any: x", "GET test /plain", ""},
	} {
		r.want("200 a", c.url, c.field)
		s := r.hosts["a"].last(t)
		if s.String() != c.want || s.header.Get("x-mosn-original-path") != c.original {
			t.Errorf("GET %s: the host saw %s, %v, want %s and original path %q", c.url, s, s.header, c.want, c.original)
		}
	}
}

// TestG17HeaderChanges: fields are added and removed at the route, then at the
// virtual host, then at the router; values may hold variables.
func TestG17HeaderChanges(t *testing.T) {
	r := start(t, `
clusters: [{name: a, hosts: [{address: "10.0.0.1:80"}]}]
stream_filters: [{type: note, config: {tenant: x-tenant}}]
routers:
  - router_config_name: main
    request_headers_to_add: [{header: {key: x-level, value: router}}]
    request_headers_to_remove: [x-secret]
    response_headers_to_add: [{header: {key: x-seen, value: router}}]
    response_headers_to_remove: [x-router-out]
    virtual_hosts:
      - domains: ["*"]
        request_headers_to_add: [{header: {key: x-level, value: vhost}}]
        request_headers_to_remove: [x-vhost-out]
        response_headers_to_add: [{header: {key: x-seen, value: vhost}}]
        response_headers_to_remove: [server]
        routers:
          - match: {prefix: /}
            request_headers_to_add:
              - {header: {key: x-level, value: route}}
              - {header: {key: x-only, value: mine}, append: false}
              - {header: {key: x-who, value: "%tenant% of %x-mosn-path% at 100%%"}}
              - {header: {key: x-nothing, value: "%not_there%"}}
            request_headers_to_remove: [x-route-out]
            response_headers_to_add: [{header: {key: x-seen, value: "route by %upstream_host%"}}]
            response_headers_to_remove: [x-powered-by]
            route: {cluster_name: a}
`)
	r.listed("a 10.0.0.1:80")
	r.hosts["a"].answers(func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{"server", "x-powered-by", "x-router-out", "x-kept"} {
			w.Header().Set(name, "host")
		}
	})
	a := r.want("200", "/x", "x-secret: s", "x-vhost-out: v", "x-route-out: r", "x-only: theirs", "x-tenant: gold", "x-level: caller")
	got := r.hosts["a"].last(t).header
	for name, want := range map[string]string{
		"x-level": "caller,route,vhost,router", "x-only": "mine", "x-who": "gold of /x at 100%",
		"x-nothing": "", "x-secret": "", "x-vhost-out": "", "x-route-out": "",
	} {
		if v := strings.Join(got.Values(name), "|"); v != want {
			t.Errorf("request field %s: %q, want %q", name, v, want)
		}
	}
	for name, want := range map[string]string{
		"x-seen": "route by 10.0.0.1:80,vhost,router", "server": "", "x-powered-by": "", "x-router-out": "", "x-kept": "host",
	} {
		if v := strings.Join(a.header.Values(name), "|"); v != want {
			t.Errorf("response field %s: %q, want %q", name, v, want)
		}
	}
}

// TestG18Redirect: the caller is sent elsewhere; a default port goes with its scheme.
func TestG18Redirect(t *testing.T) {
	r := start(t, `
routers:
  - router_config_name: main
    virtual_hosts:
      - name: secure
        domains: [secure.example]
        require_tls: ALL
        routers: [{direct_response: {status: 200}}]
      - name: all
        domains: ["*"]
        routers:
          - {match: {prefix: /path}, redirect: {path_redirect: /new}}
          - {match: {prefix: /query}, redirect: {path_redirect: "/new?fixed=1", response_code: 302}}
          - {match: {prefix: /host}, redirect: {host_redirect: "other.example:81", response_code: 303}}
          - {match: {prefix: /tls}, redirect: {scheme_redirect: https, response_code: 308}}
          - {match: {prefix: /all}, redirect: {scheme_redirect: https, host_redirect: b.example, path_redirect: /c, response_code: 307}}
`)
	for _, c := range []struct {
		url, location string
		status        int
	}{
		{"http://a.example/path/x?q=1", "http://a.example/new?q=1", 301},
		{"http://a.example/query?q=1", "http://a.example/new?fixed=1", 302},
		{"http://a.example:8080/host/x", "http://other.example:81/host/x", 303},
		{"http://a.example:80/tls?q", "https://a.example/tls?q", 308},
		{"http://a.example:8080/tls", "https://a.example:8080/tls", 308},
		{"http://a.example/all?q=1", "https://b.example/c?q=1", 307},
		{"http://secure.example/x", "https://secure.example/x", 301},
	} {
		a := r.get(c.url)
		if got := a.header.Get("Location"); got != c.location || a.status != c.status {
			t.Errorf("GET %s: %d to %s, want %d to %s", c.url, a.status, got, c.status, c.location)
		}
	}
}

// TestG19DirectResponse: the answer is made here; no host is asked, and what
// it says is not tried again.
func TestG19DirectResponse(t *testing.T) {
	r := start(t, `
clusters: [{name: a, hosts: [{address: "10.0.0.1:80"}]}]
routers:
  - router_config_name: main
    response_headers_to_add: [{header: {key: x-by, value: router}}]
    virtual_hosts:
      - domains: ["*"]
        routers:
          - {match: {path: /health}, direct_response: {status: 200, body: "fine\n"}}
          - {match: {path: /teapot}, direct_response: {status: 503, body: no coffee}}
          - {route: {cluster_name: a, retry_policy: {retry_on: true}}}
`)
	r.listed("a 10.0.0.1:80")
	if a := r.want("200 fine", "/health"); a.body != "fine\n" || a.header.Get("x-by") != "router" {
		t.Errorf("%q %v", a.body, a.header)
	}
	r.want("503 no coffee", "/teapot")
	if n := r.hosts["a"].hits(); n != 0 {
		t.Errorf("the host saw %d requests", n)
	}
	for _, rec := range r.Records.Wait(t, 2) {
		if rec.Attempts != 0 {
			t.Errorf("record %+v: there was an attempt", rec)
		}
	}
}

// TestG20PerFilterConfig: a route, or else its virtual host, says to a filter
// what holds there.
func TestG20PerFilterConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, `
clusters: [{name: a, hosts: [{address: "10.0.0.1:80"}]}]
stream_filters: [{type: fault, config: {}}]
routers:
  - router_config_name: main
    virtual_hosts:
      - domains: ["*"]
        per_filter_config: {fault: {delay: {percentage: 100, fixed_delay: 3s}}}
        routers:
          - match: {prefix: /abort}
            route: {cluster_name: a}
            per_filter_config: {fault: {abort: {status: 418, percentage: 100}}}
          - match: {prefix: /none}
            route: {cluster_name: a, per_filter_config: {fault: {}}}
          - {route: {cluster_name: a}}
`)
		r.listed("a 10.0.0.1:80")
		if a := r.get("/abort"); a.status != 418 || a.took != 0 {
			t.Errorf("at the route: %s after %v", a, a.took)
		}
		if a := r.want("200 a", "/none"); a.took != 0 {
			t.Errorf("switched off at the route: after %v", a.took)
		}
		if a := r.want("200 a", "/other"); a.took != 3*time.Second {
			t.Errorf("at the virtual host: after %v", a.took)
		}
	})
}
