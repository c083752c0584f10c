package l4

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
)

// Routes says which cluster a connection goes to. It does not change.
type Routes struct {
	routes   []route
	fallback string
}

type route struct {
	cluster string
	// An empty list is no condition: also an address that is none of IP passes.
	from, to           []netip.Prefix
	fromPorts, toPorts []ports
}

// ports is a range, both ends included.
type ports struct{ low, high uint16 }

// NewRoutes reads the routes of cfg, which stands at path. The error is of type
// decode.Problems and holds every mistake.
func NewRoutes(cfg config.L4Proxy, path string) (*Routes, error) {
	r := &reader{}
	out := &Routes{fallback: cfg.Cluster}
	if cfg.Cluster == "" && len(cfg.Routes) == 0 {
		r.fail(decode.Join(path, "cluster"), "name one of the clusters", "neither cluster nor routes says where to send to")
	}
	for i, c := range cfg.Routes {
		at := decode.At(decode.Join(path, "routes"), i)
		if c.Cluster == "" {
			r.fail(decode.Join(at, "cluster"), "name one of the clusters", "the route does not say where to send to")
		}
		destination, key := c.DestinationPort, "destination_port"
		switch {
		case c.DestinationPort == "":
			destination, key = c.Ports, "ports"
		case c.Ports != "":
			r.fail(decode.Join(at, "ports"), "keep one of them", "ports and destination_port say the same")
		}
		out.routes = append(out.routes, route{
			cluster:   c.Cluster,
			from:      r.networks(decode.Join(at, "source_addrs"), c.SourceAddrs),
			to:        r.networks(decode.Join(at, "destination_addrs"), c.DestinationAddrs),
			fromPorts: r.ports(decode.Join(at, "source_port"), c.SourcePort),
			toPorts:   r.ports(decode.Join(at, key), destination),
		})
	}
	return out, r.problems.Err()
}

// Cluster returns the name of the cluster for a connection from source to
// destination; an address that is not valid is none of IP. It reports false
// when no route matches and there is no cluster for the rest. It allocates
// nothing.
func (r *Routes) Cluster(source, destination netip.AddrPort) (string, bool) {
	for i := range r.routes {
		if r.routes[i].matches(source, destination) {
			return r.routes[i].cluster, true
		}
	}
	return r.fallback, r.fallback != ""
}

func (r *route) matches(source, destination netip.AddrPort) bool {
	return inNetworks(r.from, source) && inNetworks(r.to, destination) &&
		inPorts(r.fromPorts, source) && inPorts(r.toPorts, destination)
}

func inNetworks(list []netip.Prefix, a netip.AddrPort) bool {
	if len(list) == 0 {
		return true
	}
	addr := a.Addr().Unmap().WithZone("")
	for _, n := range list {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

func inPorts(list []ports, a netip.AddrPort) bool {
	return len(list) == 0 || a.IsValid() && slices.ContainsFunc(list, func(p ports) bool {
		return p.low <= a.Port() && a.Port() <= p.high
	})
}

// AddrPort returns the address as one of IP; it is not valid if a is none.
func AddrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.TCPAddr:
		if a != nil {
			return unmap(a.AddrPort())
		}
	case *net.UDPAddr:
		if a != nil {
			return unmap(a.AddrPort())
		}
	}
	return netip.AddrPort{}
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// reader collects the mistakes of a configuration.
type reader struct{ problems decode.Problems }

func (r *reader) fail(path, remedy, format string, args ...any) {
	r.problems = append(r.problems, decode.Problem{Path: path, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (r *reader) networks(path string, list []config.CIDRRange) []netip.Prefix {
	const form = `write {"address": "10.0.0.0", "length": 8}`
	var out []netip.Prefix
	for i, c := range list {
		at := decode.At(path, i)
		text, bits, slash := strings.Cut(strings.TrimSpace(c.Address), "/")
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			r.fail(decode.Join(at, "address"), form, "%q is no IP address", c.Address)
			continue
		}
		mapped := addr.Is4In6()
		addr = addr.Unmap()
		length := addr.BitLen()
		switch {
		case slash && c.Length != nil:
			r.fail(decode.Join(at, "length"), "keep one of them", "the length of the prefix is in the address, too")
			continue
		case slash:
			if length, err = strconv.Atoi(bits); err != nil {
				r.fail(decode.Join(at, "address"), form, "%q is no IP address with the length of a prefix", c.Address)
				continue
			}
		case c.Length != nil:
			length = *c.Length
		}
		if mapped && (slash || c.Length != nil) {
			length -= 128 - addr.BitLen()
		}
		n, err := addr.Prefix(length)
		if err != nil {
			r.fail(decode.Join(at, "length"), fmt.Sprintf("from 0 to %d", addr.BitLen()), "%s has no prefix of %d bits", addr, length)
			continue
		}
		out = append(out, n)
	}
	return out
}

// ports reads a list of ports and ranges.
func (r *reader) ports(path, text string) []ports {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	var out []ports
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		low, err1 := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
		high, err2 := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
		if err1 != nil || err2 != nil || low > high {
			r.fail(path, `write "80", "1-65535" or "80,443,8000-8999"`, "%q is no port or range of ports", strings.TrimSpace(part))
			continue
		}
		out = append(out, ports{uint16(low), uint16(high)})
	}
	return out
}
