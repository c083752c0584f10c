package origdst_test

import (
	"iter"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/listener/origdst"
)

// addresses yields each address as a listener whose name it is.
func addresses(list ...string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, a := range list {
			if !yield(a, a) {
				return
			}
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	const no = "" // none: the listener itself
	for name, c := range map[string]struct {
		dst       string
		local     bool
		listeners string
		want      string
	}{
		"exact":                             {"192.0.2.1:80", false, "0.0.0.0:80 127.0.0.1:80 192.0.2.1:80", "192.0.2.1:80"},
		"exact, with local":                 {"192.0.2.1:80", true, "0.0.0.0:80 127.0.0.1:80 192.0.2.1:80", "192.0.2.1:80"},
		"exact, first":                      {"192.0.2.1:80", false, "192.0.2.1:80 0.0.0.0:80", "192.0.2.1:80"},
		"wildcard":                          {"192.0.2.1:80", false, "192.0.2.2:80 127.0.0.1:80 0.0.0.0:81 0.0.0.0:80", "0.0.0.0:80"},
		"local":                             {"192.0.2.1:80", true, "192.0.2.2:80 127.0.0.1:81 0.0.0.0:80 127.0.0.1:80", "127.0.0.1:80"},
		"local is no wildcard":              {"192.0.2.1:80", true, "0.0.0.0:80 :80", no},
		"wildcard is no local":              {"192.0.2.1:80", false, "127.0.0.1:80 [::1]:80", no},
		"other port":                        {"192.0.2.1:80", false, "192.0.2.1:81 0.0.0.0:8080", no},
		"other address":                     {"192.0.2.1:80", false, "192.0.2.2:80", no},
		"no listeners":                      {"192.0.2.1:80", false, "", no},
		"local: only 127.0.0.1":             {"192.0.2.1:80", true, "127.0.0.2:80", no},
		"local: localhost":                  {"192.0.2.1:80", true, "LocalHost:80", "LocalHost:80"},
		"exact: localhost":                  {"127.0.0.1:80", false, "0.0.0.0:80 localhost:80", "localhost:80"},
		"IPv6 exact":                        {"[2001:db8::1]:80", false, "[::]:80 [2001:db8::1]:80", "[2001:db8::1]:80"},
		"IPv6 exact, written otherwise":     {"[2001:db8::1]:80", false, "[2001:0DB8:0:0::01]:80", "[2001:0DB8:0:0::01]:80"},
		"IPv6 wildcard":                     {"[2001:db8::1]:80", false, "[::1]:80 [::]:80", "[::]:80"},
		"IPv6 local":                        {"[2001:db8::1]:80", true, "[::]:80 127.0.0.1:80 [::1]:80", "[::1]:80"},
		"IPv6 local is not 127.0.0.1":       {"[2001:db8::1]:80", true, "127.0.0.1:80 localhost:80", no},
		"IPv4 local is not ::1":             {"192.0.2.1:80", true, "[::1]:80", no},
		"own family's wildcard, IPv4":       {"192.0.2.1:80", false, "[::]:80 0.0.0.0:80", "0.0.0.0:80"},
		"own family's wildcard, IPv4 first": {"192.0.2.1:80", false, "0.0.0.0:80 [::]:80", "0.0.0.0:80"},
		"own family's wildcard, IPv6":       {"[2001:db8::1]:80", false, "0.0.0.0:80 [::]:80", "[::]:80"},
		"any wildcard, IPv4":                {"192.0.2.1:80", false, "[::]:80", "[::]:80"},
		"any wildcard, IPv6":                {"[2001:db8::1]:80", false, "0.0.0.0:80", "0.0.0.0:80"},
		"wildcard without host":             {"192.0.2.1:80", false, ":80", ":80"},
		"mapped destination":                {"[::ffff:192.0.2.1]:80", false, "192.0.2.1:80", "192.0.2.1:80"},
		"mapped listener":                   {"192.0.2.1:80", false, "[::ffff:192.0.2.1]:80", "[::ffff:192.0.2.1]:80"},
		"mapped destination, local":         {"[::ffff:192.0.2.1]:80", true, "[::1]:80 127.0.0.1:80", "127.0.0.1:80"},
		"zone":                              {"[fe80::1%eth0]:80", false, "[fe80::1%eth1]:80 [fe80::1%eth0]:80", "[fe80::1%eth0]:80"},
		"other zone":                        {"[fe80::1%eth0]:80", false, "[fe80::1%eth1]:80", no},
		"zone at the destination only":      {"[fe80::1%eth0]:80", false, "[fe80::1]:80", "[fe80::1]:80"},
		"zone at the listener only":         {"[fe80::1]:80", false, "[fe80::1%eth1]:80", "[fe80::1%eth1]:80"},
		"unix sockets and nonsense":         {"192.0.2.1:80", false, "unix:80 unix:/run/80 /run/x:80 example.test:80 :: : x :-80 :+80 :65616 192.0.2.1 0x0:80", no},
		"no port":                           {"192.0.2.1:0", false, "0.0.0.0:0 192.0.2.1:0 :0", no},
		"unspecified destination":           {"0.0.0.0:80", false, "192.0.2.1:80", no},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, found := c.want, c.want != no
			if !found {
				want = "self"
			}
			got, ok := origdst.Choose(netip.MustParseAddrPort(c.dst), "self", addresses(strings.Fields(c.listeners)...), c.local)
			if got != want || ok != found {
				t.Errorf("%q, %v; want %q, %v", got, ok, want, found)
			}
		})
	}
}

// Whatever a destination that is none meets, nothing is chosen.
func TestChooseNothing(t *testing.T) {
	t.Parallel()
	all := addresses("", ":", "0.0.0.0:0", ":0", "[::]:0", "0.0.0.0:80")
	for _, dst := range []netip.AddrPort{{}, netip.AddrPortFrom(netip.Addr{}, 80), netip.AddrPortFrom(netip.IPv4Unspecified(), 0)} {
		if got, ok := origdst.Choose(dst, "self", all, false); got != "self" || ok {
			t.Errorf("%v: %q, %v", dst, got, ok)
		}
	}
	if got, ok := origdst.Choose(netip.MustParseAddrPort("192.0.2.1:80"), "self", nil, false); got != "self" || ok {
		t.Errorf("no listeners: %q, %v", got, ok)
	}
}

// The listener itself may be the one found; the caller is told so.
func TestChooseSelf(t *testing.T) {
	t.Parallel()
	got, ok := origdst.Choose(netip.MustParseAddrPort("192.0.2.1:15001"), "0.0.0.0:15001", addresses("0.0.0.0:15001"), false)
	if got != "0.0.0.0:15001" || !ok {
		t.Errorf("%q, %v", got, ok)
	}
}

// FuzzChoose compares with package net: what is chosen for a destination must
// be an address that a socket there would take the connection at, or 127.0.0.1.
func FuzzChoose(f *testing.F) {
	f.Add([]byte{192, 0, 2, 1}, uint16(80), "0.0.0.0:80", "127.0.0.1:80", true)
	f.Add([]byte{192, 0, 2, 1}, uint16(80), "[::]:80", ":80", false)
	f.Add([]byte(net.IPv6loopback), uint16(1), "[::1%1]:1", "localhost:1", true)
	f.Add([]byte(nil), uint16(0), "", ":", false)
	f.Fuzz(func(t *testing.T, ip []byte, port uint16, one, two string, local bool) {
		addr, _ := netip.AddrFromSlice(ip)
		dst := netip.AddrPortFrom(addr, port)
		name, ok := origdst.Choose(dst, "self", func(yield func(string, string) bool) {
			_ = yield("one", one) && yield("two", two)
		}, local)
		if !ok {
			if name != "self" {
				t.Fatalf("%q without ok", name)
			}
			if one == dst.String() && dst.IsValid() && port != 0 {
				t.Fatalf("%v was not found", dst)
			}
			return
		}
		address, known := map[string]string{"one": one, "two": two}[name]
		if !known {
			t.Fatalf("chose %q, which is none of the listeners", name)
		}
		host, service, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatalf("chose %q: %v", address, err)
		}
		if n, err := net.LookupPort("tcp", service); err != nil || n != int(port) || port == 0 {
			t.Fatalf("chose %q for %v: port %d, %v", address, dst, n, err)
		}
		host, _, _ = strings.Cut(host, "%")
		at := net.ParseIP(host)
		switch {
		case strings.EqualFold(host, "localhost"):
			at = net.IPv4(127, 0, 0, 1)
		case host == "":
			at = net.IPv6unspecified
		}
		switch {
		case at.Equal(ip):
		case local && (at.String() == "127.0.0.1" || at.String() == "::1"):
		case !local && at.IsUnspecified():
		default:
			t.Fatalf("chose %q for %v (fallback_to_local %v)", address, dst, local)
		}
	})
}
