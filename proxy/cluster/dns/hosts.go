package dns

import (
	"net/netip"
	"strings"
)

// hostsTable is what a hosts file holds: the addresses of names in lower case.
type hostsTable map[string][]netip.Addr

// parseHosts reads a hosts file (hosts(5)): an address and its names a line, "#"
// begins a comment. What cannot be read is passed over.
func parseHosts(text []byte) hostsTable {
	t := make(hostsTable)
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		ip, err := netip.ParseAddr(fields[0])
		if err != nil {
			continue
		}
		for _, name := range fields[1:] {
			name = canonical(name)
			t[name] = append(t[name], ip.Unmap())
		}
	}
	return t
}

// lookup returns the addresses of a family that the file has for a name.
func (t hostsTable) lookup(name string, family Family) []netip.Addr {
	name = canonical(name)
	list := t[name]
	if len(list) == 0 && (name == "localhost" || strings.HasSuffix(name, ".localhost")) {
		list = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	var v4, v6 []netip.Addr
	for _, ip := range list {
		if ip.Is4() {
			v4 = append(v4, ip)
		} else {
			v6 = append(v6, ip)
		}
	}
	switch {
	case family == V4Only, family == Auto && len(v6) == 0:
		return v4
	case family == V6Only, family == Auto:
		return v6
	}
	return append(v4, v6...)
}

// canonical returns a name as names are compared: in lower case, without the dot
// at the end.
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
