package traffic

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Tests of mirrors: rows F9 and G23.

// mirrored is a cluster whose requests are copied to another, that of the shadow.
func mirrored(filters, policies string) string {
	return `
clusters:
  - {name: a, hosts: [{address: "10.0.0.1:80"}]}
  - {name: shadow, hosts: [{address: "10.0.1.1:80"}, {address: "10.0.1.2:80"}]}
stream_filters: [` + filters + `]
routers:
  - router_config_name: main
    virtual_hosts:
      - domains: ["*"]
        routers:
          - match: {prefix: /route}
            request_mirror_policies: {cluster: shadow}
            route: {cluster_name: a}
          - route:
              cluster_name: a
              prefix_rewrite: /v1
              ` + policies + `
            match: {prefix: /}
`
}

func (r *rig) withShadow() (a, shadow1, shadow2 *host) {
	return r.host("a", "10.0.0.1:80"), r.host("shadow1", "10.0.1.1:80"), r.host("shadow2", "10.0.1.2:80")
}

// TestF9G23Copies: the shadow sees what the host sees; the caller sees nothing of
// the shadow, whatever it says.
func TestF9G23Copies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, mirrored("", "request_mirror_policies: [{cluster: shadow}]"))
		a, s1, s2 := r.withShadow()
		s1.status(500)
		s2.answers(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		for i := range 4 {
			body := strings.Repeat(fmt.Sprint(i), 10_000)
			if got := ask(r.client, "POST", "/pay?q=1", body, "x-user: ann"); got.String() != "200 a" {
				t.Errorf("%s", got)
			}
		}
		r.want("200 a", "/route")
		synctest.Wait()
		copies := append(s1.requests(), s2.requests()...)
		if a.hits() != 5 || len(copies) != 5 || s1.hits() < 2 || s2.hits() < 2 {
			t.Fatalf("%d requests, %d copies", a.hits(), len(copies))
		}
		for _, c := range copies {
			if c.method == "GET" {
				continue
			}
			if c.String() != a.requests()[0].String() || len(c.body) != 10_000 || c.header.Get("x-user") != "ann" {
				t.Errorf("a copy is %s with %d bytes and %v, the original %s", c, len(c.body), c.header, a.requests()[0])
			}
		}
	})
}

// TestF9DoesNotSlow: a shadow that is slow, or not there, costs the caller nothing.
func TestF9DoesNotSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, mirrored("", "request_mirror_policies: [{cluster: shadow}, {cluster: nobody}]"), `there is no cluster "nobody"`)
		_, s1, s2 := r.withShadow()
		s1.slow(10 * time.Second)
		s2.kill()
		for range 6 {
			if got := r.want("200 a", "/"); got.took != 0 {
				t.Errorf("took %v", got.took)
			}
		}
		synctest.Wait()
		if s1.hits() != 3 {
			t.Errorf("the slow shadow saw %d", s1.hits())
		}
		time.Sleep(time.Minute) // copies end
	})
}

// TestF9Percent: a share of the requests is copied.
func TestF9Percent(t *testing.T) {
	for percent, bounds := range map[string][2]int{"0": {0, 0}, "100": {600, 600}, "30": {120, 240}} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, mirrored("", "request_mirror_policies: [{cluster: shadow, percent: "+percent+"}]"))
			_, s1, s2 := r.withShadow()
			r.shares(600, "/")
			synctest.Wait()
			if n := s1.hits() + s2.hits(); n < bounds[0] || n > bounds[1] {
				t.Errorf("%s %%: %d of 600 were copied", percent, n)
			}
		})
	}
}

// TestF9AmplificationAndBroadcast: several copies, or one for every host.
func TestF9AmplificationAndBroadcast(t *testing.T) {
	for filters, want := range map[string][2]int{
		"{type: mirror, config: {amplification: 3}}":                  {15, 15}, // 10 requests, 3 copies, 2 hosts in turn
		"{type: mirror, config: {broadcast: true}}":                   {10, 10},
		"{type: mirror, config: {amplification: 2, broadcast: true}}": {20, 20},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, mirrored(filters, "request_mirror_policies: [{cluster: shadow}]"))
			a, s1, s2 := r.withShadow()
			r.shares(10, "/")
			synctest.Wait()
			if a.hits() != 10 || s1.hits() != want[0] || s2.hits() != want[1] {
				t.Errorf("%s: %d requests, %d and %d copies, want %v", filters, a.hits(), s1.hits(), s2.hits(), want)
			}
		})
	}
}

// TestF9NotPerAttempt: retries of the original are not copied again.
func TestF9NotPerAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, mirrored("", "request_mirror_policies: [{cluster: shadow}]\n              retry_policy: {retry_on: true, num_retries: 2}"))
		a, s1, s2 := r.withShadow()
		a.status(500)
		if got := r.get("/"); got.status != 500 || a.hits() != 3 {
			t.Errorf("%s after %d attempts", got, a.hits())
		}
		synctest.Wait()
		if n := s1.hits() + s2.hits(); n != 1 {
			t.Errorf("%d copies of one request", n)
		}
	})
}
