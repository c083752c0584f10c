package origdst

import (
	"iter"
	"net/netip"
	"strconv"
	"strings"
)

// Choose returns the name of the listener that is to have a connection to dst.
// listeners yields the name and address of each, including those without a
// socket; addresses are unique. self is the name of the listener that the
// connection came in by. The first of these wins:
//
//  1. the listener whose address is dst;
//  2. the one with dst's port and the fallback address: 127.0.0.1 for IPv4 and
//     ::1 for IPv6 with fallbackToLocal, the wildcard without. 0.0.0.0 and ::
//     both stand for both families, as they do where a socket listens; the
//     one of dst's family is preferred;
//  3. self, and ok is false: the caller may serve the connection there or pass
//     it through to dst.
//
// The name may be self with ok true, too: then dst is self's own address, and
// passing it through would come back here.
//
// A listener is found by its address as it is written; a name in it other than
// localhost (127.0.0.1) is not looked up, and unix sockets are never chosen. dst may be
// anything.
func Choose(dst netip.AddrPort, self string, listeners iter.Seq2[string, string], fallbackToLocal bool) (name string, ok bool) {
	dst = unmap(dst)
	if !dst.IsValid() || dst.Port() == 0 || listeners == nil {
		return self, false
	}
	const (
		otherFamily = 1 + iota
		sameFamily
	)
	best := 0
	for candidate, address := range listeners {
		at := parse(address)
		if !at.IsValid() || at.Port() != dst.Port() {
			continue
		}
		ip := at.Addr()
		if same(ip, dst.Addr()) {
			return candidate, true
		}
		rank := 0
		family := ip.Is4() == dst.Addr().Is4()
		switch {
		case fallbackToLocal:
			if family && (ip == loopback4() || ip == netip.IPv6Loopback()) {
				rank = sameFamily
			}
		case ip.IsUnspecified() && family:
			rank = sameFamily
		case ip.IsUnspecified():
			rank = otherFamily
		}
		if rank > best {
			best, name = rank, candidate
		}
	}
	if best == 0 {
		return self, false
	}
	return name, true
}

func loopback4() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }

// parse returns a listener's address, the zero value when it is none with an
// IP address and a port.
func parse(address string) netip.AddrPort {
	host, port, _ := strings.Cut(address, ":")
	ip := netip.IPv6Unspecified()
	switch {
	case host == "":
	case strings.EqualFold(host, "localhost"):
		ip = loopback4()
	case host[0] == '[' || '0' <= host[0] && host[0] <= '9':
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return netip.AddrPort{}
		}
		return unmap(at)
	default:
		return netip.AddrPort{}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip, uint16(n))
}

// unmap makes ::ffff:a.b.c.d, as IPv4 looks at a socket for both families, a.b.c.d.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// same compares addresses. Of two link-local ones, the interface counts only
// where both name it.
func same(a, b netip.Addr) bool {
	return a == b || (a.Zone() == "" || b.Zone() == "") && a.WithZone("") == b.WithZone("")
}
