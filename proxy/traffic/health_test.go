package traffic

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Tests of which hosts are used: rows I9, I10 and F17.

// states says what the core thinks of the hosts of the first cluster, in order.
func (r *rig) states() string {
	synctest.Wait()
	var list []string
	for _, h := range r.Clusters()[0].Hosts {
		list = append(list, h.Health)
	}
	return strings.Join(list, ", ")
}

// TestI9Thresholds: a host is out after unhealthy_threshold checks in a row,
// and back after healthy_threshold; the event log has a line for both.
func TestI9Thresholds(t *testing.T) {
	events := filepath.Join(t.TempDir(), "events.log")
	synctest.Test(t, func(t *testing.T) {
		r := start(t, balanced(2, fmt.Sprintf(
			"health_check: {protocol: TCP, timeout: 1s, interval: 10s, healthy_threshold: 2, unhealthy_threshold: 3, initial_delay: 5s, event_log_path: %q}", events)))
		r.numbered(2)
		time.Sleep(6 * time.Second) // 5 s: the first check
		r.hosts["2"].kill()
		time.Sleep(20 * time.Second) // 15 s, 25 s: two checks fail
		if got := r.states(); got != "healthy, healthy" {
			t.Errorf("after two checks: %s", got)
		}
		time.Sleep(10 * time.Second) // 35 s: the third
		if got := r.states(); got == "healthy, healthy" || !strings.HasPrefix(got, "healthy, ") {
			t.Errorf("after three checks: %s", got)
		}
		if got := r.shares(6, "/"); got["200 1"] != 6 {
			t.Errorf("a host is out: %v", got)
		}
		r.host("2", "10.0.0.2:80")
		time.Sleep(10 * time.Second) // 45 s: one is well
		if got := r.states(); got == "healthy, healthy" {
			t.Errorf("after one good check: %s", got)
		}
		time.Sleep(10 * time.Second) // 55 s
		if got := r.states(); got != "healthy, healthy" {
			t.Errorf("after two good checks: %s", got)
		}
		if got := r.shares(6, "/"); got["200 1"] != 3 || got["200 2"] != 3 {
			t.Errorf("the host is back: %v", got)
		}
	})
	data, err := os.ReadFile(events)
	must(t, err)
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `cluster="a" host="10.0.0.2:80"`) || !strings.Contains(lines[0], `from="healthy"`) || !strings.Contains(lines[1], `to="healthy"`) {
		t.Errorf("event log:\n%s", data)
	}
}

// TestI9Defaults: a check each 15 s, of 1 s, the first after 1 s; one decides.
func TestI9Defaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, balanced(1, "health_check: {}")) // several would be spread out
		r.numbered(1)
		r.hosts["1"].kill()
		time.Sleep(999 * time.Millisecond)
		if got := r.states(); got != "healthy" {
			t.Errorf("before the first check: %s", got)
		}
		time.Sleep(time.Millisecond)
		if got := r.states(); got == "healthy" {
			t.Errorf("after the first check: %s", got)
		}
		r.host("1", "10.0.0.1:80")
		time.Sleep(15*time.Second - time.Millisecond)
		if got := r.states(); got == "healthy" {
			t.Errorf("before the second check: %s", got)
		}
		time.Sleep(time.Millisecond)
		if got := r.states(); got != "healthy" {
			t.Errorf("after the second check: %s", got)
		}
	})
}

// TestI9HTTP: the request of a check, and the statuses that mean well.
func TestI9HTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, balanced(3, `health_check: {protocol: Http1, interval: 5s, initial_delay: 1s, check_config: {http_check_config: {path: "/health?deep=1", method: HEAD, domain: check.example, timeout: 2s, codes: [{Start: 200, End: 204}, {Start: 429, End: 429}]}}}`))
		r.numbered(3)
		r.hosts["2"].status(500)
		r.hosts["3"].slow(3 * time.Second)
		time.Sleep(4 * time.Second)
		if got := strings.Split(r.states(), ", "); got[0] != "healthy" || got[1] == "healthy" || got[2] == "healthy" {
			t.Errorf("%v, want hosts 2 and 3 out", got)
		}
		if s := r.hosts["1"].last(t); s.String() != "HEAD check.example /health?deep=1" {
			t.Errorf("the check was %s", s)
		}
		if got := r.shares(6, "/"); got["200 1"] != 6 {
			t.Errorf("%v", got)
		}
		r.hosts["2"].status(429)
		r.hosts["3"].status(204)
		time.Sleep(10 * time.Second)
		if got := r.states(); got != "healthy, healthy, healthy" {
			t.Errorf("%v", got)
		}
	})
}

// TestI9GRPC: grpc.health.v1.Health/Check is asked about a service.
func TestI9GRPC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, balanced(1, "health_check: {protocol: GRPC, interval: 5s, initial_delay: 1s, service_name: pay.Pay}"))
		var mu sync.Mutex
		status := byte(2) // NOT_SERVING
		var asked []string
		r.speak("10.0.0.1:80", "gRPC", func(p proxytest.Protocol, req *stream.Request) *stream.Response {
			var b strings.Builder
			buf := make([]byte, 64)
			for {
				n, err := req.Body.Read(buf)
				if b.Write(buf[:n]); err != nil {
					break
				}
			}
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, req.Path+" "+b.String())
			return p.Answer(200, strings.NewReader(string([]byte{0, 0, 0, 0, 2, 8, status})), -1)
		})
		time.Sleep(2 * time.Second)
		if got := r.states(); got == "healthy" {
			t.Errorf("NOT_SERVING: %s", got)
		}
		mu.Lock()
		status = 1 // SERVING
		mu.Unlock()
		time.Sleep(5 * time.Second)
		if got := r.states(); got != "healthy" {
			t.Errorf("SERVING: %s", got)
		}
		mu.Lock()
		defer mu.Unlock()
		if want := "/grpc.health.v1.Health/Check \x00\x00\x00\x00\x09\x0a\x07pay.Pay"; asked[0] != want {
			t.Errorf("asked %q, want %q", asked[0], want)
		}
	})
}

// TestI9Jitter: with interval_jitter, hosts are not asked all at once for ever.
func TestI9Jitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, balanced(1, "health_check: {protocol: Http1, interval: 10s, interval_jitter: 5s, initial_delay: 1s}"))
		r.numbered(1)
		time.Sleep(10 * time.Minute)
		list := r.hosts["1"].requests()
		different := make(map[time.Duration]bool)
		for i := 1; i < len(list); i++ {
			d := list[i].at.Sub(list[i-1].at)
			if d < 10*time.Second || d > 15*time.Second {
				t.Errorf("%v between two checks", d)
			}
			different[d] = true
		}
		if len(different) < 10 {
			t.Errorf("%d checks, %d different intervals", len(list), len(different))
		}
	})
}

// TestI10OutlierDetection: a host at which requests fail in a row is out for a
// while, longer each time; never more than a part of the hosts.
func TestI10OutlierDetection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, balanced(4, "outlier_detection: {consecutive_5xx: 3, interval: 1s, base_ejection_time: 30s, max_ejection_percent: 25}"))
		r.numbered(4)
		r.hosts["2"].status(500)
		r.hosts["3"].status(500)
		r.shares(24, "/") // six each, if nobody were out
		synctest.Wait()
		bad := r.hosts["2"].hits() + r.hosts["3"].hits()
		if hits := min(r.hosts["2"].hits(), r.hosts["3"].hits()); hits != 3 || bad <= 6 {
			t.Errorf("hosts 2 and 3 saw %d and %d requests; one of them is out after 3, the other must stay", r.hosts["2"].hits(), r.hosts["3"].hits())
		}
		if got := r.states(); strings.Count(got, "healthy") != 3 {
			t.Errorf("%s, want one host of four out", got)
		}
		r.hosts["2"].status(200)
		r.hosts["3"].status(200)
		time.Sleep(29 * time.Second)
		if got := r.states(); strings.Count(got, "healthy") != 3 {
			t.Errorf("after 29 s: %s", got)
		}
		time.Sleep(3 * time.Second)
		if got := r.states(); got != "healthy, healthy, healthy, healthy" {
			t.Errorf("after 32 s: %s", got)
		}
	})
}

// TestI10SuccessRate: a host whose success rate is far below that of the others is out.
func TestI10SuccessRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, balanced(10, "outlier_detection: {consecutive_5xx: 0, interval: 10s, success_rate_minimum_hosts: 5, success_rate_request_volume: 20, success_rate_stdev_factor: 1.9}"))
		r.numbered(10)
		odd := false
		r.hosts["4"].answers(func(w http.ResponseWriter, _ *http.Request) {
			if odd = !odd; odd {
				w.WriteHeader(503)
			}
		})
		r.shares(300, "/")
		time.Sleep(11 * time.Second)
		if got := strings.Split(r.states(), ", "); got[3] == "healthy" || strings.Count(strings.Join(got, " "), "healthy") != 9 {
			t.Errorf("%v, want host 4 out", got)
		}
	})
}

// TestI10PanicThreshold: when fewer hosts are healthy than the threshold says,
// all are used, because the checks are more likely wrong than the hosts.
func TestI10PanicThreshold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, balanced(4, `healthy_panic_threshold: 50
			health_check: {protocol: Http1, interval: 5s, initial_delay: 1s, check_config: {http_check_config: {path: /health}}}`))
		r.numbered(4)
		sick := func(names ...string) {
			for name, h := range r.hosts {
				bad := false
				for _, s := range names {
					bad = bad || s == name
				}
				h.answers(func(w http.ResponseWriter, req *http.Request) {
					if bad && req.URL.Path == "/health" {
						w.WriteHeader(500)
					}
					_, _ = fmt.Fprint(w, name)
				})
			}
			time.Sleep(6 * time.Second)
		}
		sick("1", "2")
		if got := r.shares(8, "/"); got["200 3"] != 4 || got["200 4"] != 4 {
			t.Errorf("half are healthy: %v", got)
		}
		sick("1", "2", "3")
		if got := r.shares(8, "/"); len(got) != 4 {
			t.Errorf("a quarter is healthy: %v, want all used", got)
		}
		sick("1")
		if got := r.shares(9, "/"); len(got) != 3 || got["200 1"] != 0 {
			t.Errorf("all but one are healthy: %v", got)
		}
	})
}

// TestI10AllOut: without a threshold, a cluster without healthy hosts says so at once.
func TestI10AllOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, balanced(2, "health_check: {initial_delay: 1ms}"))
		time.Sleep(time.Second)
		if a := r.get("/"); a.status != 503 || a.took != 0 || r.Network.Dials("10.0.0.1:80") != 1 {
			t.Errorf("%s after %v", a, a.took)
		}
	})
}

// TestF17FaultTolerance: one bad host of ten is isolated, and back after the
// time of recovery.
func TestF17FaultTolerance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, balanced(10, "lb_type: LB_ROUNDROBIN")+`
stream_filters:
  - type: fault_tolerance
    config: {enabled: true, exceptionTypes: [502, 503, 504], timeWindow: 10000, leastWindowCount: 10, exceptionRateMultiple: 5, maxIpCount: 1, recoverTime: 60000}
`)
		r.numbered(10)
		r.hosts["7"].status(503)
		r.hosts["8"].status(500) // is no exception here
		for range 12 {
			r.shares(10, "/")
			time.Sleep(time.Second)
		}
		states := strings.Split(r.states(), ", ")
		if states[6] == "healthy" || strings.Count(strings.Join(states, " "), "healthy") != 9 {
			t.Errorf("%v, want host 7 isolated", states)
		}
		before := r.hosts["7"].hits()
		r.hosts["7"].status(200)
		for range 4 {
			r.shares(9, "/")
			time.Sleep(10 * time.Second)
		}
		if n := r.hosts["7"].hits() - before; n != 0 {
			t.Errorf("the isolated host got %d requests", n)
		}
		time.Sleep(30 * time.Second)
		r.shares(20, "/")
		if n := r.hosts["7"].hits() - before; n != 2 {
			t.Errorf("after the time of recovery the host got %d of 20 requests, want 2", n)
		}
	})
}
