//go:build unix

package redisnode

import (
	"net"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// A connection whose last read had a deadline, which has passed, as that of every one
// has that rested for a while, is no dead one for that; and its end is noticed.
func TestHungUp(t *testing.T) {
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer door.Close() //nolint:errcheck // nothing follows
	c, err := net.Dial("tcp", door.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // nothing follows
	peer, err := door.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if hungUp(c) {
		t.Error("a new connection is dead")
	}
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if hungUp(c) {
		t.Error("a deadline that has passed makes a connection dead")
	}
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
	deadline, tick := time.NewTimer(testserver.Patience), time.NewTicker(time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !hungUp(c) {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("the end of a connection is not noticed")
		}
	}
}
