package testserver

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
)

// The ports that Port gives, unless the system gives some of them to outgoing
// connections: one of those could be taken at any moment by any client on the machine.
// Linux keeps 32768 and up for them, if nobody says otherwise.
const (
	firstPort = 18000
	lastPort  = 31999
)

// portRange returns the first and the last of the ports that Port may give, on a
// system with these words in net.ipv4.ip_local_port_range.
func portRange(outgoing string) (first, last int) {
	var from, to int
	if n, _ := fmt.Sscan(outgoing, &from, &to); n < 2 || to < firstPort || from > lastPort {
		return firstPort, lastPort
	}
	// The wider one of what is below and what is above.
	const least = 1024 // where anybody may listen
	if below, above := from-least, 65535-to; max(below, above) < 1000 {
		return firstPort, lastPort // there is no room for all
	} else if above > below {
		return to + 1, 65535
	}
	return least, from - 1
}

var portRangeHere = sync.OnceValues(func() (first, last int) {
	outgoing, _ := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range") // where there is none, Linux's default is as good as any
	return portRange(string(outgoing))
})

// Port returns a port on which nobody listens, over TCP or UDP. No other call
// returns it before the test ends, in this process or another one on this machine: a
// server can be started on it, stopped and started again, and until then whoever
// connects is refused.
func Port(t testing.TB) int {
	t.Helper()
	first, last := portRangeHere()
	for range 1000 {
		port := first + rand.IntN(last-first+1)
		if claim, ok := claim(port); ok {
			t.Cleanup(func() { _ = claim.Close() }) // nothing was accepted
			return port
		}
	}
	t.Fatalf("testserver: no port of %d to %d is free", first, last)
	return 0
}

// Addr returns 127.0.0.1 with a port as from Port.
func Addr(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(Port(t)))
}

// claim takes the port's name in the kernel's list of abstract sockets, which one
// process can have at a time, and which ends with it however it ends; and looks
// whether the port is in use by somebody who asks for no name.
func claim(port int) (net.Listener, bool) {
	name, err := net.Listen("unix", fmt.Sprintf("@ottavo-test-port-%d", port))
	if err != nil {
		return nil, false
	}
	if !free(port) {
		_ = name.Close()
		return nil, false
	}
	return name, true
}

func free(port int) bool {
	addr := ":" + strconv.Itoa(port) // all addresses of the machine
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	_ = l.Close()
	pc, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	_ = pc.Close()
	return true
}
