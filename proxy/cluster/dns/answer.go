package dns

import (
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// found is what an answer holds for a name.
type found struct {
	addrs []netip.Addr
	end   string        // the name that the aliases lead to
	ttl   time.Duration // of all that led there
}

// read finds the addresses of a name among records, by way of its aliases: what
// belongs to other names does not count. ok is false if there are too many
// aliases. An address that no host can have (unspecified, multicast, broadcast)
// is left out: filtering servers answer 0.0.0.0, which would be this machine.
func read(records []dns.RR, name string, qtype uint16) (f found, ok bool) {
	f = found{end: name, ttl: maxTTL}
	for range maxLinks + 1 {
		next := ""
		for _, rr := range records {
			h := rr.Header()
			if h.Class != dns.ClassINET || !sameName(h.Name, f.end) {
				continue
			}
			switch rr := rr.(type) {
			case *dns.A:
				f.add(qtype == dns.TypeA, rr.A, h)
			case *dns.AAAA:
				f.add(qtype == dns.TypeAAAA, rr.AAAA, h)
			case *dns.CNAME:
				next = rr.Target
				f.ttl = min(f.ttl, seconds(h.Ttl))
			}
		}
		if len(f.addrs) > 0 || next == "" {
			return f, true
		}
		f.end = next
	}
	return f, false
}

func (f *found) add(wanted bool, bytes []byte, h *dns.RR_Header) {
	ip, ok := netip.AddrFromSlice(bytes)
	ip = ip.Unmap()
	if !wanted || !ok || ip.IsUnspecified() || ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return
	}
	f.addrs = append(f.addrs, ip)
	f.ttl = min(f.ttl, seconds(h.Ttl))
}

// seconds returns a TTL as a time; what has the highest bit set is 0 (RFC 2181
// section 8).
func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0
	}
	return min(time.Duration(ttl)*time.Second, maxTTL)
}

// sameName compares names without regard to case.
func sameName(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}
