package traffic

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/listener/origdst/netnstest"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
)

// TestH2Mark: connections to hosts have the mark that firewalls see: here, one
// that refuses connections without it.
func TestH2Mark(t *testing.T) {
	netnstest.EachFirewall(t, func(t *testing.T, fw netnstest.Firewall) {
		if !netnstest.Again(t) {
			return
		}
		ns := netnstest.Own(t)
		fw.Apply(ns, `
			table inet marks {
				chain out { type filter hook output priority 0; tcp dport 7070 meta mark != 7 reject with tcp reset; }
			}
			`, "-A OUTPUT -p tcp --dport 7070 -m mark ! --mark 7 -j REJECT --reject-with tcp-reset")
		l, err := net.Listen("tcp", "127.0.0.1:7070") //nolint:noctx // closed with the test
		must(t, err)
		h := &http.Server{Handler: proxytest.Echo("a")}
		var serving sync.WaitGroup
		serving.Go(func() { _ = h.Serve(l) })
		t.Cleanup(func() { _ = h.Close(); serving.Wait() })
		for mark, want := range map[int]int{7: 200, 8: 503} {
			r := start(t, fmt.Sprintf(`clusters: [{name: a, mark: %d, hosts: [{address: "127.0.0.1:7070"}]}]`, mark))
			if a := r.get("/"); a.status != want {
				t.Errorf("with mark %d: %s, want %d", mark, a, want)
			}
		}
	})
}

// TestH14Captured: the host is where the connection wanted to go before the
// firewall brought it here.
func TestH14Captured(t *testing.T) {
	netnstest.EachFirewall(t, func(t *testing.T, fw netnstest.Firewall) {
		if !netnstest.Again(t) {
			return
		}
		ns, caller := netnstest.Own(t), netnstest.New(t)
		netnstest.Connect(ns, caller)
		r := start(t, `
listeners:
  - name: in
    address: ":15001"
    use_original_dst: redirect
    listener_filters: [{type: original_dst}]
    filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: Http1, router_config_name: main}}]}]
clusters: [{name: a, type: ORIGINAL_DST}]
`)
		fw.Apply(ns, `
			table inet capture {
				chain in { type nat hook prerouting priority -100; tcp dport 9080-9090 redirect to :15001; }
			}
			`, "-t nat -A PREROUTING -p tcp --dport 9080:9090 -j REDIRECT --to-ports 15001")
		for _, address := range []string{netnstest.Far4 + ":9080", "198.51.100.7:9090"} {
			r.host("host "+address, address)
			c, err := caller.Dial(net.Dialer{}, address)
			must(t, err)
			_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
			must(t, err)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			must(t, err)
			body, err := io.ReadAll(resp.Body)
			must(t, err)
			must(t, resp.Body.Close())
			if string(body) != "host "+address {
				t.Errorf("a connection to %s: %q", address, body)
			}
		}
	})
}
