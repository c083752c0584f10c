package testserver

import (
	"net"
	"testing"
	"time"
)

// AwaitPort waits until nobody listens on an address, nor is connected from it: a
// server that starts again wants the port that it had, and a client of somebody
// else's may have it for a moment. Port 0 is always free.
func AwaitPort(t testing.TB, addr string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(startTimeout); ; <-tick.C {
		l, err := net.Listen("tcp", addr)
		if err == nil {
			_ = l.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("testserver: %s is not free after %s: %v", addr, startTimeout, err)
		}
	}
}
