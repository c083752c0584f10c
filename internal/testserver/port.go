package testserver

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// The ports that Port gives lie below those that Linux gives to outgoing
// connections (32768 and up, net.ipv4.ip_local_port_range): one of them could be
// taken at any moment by any client on the machine.
const (
	firstPort = 18000
	ports     = 14000
)

// Port returns a port on which nobody listens, over TCP or UDP. No other call
// returns it before the test ends, in this process or another one on this machine: a
// server can be started on it, stopped and started again, and until then whoever
// connects is refused.
func Port(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := firstPort + rand.IntN(ports)
		if claim, ok := claim(port); ok {
			t.Cleanup(func() { _ = claim.Close() }) // nothing was accepted
			return port
		}
	}
	t.Fatalf("testserver: no port of %d to %d is free", firstPort, firstPort+ports-1)
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
