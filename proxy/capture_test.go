//go:build linux

package proxy_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/listener/origdst/netnstest"
	. "github.com/ottavo-runtime/ottavo/proxy/proxytest"
)

// Destinations of captured connections. Nobody has these addresses.
const (
	appAt   = netnstest.Far4 + ":9080"
	anyAt   = "198.51.100.7:9080"
	any6At  = "[" + netnstest.Far6 + "]:9080"
	localAt = "198.51.100.7:9090"
	bytesAt = netnstest.Far4 + ":3306"
)

// captureRig is a core to which a firewall brings connections, in a network
// namespace of its own. Each listener but the first has no socket, and each has
// a host of its own, which answers with the listener's name.
type captureRig struct {
	*Server
	t             *testing.T
	proxy, caller *netnstest.Namespace
	snapshot      *config.Snapshot
	hosts         map[string]string
	requests      int
}

func newCaptureRig(t *testing.T, mode, address string) *captureRig {
	r := &captureRig{t: t, proxy: netnstest.Own(t), caller: netnstest.New(t), hosts: make(map[string]string), snapshot: &config.Snapshot{}}
	netnstest.Connect(r.proxy, r.caller)
	capture := Bound("capture", "capture", address)
	capture.UseOriginalDst = mode
	capture.ListenerFilters = []config.Extension{{Type: "original_dst", Config: map[string]any{"type": mode}}}
	list := []config.Listener{capture}
	for name, at := range map[string]string{"app": appAt, "any": "0.0.0.0:9080", "local": "127.0.0.1:9090"} {
		l := Listener(name, name)
		l.Address = at
		if name == "any" {
			l.FilterChains[0].Filters[0].Config["downstream_protocol"] = "Auto"
		}
		list = append(list, l)
	}
	for _, l := range list {
		r.hosts[l.Name] = host(t, Echo(l.Name))
		r.snapshot.Clusters = append(r.snapshot.Clusters, Cluster(l.Name, r.hosts[l.Name]))
		r.snapshot.Routers = append(r.snapshot.Routers, Router(l.Name, To("/", l.Name)))
	}
	r.snapshot.Clusters = append(r.snapshot.Clusters, Cluster("bytes", accept(t, func(_ context.Context, c net.Conn) {
		_, _ = io.WriteString(c, "bytes\n")
		_, _ = io.Copy(io.Discard, c)
	})))
	r.snapshot.Listeners = append(list, config.Listener{
		Name: "bytes", Address: "0.0.0.0:3306",
		FilterChains: []config.FilterChain{{Filters: []config.Extension{{Type: "tcp_proxy", Config: map[string]any{
			"cluster": "nosuch",
			"routes":  []any{map[string]any{"cluster": "bytes", "destination_addrs": []any{map[string]any{"address": netnstest.Far4, "length": 32}}, "destination_port": "3306"}},
		}}}}},
	})
	r.Server = Start(t, nil, r.snapshot)
	return r
}

// apply changes the configuration of the listeners. A change to nothing removes
// the listener.
func (r *captureRig) apply(name string, change func(*config.Listener)) {
	r.t.Helper()
	var list []config.Listener
	for _, l := range r.snapshot.Listeners {
		if l.Name == name {
			if change(&l); l.Name == "" {
				continue
			}
		}
		list = append(list, l)
	}
	r.snapshot.Listeners = list
	r.MustApply(r.t, r.snapshot)
}

func (r *captureRig) dial(from *netnstest.Namespace, destination string) net.Conn {
	r.t.Helper()
	c, err := from.Dial(net.Dialer{}, destination)
	must(r.t, err)
	return c
}

// get sends a request on c, which must be answered by the listener of that
// name and its host. It reports whether c can be used for more.
func (r *captureRig) get(c net.Conn, want string) (more bool) {
	r.t.Helper()
	_, err := io.WriteString(c, "GET /order HTTP/1.1\r\nHost: shop.test\r\n\r\n")
	must(r.t, err)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	must(r.t, err)
	body, err := io.ReadAll(resp.Body)
	must(r.t, err)
	must(r.t, resp.Body.Close())
	if got := string(body); got != want+": GET /order " {
		r.t.Errorf("to %v: %q, want the answer of %s", c.RemoteAddr(), got, want)
	}
	r.requests++
	rec := r.Records.Last(r.t, r.requests)
	if rec.Listener != want || rec.Host != r.hosts[want] || rec.Status != 200 || rec.Downstream != c.LocalAddr().String() {
		r.t.Errorf("to %v: the record says listener %q, host %s, caller %s; want %q, %s, %v", c.RemoteAddr(), rec.Listener, rec.Host, rec.Downstream, want, r.hosts[want], c.LocalAddr())
	}
	return !resp.Close
}

// fallback sets what is tried for a destination that no listener has.
func (r *captureRig) fallback(local bool) {
	r.t.Helper()
	r.apply("capture", func(l *config.Listener) {
		l.ListenerFilters = []config.Extension{{Type: "original_dst", Config: map[string]any{"fallback_to_local": local}}}
	})
}

// Rows B3, B10 and B12: iptables REDIRECT, of what others send and of what the
// machine sends itself.
func TestCaptureRedirect(t *testing.T) {
	netnstest.EachFirewall(t, func(t *testing.T, fw netnstest.Firewall) {
		if !netnstest.Again(t) {
			return
		}
		r := newCaptureRig(t, "redirect", ":15001")
		fw.Apply(r.proxy, `
			table inet capture {
				chain in { type nat hook prerouting priority -100; tcp dport { 3306, 9080-9090 } redirect to :15001; }
				chain out { type nat hook output priority -100; tcp dport { 3306, 9080-9090 } redirect to :15001; }
			}
			`,
			"-t nat -A PREROUTING -p tcp -m multiport --dports 3306,9080:9090 -j REDIRECT --to-ports 15001",
			"-t nat -A OUTPUT -p tcp -m multiport --dports 3306,9080:9090 -j REDIRECT --to-ports 15001",
		)
		r.goesWhereItWanted(r.caller, r.proxy)
		r.get(r.dial(r.caller, netnstest.Proxy4+":15001"), "capture")
		r.followsConfiguration()
	})
}

// Rows B11, B3 and B12: mangle TPROXY, of what others send.
func TestCaptureTransparent(t *testing.T) {
	netnstest.EachFirewall(t, func(t *testing.T, fw netnstest.Firewall) {
		if !netnstest.Again(t) {
			return
		}
		r := newCaptureRig(t, "tproxy", ":15006")
		fw.Apply(r.proxy, `
			table inet capture {
				chain in {
					type filter hook prerouting priority -150;
					meta nfproto ipv4 tcp dport { 3306, 9080-9090 } tproxy ip to :15006 meta mark set 1 accept
					meta nfproto ipv6 tcp dport { 3306, 9080-9090 } tproxy ip6 to :15006 meta mark set 1 accept
				}
			}
			`,
			"-t mangle -A PREROUTING -p tcp -m multiport --dports 3306,9080:9090 -j TPROXY --on-port 15006 --tproxy-mark 1/1",
		)
		for _, family := range []string{"-4", "-6"} {
			r.proxy.Must("ip", family, "rule", "add", "fwmark", "1", "lookup", "100")
			r.proxy.Must("ip", family, "route", "add", "local", "default", "dev", "lo", "table", "100")
		}
		r.goesWhereItWanted(r.caller)
		r.get(r.dial(r.caller, netnstest.Proxy4+":15006"), "capture")
		r.followsConfiguration()
	})
}

// goesWhereItWanted: the listener with the address, else the one for all
// addresses (or, where that is said, the loopback one) with the port, else the
// one with the socket.
func (r *captureRig) goesWhereItWanted(from ...*netnstest.Namespace) {
	for _, local := range []bool{false, true} {
		r.fallback(local)
		want := map[string]string{appAt: "app", anyAt: "any", any6At: "any", localAt: "capture"}
		if local {
			want = map[string]string{appAt: "app", anyAt: "capture", any6At: "capture", localAt: "local"}
		}
		for _, ns := range from {
			for destination, listener := range want {
				c := r.dial(ns, destination)
				r.get(c, listener)
				r.get(c, listener)
			}
		}
	}
	for _, ns := range from {
		r.fallback(false)
		line, err := bufio.NewReader(r.dial(ns, bytesAt)).ReadString('\n')
		if line != "bytes\n" || err != nil {
			r.t.Errorf("tcp_proxy: %q, %v: want what the route by the original destination leads to", line, err)
		}
	}
}

// followsConfiguration: a captured connection obeys the listener that it went
// to, which has no socket, as if that had accepted it.
func (r *captureRig) followsConfiguration() {
	t := r.t
	r.fallback(false)
	c := r.dial(r.caller, anyAt)
	r.get(c, "any")

	// Its routes.
	for i := range r.snapshot.Routers {
		if r.snapshot.Routers[i].Name == "any" {
			r.snapshot.Routers[i] = Router("any", Answer("/", 200, "new: GET /order "))
		}
	}
	r.hosts["new"] = ""
	r.MustApply(t, r.snapshot)
	_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
	must(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	must(t, err)
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	must(t, resp.Body.Close())
	if !strings.HasPrefix(string(body), "new") {
		t.Errorf("%q, want the answer of the new route", body)
	}
	r.requests++

	// Its limit.
	if got := r.Status(t, "any").Connections; got < 1 {
		t.Errorf("%d connections of the listener without a socket", got)
	}
	r.apply("any", func(l *config.Listener) { l.MaxConnections = 1 })
	before := r.Status(t, "any").Refused
	ends(t, r.dial(r.caller, anyAt))
	if got := r.Status(t, "any").Refused - before; got != 1 {
		t.Errorf("%d were refused by the limit of 1, want 1", got)
	}

	// Its end. What comes from then on goes elsewhere.
	r.apply("any", func(l *config.Listener) { *l = config.Listener{} })
	ends(t, c)
	c = r.dial(r.caller, anyAt)
	r.get(c, "capture")
}

// ends checks that the other end ends the connection in order.
func ends(t *testing.T, c net.Conn) {
	t.Helper()
	must(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
	if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
		t.Errorf("%q, %v; want the end", b, err)
	}
}

// A connection from inside the process is not captured: it is answered by the
// listener that it was handed to, whatever that is for.
func TestCaptureInjected(t *testing.T) {
	for _, mode := range []string{"redirect", "tproxy"} {
		t.Run(mode, func(t *testing.T) {
			in := Bound("in", "main", "127.0.0.1:0")
			in.UseOriginalDst = mode
			s, err := New(t, nil, &config.Snapshot{Listeners: []config.Listener{in}, Routers: []config.Router{Router("main", Answer("/", 200, "hello"))}})
			if err != nil {
				t.Skip(err) // tproxy is not for everybody
			}
			t.Cleanup(s.Close)
			if got := s.Raw(t, "in", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.HasSuffix(got, "\r\n\r\nhello") {
				t.Errorf("%q", got)
			}
		})
	}
}
