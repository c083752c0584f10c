package router

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// anyPort is the port of a domain that takes every port, and none.
const anyPort = "*"

// domains finds the virtual host for an authority. The most definite domain
// wins:
//
//  1. the host itself, with that port
//  2. the host itself, with any port
//  3. the longest ending, with that port
//  4. the longest ending, with any port
//  5. *
//
// "That port" includes none: shop.example takes requests for shop.example, and
// shop.example:8080 or shop.example:* those with a port.
type domains struct {
	names   foldMap[ports]
	addrs   map[netip.Addr]ports // IPv6, which has many spellings
	endings foldMap[ports]       // by the text behind the *
	lengths []int                // of endings, longest first
	all     *virtualHost
}

// ports holds the virtual hosts of one name by port; "" is none.
type ports map[string]*virtualHost

// add adds a domain of vh: a name, an address, *ending or *, each alone, with
// :port or with :*. It returns what is wrong with it, and the way out.
func (d *domains) add(domain string, vh *virtualHost) (message, remedy string) {
	host, port := splitAuthority(domain)
	ending, wild := strings.CutPrefix(host, "*")
	switch {
	case strings.TrimSpace(domain) == "":
		return "the domain is empty", `write "*" for all`
	case host == "" && (port == "" || port == anyPort):
		return fmt.Sprintf("%q names no host", domain), `write "*" for all`
	case host == "":
		return fmt.Sprintf("%q names no host", domain), fmt.Sprintf(`write "*:%s" for all hosts with this port`, port)
	case strings.Contains(ending, "*") || port != anyPort && strings.Contains(port, "*"):
		return fmt.Sprintf("%q is no domain", domain), `"*" may stand at the start, or for any port: "*.example.com", "example.com:*"`
	case strings.ContainsAny(domain, " \t\r\n/"):
		return fmt.Sprintf("%q is no domain", domain), "write the host only, without scheme and path"
	case wild && ending == "" && (port == "" || port == anyPort):
		if d.all != nil {
			return twice(domain, d.all)
		}
		d.all = vh
		return "", ""
	}
	p := d.place(host)
	if other := p[port]; other != nil {
		return twice(domain, other)
	}
	p[port] = vh
	return "", ""
}

func twice(domain string, vh *virtualHost) (message, remedy string) {
	return fmt.Sprintf("the domain %q is taken by virtual host %s", domain, vh.name), "a domain belongs to one virtual host of a router"
}

// place returns where the virtual hosts of a host are kept, making it if need be.
func (d *domains) place(host string) ports {
	if addr, ok := parseIPv6(host); ok {
		if d.addrs[addr] == nil {
			d.addrs[addr] = make(ports)
		}
		return d.addrs[addr]
	}
	var p *ports
	if ending, ok := strings.CutPrefix(host, "*"); !ok {
		p = d.names.at(host)
	} else {
		p = d.endings.at(ending)
		longer := func(a, b int) int { return b - a }
		if i, known := slices.BinarySearchFunc(d.lengths, len(ending), longer); !known {
			d.lengths = slices.Insert(d.lengths, i, len(ending))
		}
	}
	if *p == nil {
		*p = make(ports)
	}
	return *p
}

// find returns the virtual host for an authority, or nil.
func (d *domains) find(authority string) *virtualHost {
	if len(d.names) == 0 && len(d.endings) == 0 && len(d.addrs) == 0 {
		return d.all
	}
	host, port := splitAuthority(authority)
	p := d.names.get(host)
	if len(d.addrs) > 0 {
		if addr, ok := parseIPv6(host); ok {
			p = d.addrs[addr]
		}
	}
	if vh := p[port]; vh != nil {
		return vh
	}
	if vh := p[anyPort]; vh != nil {
		return vh
	}
	if vh := d.findEnding(host, port); vh != nil {
		return vh
	}
	return d.all
}

// findEnding returns the virtual host of the longest ending of host that takes
// the port, or nil. The * stands for one byte at least.
func (d *domains) findEnding(host, port string) (found *virtualHost) {
	for _, n := range d.lengths {
		if n >= len(host) {
			continue
		}
		p := d.endings.get(host[len(host)-n:])
		if vh := p[port]; vh != nil {
			return vh
		}
		if found == nil {
			found = p[anyPort]
		}
	}
	return found
}

// splitAuthority splits host:port, [v6] and [v6]:port. More than one colon
// without brackets is an address without a port.
func splitAuthority(s string) (host, port string) {
	if rest, ok := strings.CutPrefix(s, "["); ok {
		if host, port, ok = strings.Cut(rest, "]"); ok {
			return host, strings.TrimPrefix(port, ":")
		}
		return s, ""
	}
	if i := strings.IndexByte(s, ':'); i >= 0 && strings.LastIndexByte(s, ':') == i {
		return s[:i], s[i+1:]
	}
	return s, ""
}

func parseIPv6(host string) (netip.Addr, bool) {
	if strings.IndexByte(host, ':') < 0 {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(host)
	return addr, err == nil
}
