package listener

import (
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// outgoing returns a connection, and the side that accepted it. The port of the
// first is held by it, and is nobody else's until the test ends.
func outgoing(t *testing.T) (dialed, accepted *net.TCPConn) {
	t.Helper()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: testserver.Port(t)}}
	a, err := d.DialContext(t.Context(), "tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	b, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

// A port that an outgoing connection has is taken once that is gone. This takes
// real time, since the system may need some to let the port go.
func TestBindWaitsForOutgoingConnection(t *testing.T) {
	dialed, accepted := outgoing(t)
	address := dialed.LocalAddr().String()
	l, logged := newListener(t, Options{Address: address, Patient: true})
	bound := make(chan error, 1)
	go func() { bound <- l.Bind(t.Context()) }()
	const waiting = "an outgoing connection of this machine has the port"
	for !strings.Contains(logged.String(), waiting) {
		select {
		case err := <-bound:
			t.Fatalf("error %v while the connection lives", err)
		case <-t.Context().Done():
			return
		default:
			runtime.Gosched()
		}
	}
	// Who ends first has TIME_WAIT: that is the other side's port.
	if err := accepted.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := dialed.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("read %d bytes, error %v", n, err)
	}
	if err := dialed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-bound; err != nil {
		t.Fatal(err)
	}
	if said := logged.String(); strings.Count(said, waiting) != 1 || !strings.Contains(said, address) {
		t.Errorf("logged %q", said)
	}
}

// Whoever is not patient hears of it at once.
func TestBindWithoutPatience(t *testing.T) {
	dialed, _ := outgoing(t)
	address := dialed.LocalAddr().String()
	synctest.Test(t, func(t *testing.T) {
		l, _ := newListener(t, Options{Address: address})
		start := time.Now()
		if err := l.Bind(t.Context()); err == nil || !strings.Contains(err.Error(), "in use by an outgoing connection") || time.Since(start) > 0 {
			t.Errorf("after %v error %v", time.Since(start), err)
		}
	})
}

// One that never ends is an error in the end, with the way out.
func TestBindGivesUpOnOutgoingConnection(t *testing.T) {
	dialed, _ := outgoing(t)
	address := dialed.LocalAddr().String()
	synctest.Test(t, func(t *testing.T) {
		l, _ := newListener(t, Options{Address: address, Patient: true})
		start := time.Now()
		err := l.Bind(t.Context())
		want := `listener "web" cannot listen on ` + address + `: address already in use by an outgoing connection (choose an address`
		if err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("error %v, want %q…", err, want)
		}
		if waited := time.Since(start); waited != heldWait {
			t.Errorf("gave up after %v, want %v", waited, heldWait)
		}
	})
}
