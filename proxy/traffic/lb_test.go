package traffic

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// Tests of the balancers: rows G15, H6 to H13, H17, H19 and H22.

// balanced is a cluster with n hosts at 10.0.0.1:80 and so on, and more keys;
// weights are those of the first hosts.
func balanced(n int, more string, weights ...int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "clusters:\n  - name: a\n")
	for line := range strings.SplitSeq(strings.TrimSpace(more), "\n") {
		fmt.Fprintf(&b, "    %s\n", strings.TrimSpace(line))
	}
	b.WriteString("    hosts:\n")
	for i := range n {
		weight := ""
		if i < len(weights) {
			weight = fmt.Sprintf(", weight: %d", weights[i])
		}
		fmt.Fprintf(&b, "      - {address: \"10.0.0.%d:80\"%s}\n", i+1, weight)
	}
	return b.String()
}

// numbered puts n hosts on the network, which answer with their number, from 1.
func (r *rig) numbered(n int) {
	r.t.Helper()
	for i := range n {
		r.host(fmt.Sprint(i+1), fmt.Sprintf("10.0.0.%d:80", i+1))
	}
}

// sequence returns the hosts that n requests in a row went to.
func (r *rig) sequence(n int, fields ...string) (list []string) {
	r.t.Helper()
	for range n {
		a := r.get("/", fields...)
		if a.status != 200 {
			r.t.Errorf("%s", a)
		}
		list = append(list, a.body)
	}
	return list
}

func count(list []string) map[string]int {
	n := make(map[string]int)
	for _, s := range list {
		n[s]++
	}
	return n
}

// TestH6Random: about the same for each host, in no order.
func TestH6Random(t *testing.T) {
	r := start(t, balanced(4, "lb_type: LB_RANDOM"))
	r.numbered(4)
	list := r.sequence(1200)
	got := count(list)
	chi := 0.0
	for i := range 4 {
		d := float64(got[fmt.Sprint(i+1)] - 300)
		chi += d * d / 300
	}
	if len(got) != 4 || chi > 21.1 { // less likely than 1 in 10,000, with 3 degrees of freedom
		t.Errorf("shares %v, chi-square %.1f", got, chi)
	}
	same := 0
	for i := 4; i < len(list); i++ {
		if list[i] == list[i-4] {
			same++
		}
	}
	if same > 500 {
		t.Errorf("%d of 1196 hosts are the same as four requests before: that is round robin", same)
	}
}

// TestH7RoundRobin: exact shares, beginning anywhere; it is the default.
func TestH7RoundRobin(t *testing.T) {
	for _, more := range []string{"lb_type: LB_ROUNDROBIN", "type: SIMPLE"} {
		r := start(t, balanced(3, more))
		r.numbered(3)
		list := r.sequence(30)
		if got := count(list); got["1"] != 10 || got["2"] != 10 || got["3"] != 10 || list[0] == list[1] || list[0] != list[3] {
			t.Errorf("%s: %v", more, list)
		}
	}
}

// TestH8Weighted: shares are exactly the weights, well mixed.
func TestH8Weighted(t *testing.T) {
	r := start(t, balanced(3, "lb_type: LB_WEIGHTED_ROUNDROBIN", 1, 2, 3))
	r.numbered(3)
	list := r.sequence(600)
	got := count(list)
	if !near(got["1"], 100, 1) || !near(got["2"], 200, 1) || !near(got["3"], 300, 1) {
		t.Errorf("shares %v, want 100, 200, 300", got)
	}
	for i := 2; i < len(list); i++ {
		if list[i] == list[i-1] && list[i] == list[i-2] {
			t.Errorf("three requests in a row for host %s", list[i])
			break
		}
	}
	r.apply(balanced(3, "lb_type: LB_WEIGHTED_ROUNDROBIN", 5, 5, 5))
	if got := count(r.sequence(30)); got["1"] != 10 || got["2"] != 10 || got["3"] != 10 {
		t.Errorf("equal weights: %v", got)
	}
}

// load sends requests, n at a time, until total are done, and returns how long each took.
func (r *rig) load(n, total int) []time.Duration {
	var mu sync.Mutex
	var took []time.Duration
	var left atomic.Int64
	left.Store(int64(total))
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				a := r.get("/")
				if a.status != 200 {
					r.t.Errorf("%s", a)
				}
				mu.Lock()
				took = append(took, a.took)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return took
}

// TestH9LeastRequest: a slow host gets few, with equal weights and without.
func TestH9LeastRequest(t *testing.T) {
	for _, c := range []struct {
		name, cluster string
		share         [2]float64 // bounds of the slow host's share of 600
	}{
		{"equal", balanced(3, "lb_type: LB_LEAST_REQUEST"), [2]float64{0, 60}},
		{"of all", balanced(3, "lb_type: LB_LEAST_REQUEST\nlbconfig: {choice_count: 3}"), [2]float64{0, 40}},
		{"weights", balanced(3, "lb_type: LB_LEAST_REQUEST", 2, 2, 3), [2]float64{0, 110}},
		{"blind", balanced(3, "lb_type: LB_LEAST_REQUEST\nlbconfig: {active_request_bias: 0}", 2, 2, 3), [2]float64{240, 270}},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, c.cluster)
			r.numbered(3)
			for i, d := range []time.Duration{10 * time.Millisecond, 10 * time.Millisecond, 400 * time.Millisecond} {
				r.hosts[fmt.Sprint(i+1)].slow(d)
			}
			r.load(9, 600)
			if n := float64(r.hosts["3"].hits()); n < c.share[0] || n > c.share[1] {
				t.Errorf("%s: the slow host got %v of 600 requests, want %v", c.name, n, c.share)
			}
		})
	}
}

// TestH10LeastConnection: the host with fewer connections is taken.
func TestH10LeastConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const more = "lb_type: LB_LEAST_CONNECTION"
		r := start(t, balanced(1, more))
		r.numbered(2)
		r.hosts["1"].slow(time.Second)
		r.load(3, 3)
		r.apply(balanced(2, more))
		if got := count(r.sequence(10)); got["2"] != 10 {
			t.Errorf("host 1 has 3 connections, host 2 none or one: %v, want all at host 2", got)
		}
		if a, b := r.connections("10.0.0.1:80"), r.connections("10.0.0.2:80"); a != 3 || b != 1 {
			t.Errorf("connections %d and %d, want 3 and 1", a, b)
		}
	})
}

// connections returns how many there are to a host, as the core has it.
func (r *rig) connections(address string) int {
	for _, c := range r.Clusters() {
		for _, h := range c.Hosts {
			if h.Address == address {
				return h.Connections
			}
		}
	}
	return -1
}

// byHeader is a router whose hosts are chosen by a header field.
const byHeader = `
routers: [{router_config_name: main, virtual_hosts: [{domains: ["*"], routers: [{route: {cluster_name: a, hash_policy: [{header: {key: x-user}}]}}]}]}]
`

// TestH11G15Maglev: the same key goes to the same host; when one of ten goes,
// its keys move and hardly any other; when it is not healthy, only its own do.
func TestH11G15Maglev(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys = 500
		const checks = "lb_type: LB_MAGLEV\nhealth_check: {interval: 1s, initial_delay: 1ms}"
		r := start(t, balanced(10, checks)+byHeader)
		r.numbered(10)
		time.Sleep(time.Second)
		where := func() []string {
			list := make([]string, keys)
			for k := range keys {
				list[k] = r.get("/", fmt.Sprintf("x-user: user-%d", k)).body
			}
			return list
		}
		all := where()
		if again := where(); !slices.Equal(all, again) {
			t.Error("the same keys went to other hosts")
		}
		for name, n := range count(all) {
			if n < keys/10/2 || n > keys/10*2 {
				t.Errorf("host %s has %d of %d keys", name, n, keys)
			}
		}
		moved := func(now []string, gone string) (own, others int) {
			for k, name := range now {
				switch {
				case name == gone:
					t.Errorf("key %d went to host %s, which is gone", k, gone)
				case all[k] == gone:
					own++
				case all[k] != name:
					others++
				}
			}
			return own, others
		}
		r.hosts["10"].kill()
		time.Sleep(2 * time.Second)
		if own, others := moved(where(), "10"); own == 0 || others != 0 {
			t.Errorf("host 10 is not healthy: %d of its keys, and %d others, have moved", own, others)
		}
		r.apply(balanced(9, checks) + byHeader)
		own, others := moved(where(), "10")
		if share := float64(own+others) / keys; own == 0 || share > float64(own)/keys+0.02 {
			t.Errorf("host 10 is gone: %d of its keys, and %d others, of %d have moved", own, others, keys)
		}
	})
}

// TestG15HashPolicy: by header field, by a cookie that is made where there is
// none, by the caller's address.
func TestG15HashPolicy(t *testing.T) {
	policy := func(hash string) string {
		return balanced(8, "lb_type: LB_MAGLEV") + `
listeners:
  - {name: in, address: "127.0.0.1:0", filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: Http1, router_config_name: main}}]}]}
routers: [{router_config_name: main, virtual_hosts: [{domains: ["*"], routers: [{route: {cluster_name: a` + hash + `}}]}]}]
`
	}
	r := start(t, policy(`, hash_policy: [{header: {key: x-user}}, {cookie: {name: session, path: /, ttl: 60s}}]`))
	r.numbered(8)
	if got := count(r.sequence(20, "x-user: ann")); len(got) != 1 {
		t.Errorf("one user: hosts %v", got)
	}
	seen := make(map[string]int)
	for i := range 20 {
		seen[r.get("/", fmt.Sprintf("x-user: %d", i)).body]++
	}
	if len(seen) < 3 {
		t.Errorf("20 users: hosts %v", seen)
	}
	first := r.get("/")
	cookie := first.header.Get("Set-Cookie")
	pair, attributes, _ := strings.Cut(cookie, ";")
	if !strings.HasPrefix(pair, "session=") || attributes != " Path=/; Max-Age=60; HttpOnly" {
		t.Errorf("Set-Cookie: %s", cookie)
	}
	for range 20 {
		if a := r.get("/", "Cookie: "+pair); a.body != first.body || a.header.Get("Set-Cookie") != "" {
			t.Errorf("with the cookie: %s, %v, want host %s", a, a.header, first.body)
		}
	}
	fresh := make(map[string]int)
	for range 20 {
		fresh[r.get("/").body]++
	}
	if len(fresh) < 3 {
		t.Errorf("20 callers without a cookie: hosts %v", fresh)
	}
	for _, hash := range []string{`, hash_policy: [{source_ip: {}}]`, ``} {
		r := start(t, policy(hash))
		r.numbered(8)
		c := proxyClient(t, r)
		seen := make(map[string]int)
		for range 10 {
			seen[ask(c, "GET", "/", "").body]++
			c.CloseIdleConnections() // another port each time
		}
		if len(seen) != 1 {
			t.Errorf("by address, %q: hosts %v", hash, seen)
		}
	}
}

// TestH12RequestRoundRobin: each request begins at the first host, a retry
// takes the next; a variable says otherwise.
func TestH12RequestRoundRobin(t *testing.T) {
	r := start(t, balanced(3, "lb_type: LB_REQUEST_ROUNDROBIN")+`
stream_filters: [{type: note, config: {upstream_index: x-begin}}]
routers: [{router_config_name: main, virtual_hosts: [{domains: ["*"], routers: [{route: {cluster_name: a, retry_policy: {retry_on: true, num_retries: 2, retry_back_off: {base_interval: 0}}}}]}]}]
`)
	r.numbered(3)
	if got := count(r.sequence(6)); got["1"] != 6 {
		t.Errorf("%v, want all at host 1", got)
	}
	if got := count(r.sequence(3, "x-begin: 2")); got["3"] != 3 {
		t.Errorf("from the third host on: %v", got)
	}
	r.hosts["1"].status(503)
	if got := count(r.sequence(3)); got["2"] != 3 || r.hosts["1"].hits() != 9 {
		t.Errorf("host 1 is bad: %v, host 1 saw %d", got, r.hosts["1"].hits())
	}
	r.hosts["2"].status(503)
	if got := count(r.sequence(2)); got["3"] != 2 {
		t.Errorf("hosts 1 and 2 are bad: %v", got)
	}
}

// TestH13PeakEWMA is the experiment of MOSN's page on it, with one host that is
// slow now and then: the 99th percentile stays far below what round robin has,
// which is the slow answer, and the host gets fewer requests than from least
// request, which forgets at once.
func TestH13PeakEWMA(t *testing.T) {
	p99 := make(map[string]time.Duration)
	slow := make(map[string]int)
	for _, policy := range []string{"LB_ROUNDROBIN", "LB_LEAST_REQUEST", "LB_PEAK_EWMA"} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, balanced(10, "lb_type: "+policy))
			r.numbered(10)
			for name, h := range r.hosts {
				var n atomic.Int64
				normal := rand.New(rand.NewPCG(1, uint64(len(name))))
				var mu sync.Mutex
				h.answers(func(w http.ResponseWriter, _ *http.Request) {
					mu.Lock()
					d := time.Duration((50 + 10*normal.NormFloat64()) * float64(time.Millisecond))
					mu.Unlock()
					if name == "10" && n.Add(1)%5 == 0 { // one in five, so that it is 2 % of all
						d = time.Second
					}
					time.Sleep(max(0, d))
					_, _ = io.WriteString(w, name)
				})
			}
			r.load(10, 200) // what they learn first does not count
			took := r.load(10, 1000)
			slices.Sort(took)
			p99[policy], slow[policy] = took[len(took)*99/100], r.hosts["10"].hits()
		})
	}
	t.Logf("P99 %v, requests of the slow host %v", p99, slow)
	if p99["LB_ROUNDROBIN"] < time.Second || p99["LB_PEAK_EWMA"] > 200*time.Millisecond {
		t.Errorf("P99 %v, want round robin at 1s and peak EWMA far below", p99)
	}
	if slow["LB_PEAK_EWMA"]*3 > slow["LB_ROUNDROBIN"] || slow["LB_PEAK_EWMA"]*3 > slow["LB_LEAST_REQUEST"]*2 {
		t.Errorf("requests of the slow host: %v", slow)
	}
}

// TestH13FastFailures: a host that fails fast does not look like the best.
func TestH13FastFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, balanced(3, "lb_type: LB_PEAK_EWMA\nlbconfig: {choice_count: 3, server_error_bias: 2}"))
		r.numbered(3)
		r.hosts["1"].slow(40 * time.Millisecond)
		r.hosts["2"].slow(40 * time.Millisecond)
		r.hosts["3"].answers(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(20 * time.Millisecond)
			w.WriteHeader(500)
		})
		for range 60 {
			r.get("/")
		}
		if n := r.hosts["3"].hits(); n == 0 || n > 10 {
			t.Errorf("the host that fails got %d of 60 requests", n)
		}
	})
}

// TestH17SlowStart: the share of a new host grows with the time since it came.
func TestH17SlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const more = "lb_type: LB_WEIGHTED_ROUNDROBIN\nslow_start: {mode: duration, slow_start_duration: 100s, aggression: 1, min_weight_percent: 0.1}"
		r := start(t, balanced(2, more))
		r.numbered(3)
		time.Sleep(200 * time.Second)
		if got := count(r.sequence(20)); got["1"] != 10 || got["2"] != 10 {
			t.Errorf("two old hosts: %v", got)
		}
		r.apply(balanced(3, more))
		share := func() float64 {
			n := count(r.sequence(210))["3"]
			return float64(n) / float64(210-n) * 2 // of an old host's
		}
		for _, c := range []struct{ after, want float64 }{{0, 0.1}, {25, 0.25}, {50, 0.5}, {75, 0.75}, {100, 1}} {
			if got := share(); got < c.want*0.85-0.02 || got > c.want*1.15+0.02 {
				t.Errorf("%v s after it came, the new host has %.2f of its share, want %.2f", c.after, got, c.want)
			}
			time.Sleep(25 * time.Second)
		}
	})
}

// TestH17OnlyByWeight: a balancer that knows no slow start says so.
func TestH17OnlyByWeight(t *testing.T) {
	_, warnings, err := parse(balanced(1, "lb_type: LB_RANDOM\nslow_start: {mode: duration, slow_start_duration: 10s}"), builtin(t))
	must(t, err)
	wantWarnings(t, warnings, "clusters[0].slow_start: has no effect: this balancer does not go by weight")
}

// TestH19OrderOfHosts: the same hosts in another order do not disturb a balancer.
func TestH19OrderOfHosts(t *testing.T) {
	hosts := []config.Host{{Address: "10.0.0.1:80", Weight: 1}, {Address: "10.0.0.2:80", Weight: 1}, {Address: "10.0.0.3:80", Weight: 1}}
	for _, policy := range []string{"LB_ROUNDROBIN", "LB_WEIGHTED_ROUNDROBIN"} {
		r := start(t, balanced(3, "lb_type: "+policy))
		r.numbered(3)
		for range 20 {
			rand.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
			must(t, r.SetHosts("a", slices.Clone(hosts)))
			if got := count(r.sequence(3)); len(got) != 3 {
				t.Errorf("%s: a round after a shuffle went to %v", policy, got)
			}
		}
	}
}

// mostly is a balancer of one's own: the first host, unless it was tried.
func mostly(lb.Options) (lb.Policy, decode.Problems, error) {
	return lb.PolicyFunc(func(hosts []*upstream.Host, _ lb.Picker) lb.Picker { return firstOf{hosts} }), nil, nil
}

type firstOf struct{ hosts []*upstream.Host }

func (p firstOf) Pick(req *stream.Request) (*upstream.Host, error) {
	for _, h := range p.hosts {
		if h.Usable() && !slices.Contains(req.Tried, h.Address) {
			return h, nil
		}
	}
	return nil, stream.Errorf(stream.NoHost, stream.Local, "nothing is left")
}

// TestH22OwnBalancer: a row more in the table is a balancer more.
func TestH22OwnBalancer(t *testing.T) {
	const text = "lb_type: MINE"
	if _, _, err := parse(balanced(3, text), builtin(t)); err == nil || !strings.Contains(err.Error(), `clusters[0].lb_type: unknown load balancer "MINE"`) {
		t.Errorf("without the row: %v", err)
	}
	r := begin(t, balanced(3, text)+`
routers: [{router_config_name: main, virtual_hosts: [{domains: ["*"], routers: [{route: {cluster_name: a, retry_policy: {retry_on: true}}}]}]}]
`, builtin(t, lb.Row{Name: "MINE", New: mostly}))
	r.numbered(3)
	if got := count(r.sequence(5)); got["1"] != 5 {
		t.Errorf("%v, want all at host 1", got)
	}
	r.hosts["1"].status(500)
	if got := count(r.sequence(5)); got["2"] != 5 {
		t.Errorf("%v, want all retried at host 2", got)
	}
}

// proxyClient is a caller over a real socket.
func proxyClient(t *testing.T, r *rig) *http.Client {
	t.Helper()
	return proxytest.Client(t, r.Addr(t, "in"))
}
