package traffic

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Tests of time limits and retries: rows G13, G14 and H20.

// TestG13Timeouts: the route's time, and what a request says instead of it.
func TestG13Timeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, `
clusters: [{name: a, hosts: [{address: "10.0.0.1:80"}]}]
stream_filters: [{type: note, config: {proxy_global_timeout: x-var-global, proxy_try_timeout: x-var-try}}]
routers:
  - router_config_name: main
    virtual_hosts:
      - domains: ["*"]
        routers:
          - {match: {prefix: /short}, route: {cluster_name: a, timeout: 2s}}
          - match: {prefix: /try}
            route: {cluster_name: a, timeout: 5s, retry_policy: {retry_on: per-try-timeout, retry_timeout: 1s, num_retries: 1, retry_back_off: {base_interval: 0}}}
          - {route: {cluster_name: a}}
`)
		r.host("a", "10.0.0.1:80").slow(time.Hour)
		for _, c := range []struct {
			url, fields string
			want        time.Duration
			hits        int
		}{
			{"/", "", 60 * time.Second, 1},
			{"/short", "", 2 * time.Second, 1},
			{"/short", "x-mosn-global-timeout: 500", 500 * time.Millisecond, 1},
			{"/short", "x-mosn-global-timeout: 90000", 90 * time.Second, 1},
			{"/short", "x-mosn-global-timeout: soon", 2 * time.Second, 1},
			{"/short", "x-var-global: 700", 700 * time.Millisecond, 1},
			{"/short", "x-mosn-global-timeout: 500, x-var-global: 700", 700 * time.Millisecond, 1},
			{"/try", "", 2 * time.Second, 2},
			{"/try", "x-mosn-try-timeout: 200", 400 * time.Millisecond, 2},
			{"/try", "x-var-try: 300", 600 * time.Millisecond, 2},
			{"/try", "x-mosn-try-timeout: 5000", 5 * time.Second, 1}, // not below the whole: void
		} {
			before := r.hosts["a"].hits()
			var fields []string
			if c.fields != "" {
				fields = strings.Split(c.fields, ", ")
			}
			a := r.get(c.url, fields...)
			if hits := r.hosts["a"].hits() - before; a.status != 504 || a.took != c.want || hits != c.hits {
				t.Errorf("GET %s %s: %s after %v and %d attempts, want 504 after %v and %d", c.url, c.fields, a, a.took, hits, c.want, c.hits)
			}
		}
	})
}

// overGRPC is a listener for HTTP/2.
const overGRPC = `
listeners:
  - {name: in, bind_port: false, filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: Http2, router_config_name: main}}]}]}
`

// grpc is the core with gRPC spoken to its listener.
func (r *rig) grpc() *proxytest.Rig {
	rig := &proxytest.Rig{Server: r.Server}
	for _, p := range proxytest.Protocols() {
		if p.Label == "gRPC" {
			rig.Protocol = p
		}
	}
	return rig
}

// TestG13GRPCTimeout: how long a gRPC caller waits shortens the time, and
// lengthens only the default.
func TestG13GRPCTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, overGRPC+`
clusters: [{name: a, hosts: [{address: "10.0.0.1:80"}]}]
routers:
  - router_config_name: main
    virtual_hosts:
      - domains: ["*"]
        routers:
          - {match: {prefix: /short}, route: {cluster_name: a, timeout: 2s}}
          - {route: {cluster_name: a}}
`)
		r.speak("10.0.0.1:80", "gRPC", func(p proxytest.Protocol, _ *stream.Request) *stream.Response {
			time.Sleep(2 * time.Minute)
			return p.Answer(200, strings.NewReader("late"), -1)
		})
		rig := r.grpc()
		c := rig.Caller(t)
		for _, w := range []struct {
			path, field string
			want        time.Duration
		}{
			{"/short/Do", "500m", 500 * time.Millisecond},
			{"/short/Do", "10S", 2 * time.Second},
			{"/short/Do", "", 2 * time.Second},
			{"/long/Do", "5S", 5 * time.Second},
			{"/long/Do", "90S", 90 * time.Second},
			{"/long/Do", "", 60 * time.Second},
		} {
			req := rig.Protocol.Request(w.path, strings.NewReader("x"), 1)
			if w.field != "" {
				req.Header.Add("grpc-timeout", w.field)
			}
			begin := time.Now()
			resp, err := c.Handle(t.Context(), req)
			must(t, err)
			if d := time.Since(begin); rig.Protocol.Says(resp) != "grpc 4" || d != w.want {
				t.Errorf("%s, grpc-timeout %q: %s after %v, want grpc 4 after %v", w.path, w.field, rig.Protocol.Says(resp), d, w.want)
			}
			if resp.Body != nil {
				_ = resp.Body.Close()
			}
		}
	})
}

// TestG13SlowBody: the limit is for the whole exchange, body included.
func TestG13SlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, `
clusters: [{name: a, hosts: [{address: "10.0.0.1:80"}]}]
routers: [{router_config_name: main, virtual_hosts: [{domains: ["*"], routers: [{route: {cluster_name: a, timeout: 3s}}]}]}]
`)
		r.host("a", "10.0.0.1:80").answers(func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.WriteString(w, "the beginning")
			_ = http.NewResponseController(w).Flush()
			<-req.Context().Done()
		})
		if a := r.get("/"); a.err == nil || a.took != 3*time.Second {
			t.Errorf("%s after %v, want a broken answer after 3s", a, a.took)
		}
	})
}

// TestG13HostIsToldToStop: nothing goes on at the host when the time is over.
func TestG13HostIsToldToStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, `
clusters: [{name: a, hosts: [{address: "10.0.0.1:80"}]}]
routers: [{router_config_name: main, virtual_hosts: [{domains: ["*"], routers: [{route: {cluster_name: a, timeout: 3s}}]}]}]
`)
		ended := make(chan time.Time, 1)
		r.host("a", "10.0.0.1:80").answers(func(_ http.ResponseWriter, req *http.Request) {
			<-req.Context().Done()
			ended <- time.Now()
		})
		begin := time.Now()
		if a := r.get("/"); a.status != 504 {
			t.Errorf("%s", a)
		}
		if d := (<-ended).Sub(begin); d != 3*time.Second {
			t.Errorf("the host worked on for %v", d)
		}
	})
}

// script has the hosts of a rig answer, one after the other, with these
// statuses, and with 200 after them.
func (r *rig) script(statuses ...int) {
	var next atomic.Int64
	for _, h := range r.hosts {
		h.answers(func(w http.ResponseWriter, _ *http.Request) {
			status := 200
			if i := int(next.Add(1)); i <= len(statuses) {
				status = statuses[i-1]
			}
			w.WriteHeader(status)
			_, _ = fmt.Fprint(w, "answer")
		})
	}
}

// retrying is a cluster of three hosts whose route has a retry policy.
func retrying(policy string) string {
	return `
clusters: [{name: a, hosts: [{address: "10.0.0.1:80"}, {address: "10.0.0.2:80"}, {address: "10.0.0.3:80"}]}]
routers: [{router_config_name: main, virtual_hosts: [{domains: ["*"], routers: [{route: {cluster_name: a, retry_policy: ` + policy + `}}]}]}]
`
}

func (r *rig) hits() (n int) {
	for _, h := range r.hosts {
		n += h.hits()
	}
	return n
}

// TestG14StatusIsRetried: 500, 500, 200 are one 200 to the caller, from three hosts.
func TestG14StatusIsRetried(t *testing.T) {
	for _, c := range []struct {
		policy   string
		statuses []int
		want     int // status
		hits     int
	}{
		{`{retry_on: true, num_retries: 2}`, []int{500, 500}, 200, 3},
		{`{retry_on: true}`, []int{500}, 200, 2},
		{`{retry_on: true}`, []int{500, 502}, 502, 2}, // one retry is the default
		{`{retry_on: true, num_retries: 5}`, []int{500, 501, 502, 503, 504, 505}, 505, 6},
		{`{retry_on: true, num_retries: 2}`, []int{404}, 404, 1},
		{`{retry_on: true, status_codes: [404, 503]}`, []int{404}, 200, 2},
		{`{retry_on: true, status_codes: [404, 503]}`, []int{500}, 500, 1},
		{`{retry_on: gateway-error}`, []int{500}, 500, 1},
		{`{retry_on: gateway-error}`, []int{503}, 200, 2},
		{`{retry_on: [connect-failure, reset]}`, []int{503}, 503, 1},
		{`{retry_on: "connect-failure,status", status_codes: [429]}`, []int{429}, 200, 2},
		{`{retry_on: false}`, []int{500}, 500, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, retrying(c.policy))
			r.listed("a 10.0.0.1:80, b 10.0.0.2:80, c 10.0.0.3:80")
			r.script(c.statuses...)
			a := r.get("/")
			if a.status != c.want || a.body != "answer" || r.hits() != c.hits {
				t.Errorf("%s, hosts say %v: %s after %d attempts, want %d after %d", c.policy, c.statuses, a, r.hits(), c.want, c.hits)
			}
			if rec := r.Records.Last(t, 1); rec.Attempts != c.hits {
				t.Errorf("%s: the record tells of %d attempts, %d were made", c.policy, rec.Attempts, c.hits)
			}
		})
	}
}

// TestG14UnknownCondition: a word that nobody knows is an error with the known ones.
func TestG14UnknownCondition(t *testing.T) {
	_, _, err := parse(retrying(`{retry_on: connect-failur}`), builtin(t))
	if err == nil || !strings.Contains(err.Error(), "retry_policy.retry_on") || !strings.Contains(err.Error(), `did you mean "connect-failure"`) {
		t.Errorf("%v", err)
	}
}

// TestG14ConnectFailure: what did not reach a host is sent to another, also if
// it must not be done twice; without a policy it is not.
func TestG14ConnectFailure(t *testing.T) {
	for policy, want := range map[string]string{`{retry_on: connect-failure}`: "200 b", `{retry_on: status}`: "503", `{retry_on: false}`: "503"} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, strings.Replace(retrying(policy), `, {address: "10.0.0.3:80"}`, ``, 1))
			r.listed("b 10.0.0.2:80")
			for range 4 {
				a := ask(r.client, "POST", "/", "pay 5")
				if got := a.String(); !strings.HasPrefix(got, want) && got != "200 b" {
					t.Errorf("%s: %s, want %s", policy, got, want)
				}
			}
			failed := 0
			for _, rec := range r.Records.Wait(t, 4) {
				if rec.Status == 503 {
					failed++
				}
			}
			if hits := r.hosts["b"].hits(); want == "200 b" && (failed != 0 || hits != 4) || want == "503" && (failed != 2 || hits != 2) {
				t.Errorf("%s: %d failed, the host that is there saw %d", policy, failed, hits)
			}
			for _, s := range r.hosts["b"].requests() {
				if s.body != "pay 5" {
					t.Errorf("%s: the host saw the body %q", policy, s.body)
				}
			}
		})
	}
}

// TestG14NothingIsDoneTwice: when a host breaks off, only a request that may
// be done twice is sent again, unless the policy says that any may.
func TestG14NothingIsDoneTwice(t *testing.T) {
	for _, c := range []struct {
		policy, method string
		hits           int
	}{
		{`{retry_on: reset, num_retries: 2}`, "GET", 3},
		{`{retry_on: reset, num_retries: 2}`, "PUT", 3},
		{`{retry_on: reset, num_retries: 2}`, "POST", 1},
		{`{retry_on: reset-any, num_retries: 2}`, "POST", 3},
		{`{retry_on: true, num_retries: 2}`, "POST", 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, retrying(c.policy))
			r.listed("a 10.0.0.1:80, b 10.0.0.2:80, c 10.0.0.3:80")
			for _, h := range r.hosts {
				h.answers(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
			}
			if a := ask(r.client, c.method, "/", ""); a.status != 502 || r.hits() != c.hits {
				t.Errorf("%s, %s: %s after %d attempts, want 502 after %d", c.policy, c.method, a, r.hits(), c.hits)
			}
		})
	}
}

// TestG14BodyIsSentAgain: a body is kept for the retry up to a limit; one that
// is longer than that is not sent half.
func TestG14BodyIsSentAgain(t *testing.T) {
	r := start(t, retrying(`{retry_on: true, num_retries: 2, retry_back_off: {base_interval: 1ms}}`))
	r.listed("a 10.0.0.1:80, b 10.0.0.2:80, c 10.0.0.3:80")
	r.script(503, 503)
	body := strings.Repeat("0123456789", 3000)
	if a := ask(r.client, "POST", "/", body); a.status != 200 || r.hits() != 3 {
		t.Errorf("%s after %d attempts, want 200 after 3", a, r.hits())
	}
	for name, h := range r.hosts {
		if s := h.last(t); s.body != body {
			t.Errorf("host %s saw %d bytes of %d", name, len(s.body), len(body))
		}
	}
	r.script(503)
	before := r.hits()
	if a := ask(r.client, "POST", "/", strings.Repeat("x", 8<<20)); a.status != 503 || r.hits() != before+1 {
		t.Errorf("8 MB: %s after %d attempts, want 503 after 1", a, r.hits()-before)
	}
}

// TestG14BackOff: retries wait longer each time, within their bounds.
func TestG14BackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, retrying(`{retry_on: true, num_retries: 4, retry_back_off: {base_interval: 1s, max_interval: 3s}}`))
		r.listed("a 10.0.0.1:80, b 10.0.0.2:80, c 10.0.0.3:80")
		for range 40 {
			r.script(500, 500, 500, 500)
			r.want("200 answer", "/")
		}
		var total time.Duration
		for _, rec := range r.Records.Wait(t, 40) {
			total += rec.Duration
			if rec.Attempts != 5 {
				t.Errorf("%d attempts, want 5", rec.Attempts)
			}
			if rec.Duration > 9*time.Second {
				t.Errorf("waited %v, at most 1s+2s+3s+3s are allowed", rec.Duration)
			}
		}
		if mean := total / 40; mean < 3*time.Second || mean > 6*time.Second {
			t.Errorf("waited %v on average, expected are 4.5s", mean)
		}
	})
}

// TestG14GRPCStatus: an answer that is only a gRPC status is retried by its code.
func TestG14GRPCStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, overGRPC+retrying(`{retry_on: [unavailable], num_retries: 2}`))
		var codes []string // of the attempts to come
		attempts := 0
		for _, address := range []string{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"} {
			r.speak(address, "gRPC", func(p proxytest.Protocol, _ *stream.Request) *stream.Response {
				attempts++
				if len(codes) == 0 {
					return p.Answer(200, strings.NewReader("fine"), -1)
				}
				resp := &stream.Response{Status: 200}
				resp.Header.Add("content-type", "application/grpc")
				resp.Header.Add("grpc-status", codes[0])
				codes = codes[1:]
				return resp
			})
		}
		rig := r.grpc()
		c := rig.Caller(t)
		for _, want := range []struct {
			codes    []string
			says     string
			attempts int
		}{{[]string{"14", "14"}, "200", 3}, {[]string{"14", "14", "14"}, "grpc 14", 3}, {[]string{"5"}, "grpc 5", 1}} {
			codes, attempts = want.codes, 0
			resp, err := c.Handle(t.Context(), rig.Protocol.Request("/pay.Pay/Do", strings.NewReader("x"), 1))
			must(t, err)
			if says := rig.Protocol.Says(resp); says != want.says || attempts != want.attempts {
				t.Errorf("hosts say %v: %s after %d attempts, want %s after %d", want.codes, says, attempts, want.says, want.attempts)
			}
			if resp.Body != nil {
				_ = resp.Body.Close()
			}
		}
	})
}

// TestG14DisabledByVariable: a filter can keep a request from being sent again.
func TestG14DisabledByVariable(t *testing.T) {
	r := start(t, `stream_filters: [{type: note, config: {proxy_disable_retry: x-once}}]`+retrying(`{retry_on: true}`))
	r.listed("a 10.0.0.1:80, b 10.0.0.2:80, c 10.0.0.3:80")
	r.script(500)
	r.want("500 answer", "/", "x-once: true")
	r.script(500)
	r.want("200 answer", "/", "x-once: false")
}

// TestH20RetryAvoidsTriedHosts: with two hosts of which one is bad every retry
// succeeds, whatever the balancer; where all are bad, each is tried once before
// any is tried again.
func TestH20RetryAvoidsTriedHosts(t *testing.T) {
	for _, policy := range builtin(t).Balancers.Names() {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, strings.Replace(retrying(`{retry_on: true, num_retries: 2, retry_back_off: {base_interval: 0}}`), "name: a,", "name: a, lb_type: "+policy+",", 1))
			r.listed("a 10.0.0.1:80, b 10.0.0.2:80, c 10.0.0.3:80")
			r.hosts["a"].status(500)
			r.hosts["b"].status(500)
			for range 20 {
				r.want("200 c", "/")
			}
			r.hosts["c"].status(500)
			before := map[string]int{}
			for name, h := range r.hosts {
				before[name] = h.hits()
			}
			if a := r.get("/"); a.status != 500 {
				t.Errorf("%s: %s", policy, a)
			}
			for name, h := range r.hosts {
				if n := h.hits() - before[name]; n != 1 {
					t.Errorf("%s: host %s was tried %d times, want once", policy, name, n)
				}
			}
		})
	}
}
