package traffic

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/dns/dnstest"
)

// Tests of hosts that come from DNS: row H18. The name server is a real one, on
// sockets; the hosts are in memory.

// named is a cluster whose hosts are what a name stands for.
func named(server *dnstest.Server, name, more string) string {
	if !strings.Contains(more, "connect_timeout") {
		more += "\n    connect_timeout: 30s" // which is how long a request waits for the first answer
	}
	host, port, _ := net.SplitHostPort(server.Address)
	return fmt.Sprintf(`
clusters:
  - name: a
    type: STRICT_DNS
    dns_refresh_rate: 20ms
    dns_resolvers: {servers: [%q], port: %q, search: [shop.test], ndots: 1, timeout: 20, attempts: 2}
    hosts: [{address: %q}]
    %s
`, host, port, name, more)
}

// addresses are those of the hosts that the cluster has, sorted.
func (r *rig) addresses() string {
	var list []string
	for _, h := range r.Clusters()[0].Hosts {
		list = append(list, h.Address)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func (r *rig) follows(want string) {
	r.t.Helper()
	eventually(r.t, "the hosts are "+want, func() bool { return r.addresses() == want })
}

// TestH18FollowsRecords: all addresses of the name are hosts, and they follow
// the records; while the name server fails, they stay.
func TestH18FollowsRecords(t *testing.T) {
	server := dnstest.New(t)
	server.Set("pay.shop.test", "A 10.0.0.1", "A 10.0.0.2", "AAAA fd00::1")
	r := start(t, named(server, "pay:8080", ""))
	r.listed("1 10.0.0.1:8080, 2 10.0.0.2:8080, 3 10.0.0.3:8080")
	// The first request may come before the first answer: it waits.
	if got := r.shares(6, "/"); got["200 1"]+got["200 2"] != 6 {
		t.Errorf("%v", got)
	}
	r.follows("10.0.0.1:8080 10.0.0.2:8080")
	if got := r.shares(6, "/"); got["200 1"] != 3 || got["200 2"] != 3 {
		t.Errorf("%v, want 3 each", got)
	}
	server.Set("pay.shop.test", "A 10.0.0.3", "A 10.0.0.2")
	r.follows("10.0.0.2:8080 10.0.0.3:8080")
	if got := r.shares(6, "/"); got["200 2"] != 3 || got["200 3"] != 3 {
		t.Errorf("%v, want 3 each", got)
	}
	for _, rcode := range []int{dns.RcodeServerFailure, dns.RcodeRefused} {
		server.Fail(rcode)
		before := len(server.Asked())
		eventually(t, "the name is asked for again", func() bool { return len(server.Asked()) > before+2 })
		if got := r.addresses(); got != "10.0.0.2:8080 10.0.0.3:8080" {
			t.Errorf("while DNS fails: %s", got)
		}
		if a := r.get("/"); a.status != 200 {
			t.Errorf("while DNS fails: %s", a)
		}
	}
	server.Fail(0)
	server.Set("pay.shop.test", "A 10.0.0.1")
	r.follows("10.0.0.1:8080")
	for _, q := range server.Asked() {
		if strings.Contains(q, "AAAA") {
			t.Errorf("asked %s, but only IPv4 is wanted", q)
			break
		}
	}
}

// TestH18Families: which addresses of a name are used.
func TestH18Families(t *testing.T) {
	server := dnstest.New(t)
	server.Set("both.shop.test", "A 10.0.0.1", "AAAA fd00::1")
	server.Set("four.shop.test", "A 10.0.0.1")
	for _, c := range [][3]string{
		{"both", "V4_ONLY", "10.0.0.1:80"},
		{"both", "V6_ONLY", "[fd00::1]:80"},
		{"both", "AUTO", "[fd00::1]:80"},
		{"four", "AUTO", "10.0.0.1:80"},
		{"both", "ALL", "10.0.0.1:80 [fd00::1]:80"},
	} {
		r := start(t, named(server, c[0]+":80", "dns_lookup_family: "+c[1]))
		r.follows(c[2])
	}
}

// TestH18TTL: with respect_dns_ttl a name is looked up when its answer expires,
// not before.
func TestH18TTL(t *testing.T) {
	server := dnstest.New(t)
	server.Set("long.shop.test", "300 A 10.0.0.1")
	server.Set("short.shop.test", "1 A 10.0.0.1")
	long := start(t, named(server, "long.shop.test:80", "respect_dns_ttl: true"))
	short := start(t, named(server, "short.shop.test:80", "respect_dns_ttl: true"))
	long.follows("10.0.0.1:80")
	short.follows("10.0.0.1:80")
	asked := func(name string) (n int) {
		for _, q := range server.Asked() {
			if strings.Contains(q, name) {
				n++
			}
		}
		return n
	}
	eventually(t, "the short answer is asked for again", func() bool { return asked("short") >= 2 })
	if n := asked("long"); n != 1 {
		t.Errorf("%d questions for an answer that holds for 300 s", n)
	}
}

// TestH18NoFlood: a name server that fails is not asked without a pause, and
// nobody asks any more when the cluster is gone.
func TestH18NoFlood(t *testing.T) {
	server := dnstest.New(t)
	server.Fail(dns.RcodeServerFailure)
	r := start(t, strings.Replace(named(server, "pay.shop.test:80", "connect_timeout: 50ms"), "dns_refresh_rate: 20ms", "dns_refresh_rate: 60s", 1))
	eventually(t, "the first question", func() bool { return len(server.Asked()) > 0 })
	begin := time.Now()
	for range 20 {
		if a := r.get("/"); a.status != 503 {
			t.Errorf("%s, want 503", a)
		}
	}
	if n, d := len(server.Asked()), time.Since(begin); float64(n) > 20*max(1, d.Seconds()) {
		t.Errorf("%d questions in %v", n, d)
	}
	r.apply(`clusters: [{name: b, hosts: [{address: "10.0.0.1:80"}]}]`)
	// A question may be on its way, but then there are no more.
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	last := -1
	eventually(t, "no questions after the cluster was gone", func() bool {
		<-tick.C
		before := last
		last = len(server.Asked())
		return last == before
	})
}

// TestH18KeepsState: a host that stays keeps its connections when another
// comes, and the hosts stay when the rest of the cluster changes.
func TestH18KeepsState(t *testing.T) {
	server := dnstest.New(t)
	server.Set("pay.shop.test", "A 10.0.0.1")
	r := start(t, named(server, "pay:80", ""))
	r.listed("1 10.0.0.1:80, 2 10.0.0.2:80")
	r.want("200 1", "/")
	server.Set("pay.shop.test", "A 10.0.0.2", "A 10.0.0.1")
	r.follows("10.0.0.1:80 10.0.0.2:80")
	r.shares(4, "/")
	if n := r.Network.Dials("10.0.0.1:80"); n != 1 {
		t.Errorf("%d connections to the host that stayed", n)
	}
	server.Fail(dns.RcodeServerFailure)
	r.apply(named(server, "pay:80", "lb_type: LB_RANDOM"))
	if got := r.addresses(); got != "10.0.0.1:80 10.0.0.2:80" {
		t.Errorf("a new configuration while DNS fails: %s", got)
	}
	if a := r.get("/"); a.status != 200 {
		t.Errorf("a new configuration while DNS fails: %s", a)
	}
}
