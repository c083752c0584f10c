package conn

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// sockets returns both ends of a TCP connection.
func sockets(t *testing.T) (c *Conn, peer *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = nc.Close(), far.Close() })
	return New(far), nc.(*net.TCPConn)
}

// Of a socket it is seen when the peer resets it, whoever waits already, and
// nothing else: neither the end of its direction, nor what is sent to it.
func TestWaitHangUpSocket(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it is not seen elsewhere")
	}
	for name, c := range map[string]struct {
		before, meanwhile func(t *testing.T, c *Conn, peer *net.TCPConn)
		want              error
	}{
		"reset": {nil, func(_ *testing.T, _ *Conn, peer *net.TCPConn) {
			_, _ = peer.SetLinger(0), peer.Close()
		}, nil},
		"reset before": {func(_ *testing.T, _ *Conn, peer *net.TCPConn) {
			_, _ = peer.SetLinger(0), peer.Close()
		}, nil, nil},
		"closed, and written to": {func(_ *testing.T, _ *Conn, peer *net.TCPConn) {
			_ = peer.Close()
		}, func(t *testing.T, c *Conn, _ *net.TCPConn) {
			if _, err := c.Write([]byte("x")); err != nil {
				t.Error(err)
			}
		}, nil},
		"half closed": {nil, func(t *testing.T, c *Conn, peer *net.TCPConn) {
			_, err := c.Write([]byte("x"))
			if n, readErr := peer.Read(make([]byte, 9)); n != 1 || err != nil {
				t.Error(n, err, readErr)
			}
			_ = c.SetReadDeadline(time.Unix(1, 0))
		}, os.ErrDeadlineExceeded},
		"closed here": {nil, func(_ *testing.T, c *Conn, _ *net.TCPConn) { _ = c.Close() }, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			s, peer := sockets(t)
			_ = peer.CloseWrite()
			if _, err := s.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if c.before != nil {
				c.before(t, s, peer)
			}
			over := make(chan error, 1)
			go func() { over <- s.WaitHangUp() }()
			if c.meanwhile != nil {
				c.meanwhile(t, s, peer)
			}
			select {
			case err := <-over:
				if !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
			case <-time.After(time.Minute):
				t.Error("it waits for ever")
			}
		})
	}
}

// The ends of a pipe know of each other.
func TestWaitHangUpPipe(t *testing.T) {
	for name, c := range map[string]struct {
		then func(c *Conn, peer *PipeConn)
		want error
	}{
		"closed":       {func(_ *Conn, peer *PipeConn) { _ = peer.Close() }, nil},
		"input closed": {func(c *Conn, peer *PipeConn) { _, _ = peer.CloseRead(), c.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"half closed":  {func(c *Conn, _ *PipeConn) { _ = c.SetReadDeadline(time.Now().Add(time.Hour)) }, os.ErrDeadlineExceeded},
		"closed here":  {func(c *Conn, _ *PipeConn) { _ = c.Close() }, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			pair(t, func(t *testing.T, s *Conn, peer *PipeConn) {
				_ = peer.CloseWrite()
				if _, err := s.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				over := make(chan error, 1)
				go func() { over <- s.WaitHangUp() }()
				synctest.Wait()
				select {
				case err := <-over:
					t.Fatalf("it does not wait: %v", err)
				default:
				}
				c.then(s, peer)
				if err := <-over; !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
			})
		})
	}
	c := New(unseen{})
	if err := c.WaitHangUp(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a connection that cannot be looked at: %v", err)
	}
}

// unseen is a connection of some other kind.
type unseen struct{ net.Conn }

// TestWaitHangUpDeadline: a deadline that was put off holds for this wait, too.
func TestWaitHangUpDeadline(t *testing.T) {
	pair(t, func(t *testing.T, c *Conn, peer *PipeConn) {
		_ = peer.CloseWrite()
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		_ = c.SetReadDeadline(time.Now().Add(4 * time.Second))
		expires(t, 4*time.Second, c.WaitHangUp)
	})
}
