package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// sharePort is a net.ListenConfig's Control that sets SO_REUSEPORT.
func sharePort(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	})
	return errors.Join(err, failed)
}

// wantDestination has a socket that is bound to all addresses tell to which one
// each datagram was sent. It returns a buffer for that, nil if it needs none.
func wantDestination(u *net.UDPConn, at netip.AddrPort) []byte {
	if !at.Addr().IsUnspecified() {
		return nil
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return nil
	}
	var err4, err6 error
	err = raw.Control(func(fd uintptr) {
		err4 = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		err6 = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	})
	if err != nil || err4 != nil && err6 != nil {
		return nil
	}
	return make([]byte, unix.CmsgSpace(unix.SizeofInet4Pktinfo)+unix.CmsgSpace(unix.SizeofInet6Pktinfo))
}

// destination reads to which address a datagram was sent; not valid if that is
// not said. Over a socket for both families, an IPv4 address is a mapped one.
func destination(oob []byte) netip.Addr {
	var found netip.Addr
	for len(oob) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		oob = rest
		switch {
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			return netip.AddrFrom16([16]byte(data)) // is the first field
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			// After the interface: our address that stands for it, which
			// differs for a broadcast and can be sent from.
			found = netip.AddrFrom4([4]byte(data[4:]))
		}
	}
	return found
}

// from is the control message to send a datagram from one of our addresses.
func from(local netip.Addr) []byte {
	if local.Is4() {
		return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: local.As4()})
	}
	return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: local.As16()})
}

// newHostSocket is a way to use nc without waiting and, while nothing comes,
// without a buffer.
func newHostSocket(nc net.Conn) hostSocket {
	u, ok := nc.(*net.UDPConn)
	if !ok {
		return plainHost{nc}
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return plainHost{nc}
	}
	h := &udpHost{conn: u, raw: raw}
	h.tryRead, h.tryWrite = h.readNow, h.writeNow
	return h
}

// udpHost is a socket that is connected to a host.
type udpHost struct {
	conn              *net.UDPConn
	raw               syscall.RawConn
	tryRead, tryWrite func(fd uintptr) bool

	// What readNow left.
	in      *[maxDatagram]byte
	n       int
	readErr error

	// What writeNow is to send, and how that went. The session's lock guards them.
	out      []byte
	writeErr error
}

func (h *udpHost) read(f func([]byte)) error {
	if err := h.raw.Read(h.tryRead); err != nil {
		return err
	}
	if h.readErr != nil {
		return h.readErr
	}
	f(h.in[:h.n])
	buffers.Put(h.in)
	h.in = nil
	return nil
}

// readNow reads a datagram if there is one. It keeps no buffer otherwise.
func (h *udpHost) readNow(fd uintptr) bool {
	b := buffers.Get().(*[maxDatagram]byte)
	for {
		n, err := unix.Read(int(fd), b[:])
		switch {
		case err == nil:
			h.in, h.n = b, n
			return true
		case errors.Is(err, syscall.EINTR):
			continue
		}
		buffers.Put(b)
		if errors.Is(err, syscall.EAGAIN) {
			return false
		}
		h.readErr = os.NewSyscallError("read", err)
		return true
	}
}

func (h *udpHost) write(b []byte) error {
	h.out = b
	err := h.raw.Write(h.tryWrite)
	h.out = nil
	if err != nil {
		return err
	}
	return h.writeErr
}

// writeNow sends the datagram, or fails.
func (h *udpHost) writeNow(fd uintptr) bool {
	for {
		_, h.writeErr = unix.SendmsgN(int(fd), h.out, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if !errors.Is(h.writeErr, syscall.EINTR) {
			return true
		}
	}
}

func (h *udpHost) close() { _ = h.conn.Close() }
