package l4_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/tcp/l4"
)

// read decodes a filter's configuration as it stands in a file.
func read(t testing.TB, text string) config.UDPProxy {
	t.Helper()
	var tree map[string]any
	if err := json.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatal(err)
	}
	var cfg config.UDPProxy
	warnings, err := decode.Into(&cfg, tree, "config")
	if err != nil || len(warnings) > 0 {
		t.Fatalf("decode: %v, warnings %v", err, warnings)
	}
	return cfg
}

func addr(s string) netip.AddrPort {
	if s == "" {
		return netip.AddrPort{}
	}
	return netip.MustParseAddrPort(s)
}

func TestRoutes(t *testing.T) { // not parallel: it counts allocations
	const several = `{"cluster": "rest", "routes": [
		{"cluster": "mosn", "source_addrs": [{"address": "127.0.0.1", "length": 24}], "destination_addrs": [{"address": "127.0.0.1", "length": 24}], "source_port": "1-65535", "destination_port": "2000-2100"},
		{"cluster": "ports", "ports": "80, 443,8000-8999"},
		{"cluster": "host", "source_addrs": [{"address": "10.1.2.3"}, {"address": "192.168.0.0/16"}]},
		{"cluster": "six", "destination_addrs": [{"address": "2001:db8::/32"}, {"address": "::ffff:172.16.0.0", "length": 108}]}
	]}`
	tests := []struct {
		config, source, destination string
		want                        string // "" when none matches
	}{
		{`{"cluster": "c"}`, "1.2.3.4:5", "6.7.8.9:10", "c"},
		{`{"cluster": "c"}`, "", "", "c"}, // a unix socket
		{several, "127.0.0.9:1", "127.0.0.1:2045", "mosn"},
		{several, "[::ffff:127.0.0.9]:1", "127.0.0.1:2045", "mosn"},
		{several, "127.0.0.9:0", "127.0.0.1:2045", "rest"},
		{several, "127.0.1.9:1", "127.0.0.1:2045", "rest"},
		{several, "127.0.0.9:1", "127.0.0.1:2101", "rest"},
		{several, "9.9.9.9:1", "127.0.0.1:80", "ports"},
		{several, "9.9.9.9:1", "127.0.0.1:443", "ports"},
		{several, "9.9.9.9:1", "127.0.0.1:8999", "ports"},
		{several, "9.9.9.9:1", "127.0.0.1:9000", "rest"},
		{several, "10.1.2.3:1", "127.0.0.1:1", "host"},
		{several, "10.1.2.4:1", "127.0.0.1:1", "rest"},
		{several, "192.168.77.1:1", "127.0.0.1:1", "host"},
		{several, "10.1.2.3:1", "127.0.0.1:80", "ports"}, // the first one wins
		{several, "[2001:db8::1]:1", "[2001:db8::2]:1", "six"},
		{several, "9.9.9.9:1", "172.17.0.1:1", "six"},
		{several, "[fe80::1%eth0]:1", "[fe80::2%eth0]:1", "rest"},
		{several, "", "", "rest"},
		{`{"routes": [{"cluster": "a", "ports": "1"}]}`, "9.9.9.9:1", "9.9.9.9:2", ""},
		{`{"routes": [{"cluster": "a", "source_addrs": [{"address": "0.0.0.0", "length": 0}]}]}`, "", "", ""},
		{`{"routes": [{"cluster": "a", "source_addrs": [{"address": "fe80::", "length": 10}]}]}`, "[fe80::1%eth0]:1", "", "a"},
	}
	for _, tt := range tests {
		r, err := l4.NewRoutes(read(t, tt.config).L4Proxy, "config")
		if err != nil {
			t.Fatal(err)
		}
		got, ok := r.Cluster(addr(tt.source), addr(tt.destination))
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s to %s: %q, %v; want %q", tt.source, tt.destination, got, ok, tt.want)
		}
	}
	r, _ := l4.NewRoutes(read(t, several).L4Proxy, "config")
	from, to := addr("9.9.9.9:1"), addr("127.0.0.1:9000")
	if n := testing.AllocsPerRun(100, func() { r.Cluster(from, to) }); n > 0 {
		t.Errorf("Cluster allocates %v times", n)
	}
}

func TestRoutesMistakes(t *testing.T) {
	t.Parallel()
	tests := []struct{ config, want string }{
		{`{}`, `p.cluster: neither cluster nor routes says where to send to (name one of the clusters)`},
		{`{"routes": [{"ports": "80"}]}`, `p.routes[0].cluster: the route does not say where to send to (name one of the clusters)`},
		{`{"routes": [{"cluster": "a", "ports": "80", "destination_port": "80"}]}`, `p.routes[0].ports: ports and destination_port say the same (keep one of them)`},
		{`{"routes": [{"cluster": "a", "ports": "90-80"}]}`, `p.routes[0].ports: "90-80" is no port or range of ports (write "80", "1-65535" or "80,443,8000-8999")`},
		{`{"routes": [{"cluster": "a", "source_port": "65536"}]}`, `p.routes[0].source_port: "65536" is no port`},
		{`{"routes": [{"cluster": "a", "destination_port": "80,,81"}]}`, `p.routes[0].destination_port: "" is no port`},
		{`{"routes": [{"cluster": "a", "source_addrs": [{"address": "localhost"}]}]}`, `p.routes[0].source_addrs[0].address: "localhost" is no IP address (write {"address": "10.0.0.0", "length": 8})`},
		{`{"routes": [{"cluster": "a", "source_addrs": [{"address": "10.0.0.0", "length": 33}]}]}`, `p.routes[0].source_addrs[0].length: 10.0.0.0 has no prefix of 33 bits (from 0 to 32)`},
		{`{"routes": [{"cluster": "a", "destination_addrs": [{"address": "10.0.0.0/8", "length": 8}]}]}`, `p.routes[0].destination_addrs[0].length: the length of the prefix is in the address, too (keep one of them)`},
		{`{"routes": [{"cluster": "a", "destination_addrs": [{"address": "10.0.0.0/x"}]}]}`, `p.routes[0].destination_addrs[0].address: "10.0.0.0/x" is no IP address with`},
	}
	for _, tt := range tests {
		_, err := l4.NewRoutes(read(t, tt.config).L4Proxy, "p")
		problems, ok := errors.AsType[decode.Problems](err)
		if !ok || len(problems) != 1 || !strings.HasPrefix(problems[0].String(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.config, err, tt.want)
		}
	}
}

// FuzzRoutes: what is accepted matches without panic, and a route for one
// address matches that address.
func FuzzRoutes(f *testing.F) {
	f.Add("127.0.0.1", 24, "1-65535", "10.0.0.1:80")
	f.Add("::/0", -1, "80,443", "[::1]:443")
	f.Add("::ffff:10.0.0.0", 104, "", "10.1.1.1:1")
	f.Fuzz(func(t *testing.T, address string, length int, ports, client string) {
		c := config.CIDRRange{Address: address}
		if length >= 0 {
			c.Length = &length
		}
		r, err := l4.NewRoutes(config.L4Proxy{Routes: []config.L4Route{{Cluster: "a", SourceAddrs: []config.CIDRRange{c}, SourcePort: ports}}}, "")
		if err != nil {
			return
		}
		from, _ := netip.ParseAddrPort(client)
		got, ok := r.Cluster(from, from)
		if ok && got != "a" || ok && !from.IsValid() {
			t.Fatalf("%v is sent to %q", from, got)
		}
		if self, err := netip.ParseAddr(address); err == nil && ports == "" {
			if _, ok := r.Cluster(netip.AddrPortFrom(self, 1), from); !ok {
				t.Fatalf("%s/%d does not match itself", address, length)
			}
		}
	})
}

func TestAddrPort(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a    net.Addr
		want netip.AddrPort
	}{
		{&net.TCPAddr{IP: net.ParseIP("1.2.3.4"), Port: 5}, addr("1.2.3.4:5")},
		{&net.UDPAddr{IP: net.ParseIP("::1"), Port: 5}, addr("[::1]:5")},
		{(*net.TCPAddr)(nil), netip.AddrPort{}},
		{&net.UnixAddr{Name: "/x", Net: "unix"}, netip.AddrPort{}},
		{nil, netip.AddrPort{}},
	}
	for _, tt := range tests {
		if got := l4.AddrPort(tt.a); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.a, got, tt.want)
		}
	}
}

func TestConnect(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	noHost := &stream.Error{Kind: stream.NoHost, Op: "none is healthy"}
	tests := []struct {
		name     string
		errs     map[string]error // by host; hosts are tried in the order a, b, c
		most     int
		host     string // "" when it fails
		attempts int
		kind     stream.Kind
		text     string
	}{
		{name: "first", most: 3, host: "a", attempts: 1},
		{name: "third", errs: map[string]error{"a": down, "b": down}, most: 3, host: "c", attempts: 3},
		{
			name: "all", errs: map[string]error{"a": down, "b": down, "c": down}, most: 3, attempts: 3, kind: stream.Connect,
			text: "upstream connect: cluster x: connect to c (attempt 3): down",
		},
		{name: "most", errs: map[string]error{"a": down, "b": down}, most: 2, attempts: 2, kind: stream.Connect},
		{name: "again when none is left", errs: map[string]error{"a": down, "b": down, "c": down}, most: 5, attempts: 5, kind: stream.Connect},
		{name: "nobody", errs: map[string]error{"": noHost}, most: 3, attempts: 1, kind: stream.NoHost, text: "no host: cluster x: none is healthy"},
		{name: "timeout", errs: map[string]error{"a": os.ErrDeadlineExceeded}, most: 1, attempts: 1, kind: stream.Timeout},
		{name: "kind kept", errs: map[string]error{"a": fmt.Errorf("wrapped: %w", &stream.Error{Kind: stream.Overload})}, most: 1, attempts: 1, kind: stream.Overload},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var dial l4.Dial = func(_ context.Context, a l4.Attempt) (l4.Upstream, error) {
				if err := tt.errs[""]; err != nil {
					return l4.Upstream{}, err
				}
				host := "a"
				for _, h := range []string{"a", "b", "c"} {
					if !slices.Contains(a.Tried, h) {
						host = h
						break
					}
				}
				return l4.Upstream{Host: host}, tt.errs[host]
			}
			up, attempts, err := dial.Connect(t.Context(), l4.Attempt{Network: "tcp", Cluster: "x"}, tt.most)
			if attempts != tt.attempts {
				t.Errorf("%d attempts, want %d", attempts, tt.attempts)
			}
			if tt.host != "" {
				if err != nil || up.Host != tt.host {
					t.Errorf("%q, %v; want %q", up.Host, err, tt.host)
				}
				return
			}
			e, ok := errors.AsType[*stream.Error](err)
			if !ok || e.Kind != tt.kind || tt.text != "" && e.Error() != tt.text {
				t.Errorf("%v; want %v %q", err, tt.kind, tt.text)
			}
		})
	}
}

func TestConnectCanceled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	var dial l4.Dial = func(ctx context.Context, _ l4.Attempt) (l4.Upstream, error) {
		calls++
		cancel()
		return l4.Upstream{Host: "a"}, ctx.Err()
	}
	_, _, err := dial.Connect(ctx, l4.Attempt{Cluster: "x"}, 3)
	if e := stream.AsError(err); calls != 1 || e.Kind != stream.Stopping {
		t.Errorf("%d calls, %v", calls, err)
	}
}
