package traffic

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Tests of the stream filters that are about traffic, besides those of rows F9
// (mirror_test.go), F10 (router_test.go) and F17 (health_test.go).

// TestF1Fault: a share of the requests is delayed, another answered; only those
// for a cluster, with certain fields.
func TestF1Fault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, balanced(1, "type: SIMPLE")+`
stream_filters:
  - type: fault
    config: {delay: {percentage: 100, fixed_delay: 2s}, abort: {status: 503, percentage: 50}, upstream_cluster: a, headers: [{name: x-test, value: "yes"}]}
`)
		r.numbered(1)
		got := map[int]int{}
		for range 300 {
			a := r.get("/", "x-test: yes")
			got[a.status]++
			if a.took != 2*time.Second {
				t.Fatalf("took %v", a.took)
			}
		}
		if got[503] < 100 || got[503] > 200 || got[200]+got[503] != 300 || r.hosts["1"].hits() != got[200] {
			t.Errorf("%v, the host saw %d", got, r.hosts["1"].hits())
		}
		if a := r.want("200 1", "/", "x-test: no"); a.took != 0 {
			t.Errorf("without the field: %v", a.took)
		}
	})
}

// TestF11Scripts: CEL scripts before the route, after it, at the host and on the answer.
func TestF11Scripts(t *testing.T) {
	r := start(t, `
clusters:
  - {name: a, hosts: [{address: "10.0.0.1:80"}]}
  - {name: b, hosts: [{address: "10.0.0.2:80"}]}
stream_filters:
  - type: dsl
    config:
      before_router_by_dsl: 'request.url_path.startsWith("/old") ? ctx.rewrite_request_url("/new?from=old") : true'
      after_router_by_dsl: 'ctx.add_request_header("x-route", route.name) && ctx.del_request_header("x-secret")'
      after_balancer_by_dsl: 'ctx.add_request_header("x-to", destination.address)'
      send_filter_by_dsl: 'ctx.add_response_header("x-code", string(response.code)) && ctx.del_response_header("x-powered-by")'
routers:
  - router_config_name: main
    virtual_hosts:
      - domains: ["*"]
        routers:
          - {name: new one, match: {prefix: /new}, route: {cluster_name: b}}
          - {name: rest, route: {cluster_name: a}}
`)
	r.listed("a 10.0.0.1:80, b 10.0.0.2:80")
	r.hosts["b"].answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("x-powered-by", "host")
		w.WriteHeader(201)
	})
	a := r.want("201", "/old/x", "x-secret: s")
	if a.header.Get("x-code") != "201" || a.header.Get("x-powered-by") != "" {
		t.Errorf("answer %v", a.header)
	}
	s := r.hosts["b"].last(t)
	got := strings.Join([]string{s.uri, s.header.Get("x-route"), s.header.Get("x-to"), s.header.Get("x-secret")}, "|")
	if got != "/new?from=old|new one|10.0.0.2:80|" {
		t.Errorf("the host saw %s", got)
	}
	r.want("200 a", "/other")
}
