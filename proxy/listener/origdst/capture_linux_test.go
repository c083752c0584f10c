package origdst_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/listener/origdst"
	. "github.com/ottavo-runtime/ottavo/proxy/listener/origdst/netnstest"
	"golang.org/x/sys/unix"
)

// patience bounds every wait for something that should happen at once.
const patience = time.Minute

// network makes the namespaces of a proxy and of a caller.
func network(t testing.TB) (proxy, caller *Namespace) {
	t.Helper()
	proxy, caller = New(t), New(t)
	Connect(proxy, caller)
	return proxy, caller
}

// listenFor opens a socket for captured connections.
func listenFor(t testing.TB, ns *Namespace, mode origdst.Mode, network, address string) net.Listener {
	t.Helper()
	var lc net.ListenConfig
	origdst.Config{Mode: mode}.Prepare(&lc)
	l, err := ns.Listen(lc, network, address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// connect dials address from ns and returns both ends of what l accepts.
func connect(t testing.TB, ns *Namespace, d net.Dialer, address string, l net.Listener) (dialed, accepted net.Conn) {
	t.Helper()
	dialed, err := ns.Dial(d, address)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if accepted, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = accepted.Close() })
	if err := accepted.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return dialed, accepted
}

// talk proves that two ends belong together, and that bytes get through.
func talk(t *testing.T, dialed, accepted net.Conn) {
	t.Helper()
	for i, pair := range [][2]net.Conn{{dialed, accepted}, {accepted, dialed}} {
		want := fmt.Sprintf("%d from %v", i, dialed.LocalAddr())
		if _, err := io.WriteString(pair[0], want); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(pair[1], got); err != nil || string(got) != want {
			t.Fatalf("read %q, %v; want %q", got, err, want)
		}
	}
}

// reaches reports whether a socket of this network takes connections to dst.
func reaches(dst, network string) bool {
	six := netip.MustParseAddrPort(dst).Addr().Is6()
	return network == "tcp" || six == (network == "tcp6")
}

// redirect sets rules that lead ports 80 to 82 of any address to port 15001:
// what others send (PREROUTING) and what ns itself sends (OUTPUT).
func redirect(fw Firewall, ns *Namespace) {
	fw.Apply(ns, `
		table inet capture {
			chain in { type nat hook prerouting priority -100; tcp dport 80-82 redirect to :15001; }
			chain out { type nat hook output priority -100; tcp dport 80-82 redirect to :15001; }
		}
		`,
		"-t nat -A PREROUTING -p tcp --dport 80:82 -j REDIRECT --to-ports 15001",
		"-t nat -A OUTPUT -p tcp --dport 80:82 -j REDIRECT --to-ports 15001",
	)
}

// Row B10.
func TestRedirect(t *testing.T) {
	EachFirewall(t, func(t *testing.T, fw Firewall) {
		proxy, caller := network(t)
		redirect(fw, proxy)
		for _, socket := range []struct{ network, address string }{
			{"tcp4", "0.0.0.0:15001"},
			{"tcp6", "[::]:15001"},
			{"tcp", ":15001"},
		} {
			l := listenFor(t, proxy, origdst.Redirect, socket.network, socket.address)
			for _, from := range []struct {
				name string
				ns   *Namespace
			}{{"inbound", caller}, {"outbound", proxy}} {
				for _, dst := range []string{
					Far4 + ":80", Far4 + ":82", Proxy4 + ":81", // not ours, and ours
					"[" + Far6 + "]:80", "[" + Proxy6 + "]:81",
				} {
					if !reaches(dst, socket.network) {
						continue
					}
					t.Run(strings.Join([]string{socket.network, from.name, dst}, "/"), func(t *testing.T) {
						dialed, accepted := connect(t, from.ns, net.Dialer{}, dst, l)
						if at, err := netip.ParseAddrPort(accepted.LocalAddr().String()); err != nil || at.Port() != 15001 {
							t.Errorf("arrived at %v, %v; want port 15001: the rule has not changed it", accepted.LocalAddr(), err)
						}
						for _, c := range []net.Conn{accepted, conn.New(accepted), wrapped{wrapped{accepted}}} {
							got, err := origdst.Redirected(c)
							if err != nil || got.String() != dst {
								t.Errorf("Redirected(%T) = %v, %v; want %s", c, got, err, dst)
							}
						}
						talk(t, dialed, accepted)
					})
				}
			}
			for _, dst := range []string{Proxy4 + ":15001", "[" + Proxy6 + "]:15001"} {
				if !reaches(dst, socket.network) {
					continue
				}
				t.Run(strings.Join([]string{socket.network, "direct", dst}, "/"), func(t *testing.T) {
					dialed, accepted := connect(t, caller, net.Dialer{}, dst, l)
					got, err := origdst.Redirected(accepted)
					if !errors.Is(err, origdst.ErrNotRedirected) || got.IsValid() || !strings.Contains(err.Error(), "our own listening address "+dst) {
						t.Errorf("Redirected = %v, %v; want an error naming our own address", got, err)
					}
					talk(t, dialed, accepted)
				})
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// A link-local destination is of use only with the interface that leads to it.
func TestRedirectLinkLocal(t *testing.T) {
	EachFirewall(t, func(t *testing.T, fw Firewall) {
		proxy, caller := network(t)
		proxy.Must("ip", "addr", "add", "fe80::2/64", "dev", "veth0", "nodad")
		caller.Must("ip", "addr", "add", "fe80::1/64", "dev", "veth1", "nodad")
		redirect(fw, proxy)
		l := listenFor(t, proxy, origdst.Redirect, "tcp", ":15001")
		_, accepted := connect(t, caller, net.Dialer{}, "[fe80::2%veth1]:80", l)
		var got netip.AddrPort
		var err error
		proxy.Do(func() { got, err = origdst.Redirected(accepted) }) // veth0 has a name here
		if want := "[fe80::2%veth0]:80"; err != nil || got.String() != want {
			t.Errorf("Redirected = %v, %v; want %s", got, err, want)
		}
		got, err = origdst.Redirected(accepted) // and elsewhere a number
		if err != nil || got.Addr().Zone() == "" || got.Addr().WithZone("") != netip.MustParseAddr("fe80::2") {
			t.Errorf("Redirected = %v, %v; want fe80::2 with a zone", got, err)
		}
	})
}

// Without a rule in the namespace, nothing is tracked.
func TestRedirectWithoutRule(t *testing.T) {
	ns := New(t)
	for _, address := range []string{"127.0.0.1:15001", "[::1]:15001"} {
		l := listenFor(t, ns, origdst.Redirect, "tcp", address)
		_, accepted := connect(t, ns, net.Dialer{}, address, l)
		got, err := origdst.Redirected(accepted)
		if !errors.Is(err, origdst.ErrNotRedirected) || got.IsValid() || !strings.Contains(err.Error(), "REDIRECT rule") || !strings.Contains(err.Error(), address) {
			t.Errorf("Redirected = %v, %v; want an error that asks for the rule and names %s", got, err, address)
		}
		if err := accepted.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := origdst.Redirected(accepted); err == nil || errors.Is(err, origdst.ErrNotRedirected) || got.IsValid() {
			t.Errorf("Redirected of a closed connection = %v, %v; want another error", got, err)
		}
	}
}

// The kernel has no answer for Multipath TCP, so Prepare must turn it off: Go
// listens with it by default.
func TestRedirectMultipath(t *testing.T) {
	EachFirewall(t, func(t *testing.T, fw Firewall) {
		proxy, caller := network(t)
		redirect(fw, proxy)
		var d net.Dialer
		d.SetMultipathTCP(true)
		dst := Far4 + ":80"

		unprepared, err := proxy.Listen(net.ListenConfig{}, "tcp", ":15001")
		if err != nil {
			t.Fatal(err)
		}
		_, accepted := connect(t, caller, d, dst, unprepared)
		if multipath, err := accepted.(*net.TCPConn).MultipathTCP(); err != nil || !multipath {
			t.Skipf("the kernel has no Multipath TCP (%v)", err)
		}
		got, err := origdst.Redirected(accepted)
		if err == nil {
			if got.String() != dst {
				t.Errorf("Redirected = %v, want %s", got, dst)
			}
		} else if !errors.Is(err, unix.EOPNOTSUPP) || !strings.Contains(err.Error(), "Multipath TCP") {
			t.Errorf("Redirected: %v; want an error that blames Multipath TCP", err)
		}
		if err := unprepared.Close(); err != nil {
			t.Fatal(err)
		}

		l := listenFor(t, proxy, origdst.Redirect, "tcp", ":15001")
		dialed, accepted := connect(t, caller, d, dst, l)
		if got, err := origdst.Redirected(accepted); err != nil || got.String() != dst {
			t.Errorf("Redirected = %v, %v; want %s", got, err, dst)
		}
		talk(t, dialed, accepted)
	})
}

// Row B11. The rule of mangle marks and hands over; the routes make marked
// packets the machine's own.
func TestTransparent(t *testing.T) {
	EachFirewall(t, func(t *testing.T, fw Firewall) {
		proxy, caller := network(t)
		fw.Apply(proxy, `
			table inet capture {
				chain in {
					type filter hook prerouting priority -150;
					meta nfproto ipv4 tcp dport 80 tproxy ip to :15006 meta mark set 1 accept
					meta nfproto ipv6 tcp dport 80 tproxy ip6 to :15006 meta mark set 1 accept
				}
			}
			`,
			"-t mangle -A PREROUTING -p tcp --dport 80 -j TPROXY --on-port 15006 --tproxy-mark 1/1",
		)
		for _, family := range []string{"-4", "-6"} {
			proxy.Must("ip", family, "rule", "add", "fwmark", "1", "lookup", "100")
			proxy.Must("ip", family, "route", "add", "local", "default", "dev", "lo", "table", "100")
		}

		// A plain socket gets none of it, so what follows is the option's work.
		plain, err := proxy.Listen(net.ListenConfig{}, "tcp", ":15006")
		if err != nil {
			t.Fatal(err)
		}
		if c, err := caller.Dial(net.Dialer{Timeout: 200 * time.Millisecond}, Far4+":80"); err == nil {
			t.Errorf("a socket that is not transparent got the connection to %v", c.RemoteAddr())
		}
		if err := plain.Close(); err != nil {
			t.Fatal(err)
		}

		for _, socket := range []struct{ network, address string }{
			{"tcp4", "0.0.0.0:15006"},
			{"tcp6", "[::]:15006"},
			{"tcp", ":15006"},
		} {
			l := listenFor(t, proxy, origdst.TProxy, socket.network, socket.address)
			for _, dst := range []string{
				Far4 + ":80", Proxy4 + ":80", Proxy4 + ":15006", // the last without the rule
				"[" + Far6 + "]:80", "[" + Proxy6 + "]:80",
			} {
				if !reaches(dst, socket.network) {
					continue
				}
				t.Run(socket.network+"/"+dst, func(t *testing.T) {
					dialed, accepted := connect(t, caller, net.Dialer{}, dst, l)
					if got := accepted.LocalAddr().String(); got != dst {
						t.Errorf("arrived at %s, want %s", got, dst)
					}
					got, err := origdst.Config{Mode: origdst.TProxy}.Destination(accepted)
					if err != nil || got.String() != dst {
						t.Errorf("destination %v, %v; want %s", got, err, dst)
					}
					talk(t, dialed, accepted)
				})
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestTransparentWithoutCapability(t *testing.T) {
	ns := New(t)
	var dropped error
	ns.Do(func() { // the capabilities of this thread only, which ends with the test
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		dropped = unix.Capset(&header, &none[0])
	})
	if dropped != nil {
		t.Fatal(dropped)
	}
	for network, address := range map[string]string{"tcp4": "127.0.0.1:15006", "tcp6": "[::1]:15006", "tcp": ":15006"} {
		var lc net.ListenConfig
		origdst.Config{Mode: origdst.TProxy}.Prepare(&lc)
		_, err := ns.Listen(lc, network, address)
		if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") || !strings.Contains(err.Error(), address) {
			t.Errorf("%s: error %v, want one that names CAP_NET_ADMIN and the address", address, err)
		}
		plain, err := ns.Listen(net.ListenConfig{}, network, address)
		if err != nil {
			t.Errorf("%s: a plain socket: %v", address, err)
			continue
		}
		_ = plain.Close()
	}
}

// Rows B3, B10 and B12 together: three listeners, three cases, real connections.
func TestRedirectedToListener(t *testing.T) {
	EachFirewall(t, func(t *testing.T, fw Firewall) {
		proxy, caller := network(t)
		fw.Apply(proxy, `
			table inet capture {
				chain in { type nat hook prerouting priority -100; tcp dport != 15001 redirect to :15001; }
			}
			`,
			"-t nat -A PREROUTING -p tcp ! --dport 15001 -j REDIRECT --to-ports 15001",
		)
		listeners := func(yield func(name, address string) bool) {
			_ = yield("capture", "0.0.0.0:15001") &&
				yield("app", Far4+":9080") &&
				yield("any", "0.0.0.0:9080") &&
				yield("local", "127.0.0.1:9090")
		}
		l := listenFor(t, proxy, origdst.Redirect, "tcp", "0.0.0.0:15001")
		for _, c := range []struct {
			dst   string
			local bool
			want  string
			ok    bool
		}{
			{Far4 + ":9080", false, "app", true},
			{"198.51.100.7:9080", false, "any", true},
			{"198.51.100.7:9080", true, "capture", false},
			{"198.51.100.7:9090", true, "local", true},
			{"198.51.100.7:9090", false, "capture", false},
			{"[" + Far6 + "]:9080", false, "any", true},
		} {
			_, accepted := connect(t, caller, net.Dialer{}, c.dst, l)
			dst, err := origdst.Config{Mode: origdst.Redirect}.Destination(accepted)
			if err != nil {
				t.Fatal(err)
			}
			if name, ok := origdst.Choose(dst, "capture", listeners, c.local); name != c.want || ok != c.ok {
				t.Errorf("to %s (fallback_to_local %v): %q, %v; want %q, %v", c.dst, c.local, name, ok, c.want, c.ok)
			}
		}
	})
}
