package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/tcp/l4"
)

// receiveBuffer is how many bytes the system should keep for us, so that a
// burst is not lost.
const receiveBuffer = 1 << 20

// Listen opens a socket for Serve at address, "host:port". With reuseport
// several processes, or several sockets of one, may have the same address, and
// share its clients. The caller owns the socket.
func Listen(ctx context.Context, address string, reuseport bool) (net.PacketConn, error) {
	var lc net.ListenConfig
	if reuseport {
		lc.Control = sharePort
	}
	pc, err := lc.ListenPacket(ctx, "udp", address)
	switch {
	case err == nil:
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("udp address %s is in use; stop what uses it, choose another address, or set reuseport on all of them: %w", address, err)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("not allowed to listen on udp address %s; choose a port above 1023: %w", address, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("udp address %s does not belong to this machine: %w", address, err)
	default:
		return nil, fmt.Errorf("cannot listen on udp address %q: %w", address, err)
	}
	if u, ok := pc.(*net.UDPConn); ok {
		_ = u.SetReadBuffer(receiveBuffer) // less will do, too
	}
	return pc, nil
}

// newSocket is where clients are answered.
func newSocket(pc net.PacketConn) socket {
	u, ok := pc.(*net.UDPConn)
	if !ok {
		return plainSocket{pc}
	}
	s := &udpSocket{UDPConn: u, at: l4.AddrPort(u.LocalAddr())}
	s.oob = wantDestination(u, s.at)
	return s
}

// udpSocket is a socket of the operating system.
type udpSocket struct {
	*net.UDPConn
	at  netip.AddrPort
	oob []byte // for what is known about a datagram; nil if nothing is asked for
}

func (s *udpSocket) read(b []byte) (int, key, error) {
	if s.oob == nil {
		n, from, err := s.ReadFromUDPAddrPort(b)
		return n, key{client: from}, err
	}
	n, oobn, _, from, err := s.ReadMsgUDPAddrPort(b, s.oob)
	if err != nil {
		return n, key{}, err
	}
	return n, key{client: from, local: destination(s.oob[:oobn])}, nil
}

func (s *udpSocket) back(to key) []byte {
	if !to.local.IsValid() {
		return nil
	}
	return from(to.local)
}

func (s *udpSocket) write(b []byte, to netip.AddrPort, back []byte) error {
	if back == nil {
		_, err := s.WriteToUDPAddrPort(b, to)
		return err
	}
	_, _, err := s.WriteMsgUDPAddrPort(b, back, to)
	return err
}

func (s *udpSocket) close() { _ = s.Close() }

func (s *udpSocket) local() netip.AddrPort { return s.at }

// plainSocket is any other net.PacketConn.
type plainSocket struct{ net.PacketConn }

func (s plainSocket) read(b []byte) (int, key, error) {
	n, from, err := s.ReadFrom(b)
	return n, key{client: l4.AddrPort(from)}, err
}

func (plainSocket) back(key) []byte { return nil }

func (s plainSocket) write(b []byte, to netip.AddrPort, _ []byte) error {
	_, err := s.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return err
}

func (s plainSocket) close() { _ = s.Close() }

func (s plainSocket) local() netip.AddrPort { return l4.AddrPort(s.LocalAddr()) }

// buffers hold a datagram of any size.
var buffers = sync.Pool{New: func() any { return new([maxDatagram]byte) }}

// plainHost is a connection to a host that is no socket, or that we have no
// better way to use.
type plainHost struct{ net.Conn }

func (h plainHost) read(f func([]byte)) error {
	b := buffers.Get().(*[maxDatagram]byte)
	defer buffers.Put(b)
	n, err := h.Read(b[:])
	if err != nil {
		return err
	}
	f(b[:n])
	return nil
}

// writeWait is how long a connection that is no socket may take to take a
// datagram: others wait meanwhile.
const writeWait = 10 * time.Millisecond

func (h plainHost) write(b []byte) error {
	_ = h.SetWriteDeadline(time.Now().Add(writeWait))
	_, err := h.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return syscall.EAGAIN
	}
	return err
}

func (h plainHost) close() { _ = h.Close() }
