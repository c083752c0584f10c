package traffic

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/tlscontext/tlstest"
)

// Tests of clusters and their hosts: rows H2 to H4, H14 and H21. (Row H1 is in
// runtime/runtimetest, as it is about the file.)

// TestH2UnknownNames: a name that nobody knows is an error that lists the known
// ones, never another balancer or type.
func TestH2UnknownNames(t *testing.T) {
	for text, want := range map[string]string{
		`{name: a, lb_type: LB_RANDON}`: `clusters[0].lb_type: unknown load balancer "LB_RANDON" (did you mean "LB_RANDOM"?`,
		`{name: a, type: STATICK}`:      `clusters[0].type: unknown value "STATICK" (did you mean "STATIC"?`,
		`{name: a, lb_type: LB_MAGLEV, lbconfig: {choice_count: 2}, hosts: [{address: "h:1"}]}`:  ``,
		`{name: a, lb_type: LB_LEAST_REQUEST, lbconfig: {choice_count: 0}}`:                      `clusters[0].lbconfig.choice_count: must be at least 1`,
		`{name: a, hosts: [{address: nowhere}]}`:                                                 `clusters[0].hosts[0].address`,
		`{name: a, hosts: [{address: "h:1", weight: 129}]}`:                                      `clusters[0].hosts[0].weight`,
		`{name: a, lb_subset_config: {fall_back_policy: 3}}`:                                     `clusters[0].lb_subset_config.fall_back_policy: must be from 0 to 2`,
		`{name: a, health_check: {protocol: Htp1}}`:                                              `clusters[0].health_check.protocol`,
		`{name: a, connect_timeout: 3}`:                                                          `clusters[0].connect_timeout: needs a unit`,
		`{name: a, type: STRICT_DNS, dns_lookup_family: V5, hosts: [{address: "h:1"}]}`:          `clusters[0].dns_lookup_family: unknown value "V5"`,
		`{name: a, circuit_breakers: [{retry_budget: {budget_percent: 120}}]}`:                   `clusters[0].circuit_breakers[0].retry_budget.budget_percent: must be from 0 to 100`,
		`{name: a, outlier_detection: {max_ejection_percent: -1}}`:                               `clusters[0].outlier_detection.max_ejection_percent: must be from 0 to 100`,
		`{name: a, slow_start: {mode: sometimes, slow_start_duration: 1s}}`:                      `clusters[0].slow_start.mode: unknown value "sometimes"`,
		`{name: a, hosts: [{address: "h:1"}]}, {name: a}`:                                        `clusters[1].name`,
		`{name: a, dns_resolvers: {attempts: 0}, type: STRICT_DNS, hosts: [{address: "h.a:1"}]}`: `clusters[0].dns_resolvers.attempts: must be at least 1`,
	} {
		_, warnings, err := parse("clusters: ["+text+"]", builtin(t))
		switch {
		case want == "" && (err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].String(), "clusters[0].lbconfig.choice_count: unknown key")):
			t.Errorf("%s: %v, warnings %v", text, err, warnings)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// TestH2NoEffect: keys of MOSN that do nothing there either are warned of.
func TestH2NoEffect(t *testing.T) {
	_, warnings, err := parse(`clusters: [{name: a, conn_buffer_limit_bytes: 16384, spec: {x: 1}, sub_type: x, cluster_pool_enable: true, hosts: [{address: "h:1"}]}]`, builtin(t))
	must(t, err)
	wantWarnings(t, warnings, "clusters[0].conn_buffer_limit_bytes", "clusters[0].spec", "clusters[0].sub_type")
}

// TestH2ConnectTimeout: a host that does not accept is given up in time.
func TestH2ConnectTimeout(t *testing.T) {
	for key, want := range map[string]time.Duration{"": 3 * time.Second, "connect_timeout: 500ms": 500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, `
clusters:
  - name: a
    tls_context: {status: true, server_name: pay.example, ca_cert: "`+authority(t)+`"}
    hosts: [{address: "10.0.0.1:80"}]
    `+key+`
`)
			// A connection that never gets anywhere: the handshake of TLS counts.
			r.Network.Host("10.0.0.1:80", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
			if a := r.get("/"); a.status != 503 || a.took != want {
				t.Errorf("%q: %s after %v, want 503 after %v", key, a, a.took, want)
			}
		})
	}
}

// authority is the certificate of one, as text in YAML.
func authority(t *testing.T) string {
	return strings.ReplaceAll(tlstest.NewAuthority(t, "ca").PEM, "\n", `\n`)
}

// TestH2IdleTimeoutAndMaxRequests: connections to hosts end when they were
// unused for a while, or used often enough.
func TestH2IdleTimeoutAndMaxRequests(t *testing.T) {
	for more, want := range map[string][2]int{ // connections after 6 requests in a row, and after 6 with an hour between them
		"idle_timeout: 0s":        {1, 1},
		"idle_timeout: 30s":       {1, 7},
		"max_request_per_conn: 2": {3, 6},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, balanced(1, more))
			r.numbered(1)
			r.sequence(6)
			if n := r.Network.Dials("10.0.0.1:80"); n != want[0] {
				t.Errorf("%s: %d connections for 6 requests, want %d", more, n, want[0])
			}
			for range 6 {
				time.Sleep(time.Hour)
				r.sequence(1)
			}
			if n := r.Network.Dials("10.0.0.1:80"); n != want[1] {
				t.Errorf("%s: %d connections for 12 requests, want %d", more, n, want[1])
			}
		})
	}
}

// TestH3Types: SIMPLE, STATIC and no type are the list; EDS waits for hosts
// that come by the API. (STRICT_DNS is row H18, ORIGINAL_DST row H14.)
func TestH3Types(t *testing.T) {
	for _, kind := range []string{`SIMPLE`, `STATIC`, `""`} {
		r := start(t, balanced(1, "type: "+kind))
		r.numbered(1)
		r.want("200 1", "/")
	}
	r := start(t, `clusters: [{name: a, type: EDS}]`)
	r.numbered(1)
	if a := r.get("/"); a.status != 503 {
		t.Errorf("no hosts: %s", a)
	}
	must(t, r.SetHosts("a", []config.Host{{Address: "10.0.0.1:80"}}))
	r.want("200 1", "/")
	r.apply(`clusters: [{name: a, type: EDS, lb_type: LB_RANDOM}]`)
	r.want("200 1", "/") // hosts that came by the API stay when the rest changes
}

// TestH4Host: a host has a name, a weight, labels, and may do without TLS.
// (Weights are row H8, labels G12 and H15.)
func TestH4Host(t *testing.T) {
	ca := tlstest.NewAuthority(t, "ca")
	chain, key := ca.Issue(t, 1, "pay.example")
	pair, err := tls.X509KeyPair([]byte(chain), []byte(key))
	must(t, err)
	r := start(t, `
clusters:
  - name: a
    tls_context: {status: true, server_name: pay.example, ca_cert: "`+strings.ReplaceAll(ca.PEM, "\n", `\n`)+`"}
    hosts:
      - {address: "10.0.0.1:443", hostname: secure.example, weight: 1}
      - {address: "10.0.0.2:80", hostname: plain.example, tls_disable: true}
routers: [{router_config_name: main, virtual_hosts: [{domains: ["*"], routers: [{route: {cluster_name: a, auto_host_rewrite: true}}]}]}]
`)
	r.host("plain", "10.0.0.2:80")
	r.secure("secure", "10.0.0.1:443", &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	if got := r.shares(4, "/"); got["200 secure"] != 2 || got["200 plain"] != 2 {
		t.Errorf("%v", got)
	}
	for name, host := range map[string]string{"secure": "secure.example", "plain": "plain.example"} {
		if s := r.hosts[name].last(t); s.host != host {
			t.Errorf("host %s was asked for %s", name, s.host)
		}
	}
	for _, h := range r.Clusters()[0].Hosts {
		if h.Address == "10.0.0.1:443" && (h.Hostname != "secure.example" || h.Weight != 1 || h.Health != "healthy") {
			t.Errorf("%+v", h)
		}
	}
}

// secure puts a host on the network that speaks TLS.
func (r *rig) secure(name, address string, cfg *tls.Config) {
	h := r.host(name, address)
	serve := make(chan net.Conn)
	done := make(chan struct{})
	l := &handed{conns: serve, done: done}
	srv := &http.Server{Handler: http.HandlerFunc(h.serve)}
	r.Network.Host(address, func(c net.Conn) {
		select {
		case serve <- c:
		case <-done:
			_ = c.Close()
		}
	})
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(tls.NewListener(l, cfg)) })
	r.t.Cleanup(func() { _ = srv.Close(); serving.Wait() })
}

// handed is a listener of connections that it is handed.
type handed struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (l *handed) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *handed) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *handed) Addr() net.Addr { return &net.TCPAddr{} }

// TestH14OriginalDst: the host is what the request asks for, in a header field.
func TestH14OriginalDst(t *testing.T) {
	const cluster = `
clusters:
  - {name: a, type: ORIGINAL_DST, original_dst_lb_config: {use_header: true%s}}
routers:
  - router_config_name: main
    virtual_hosts: [{domains: ["*"], routers: [{route: {cluster_name: a}}]}]
`
	r := start(t, fmt.Sprintf(cluster, ""))
	r.listed("one 10.0.0.1:8080, two 10.0.0.2:80, local 127.0.0.1:8080")
	r.want("200 one", "http://10.0.0.1:8080/")
	r.want("200 two", "http://10.0.0.2/")
	if a := r.get("http://10.0.0.3:8080/"); a.status != 503 {
		t.Errorf("nobody is there: %s", a)
	}
	r.apply(fmt.Sprintf(cluster, ", header_name: x-to"))
	r.want("200 two", "http://10.0.0.1:8080/", "x-to: 10.0.0.2:80")
	for _, bad := range []string{"x-to: ", "x-to: 10.0.0.2:0", "x-to: 10.0.0.2:80/x", "x-to: a b", "x-to: 10.0.0.2:99999"} {
		if a := r.get("/", bad); a.status != 503 {
			t.Errorf("%s: %s, want 503", bad, a)
		}
	}
	r.apply(fmt.Sprintf(cluster, ", replace_local: true"))
	r.want("200 local", "http://10.0.0.1:8080/")
	r.apply(strings.Replace(fmt.Sprintf(cluster, ""), "type: ORIGINAL_DST", "lb_type: LB_ORIGINAL_DST", 1))
	r.want("200 one", "http://10.0.0.1:8080/")
	// Without a header field it is where the connection wanted to go: this one, nowhere.
	r.apply(`
clusters: [{name: a, type: ORIGINAL_DST}]
`)
	if a := r.get("http://10.0.0.1:8080/"); a.status != 503 || !strings.Contains(a.body, "captured") {
		t.Errorf("not captured: %s", a)
	}
}

// TestH21ActiveRequests: how many requests are open, at each host and in the cluster.
func TestH21ActiveRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, balanced(2, "circuit_breakers: [{max_requests: 100}]"))
		r.numbered(2)
		for _, h := range r.hosts {
			h.slow(time.Minute)
		}
		open := func() [3]int {
			c := r.Clusters()[0]
			return [3]int{c.Limits.Requests, c.Hosts[0].Active, c.Hosts[1].Active}
		}
		if got := open(); got != [3]int{} {
			t.Errorf("before: %v", got)
		}
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() { r.get("/") })
		}
		synctest.Wait()
		if got := open(); got != [3]int{6, 3, 3} {
			t.Errorf("six requests: %v, want 6, 3 and 3", got)
		}
		wg.Wait()
		synctest.Wait()
		if got := open(); got != [3]int{} {
			t.Errorf("after: %v", got)
		}
	})
}
