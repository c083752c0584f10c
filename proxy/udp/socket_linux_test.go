package udp

import (
	"net/netip"
	"testing"
)

// FuzzDestination: whatever a control message holds is read without panic, and
// what we write we read.
func FuzzDestination(f *testing.F) {
	f.Add(from(netip.MustParseAddr("127.0.0.1")))
	f.Add(from(netip.MustParseAddr("2001:db8::1")))
	f.Add(from(netip.MustParseAddr("::ffff:127.0.0.1")))
	f.Fuzz(func(t *testing.T, oob []byte) {
		a := destination(oob)
		if !a.IsValid() {
			return
		}
		back := destination(append(from(a), oob...))
		if a.Is6() && back != a {
			t.Fatalf("%v is read as %v", a, back)
		}
	})
}
