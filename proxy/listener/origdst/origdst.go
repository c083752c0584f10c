package origdst

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
)

// ErrNotRedirected says that no firewall rule redirected the connection: the
// caller dialed the listener itself.
var ErrNotRedirected = errors.New("the connection was not redirected")

// Redirected returns the destination that c had before a REDIRECT (or DNAT)
// rule changed it. c is a TCP connection, or one that wraps it (a *conn.Conn or
// something with the method NetConn, like *tls.Conn). Call it once, soon after
// the connection was accepted: the kernel forgets.
//
// An IPv4 address is never in its IPv6 form; a link-local one has its zone. The
// error is ErrNotRedirected when the destination is the address that c arrived
// at; to connect there would be to call oneself.
func Redirected(c net.Conn) (netip.AddrPort, error) {
	raw, local, err := socket(c)
	if err != nil {
		return netip.AddrPort{}, err
	}
	dst, err := original(raw, local)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("original destination of the connection from %v to %v: %w", c.RemoteAddr(), local, err)
	}
	if dst.Port() == local.Port() && same(dst.Addr(), local.Addr()) {
		return netip.AddrPort{}, fmt.Errorf("%w: %v dialed our own listening address %v, not one that a firewall rule leads here", ErrNotRedirected, c.RemoteAddr(), local)
	}
	return dst, nil
}

// Transparent returns the destination of a connection that a TPROXY rule
// brought, which is its local address. c is as for Redirected. A connection to
// the listener's own address is not told apart; Choose finds the listener then.
func Transparent(c net.Conn) (netip.AddrPort, error) {
	if err := supported(); err != nil {
		return netip.AddrPort{}, err
	}
	_, local, err := socket(c)
	return local, err
}

// ControlTransparent is a Control of net.ListenConfig that lets the socket
// accept connections to addresses that are not the machine's own, as TPROXY
// needs it. The process must have CAP_NET_ADMIN in its network namespace when
// it opens the socket; the error says so when it has not.
func ControlTransparent(network, address string, rc syscall.RawConn) error {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return fmt.Errorf("%s %s: tproxy is for tcp sockets", network, address)
	}
	if err := transparent(rc); err != nil {
		return fmt.Errorf("cannot make the socket for %s transparent: %w", address, err)
	}
	return nil
}

// control prepares a socket for the mode.
func (c Config) control(network, address string, rc syscall.RawConn) error {
	if err := supported(); err != nil {
		return fmt.Errorf("use_original_dst %q at %s: %w", c.Mode, address, err)
	}
	if c.Mode == TProxy {
		return ControlTransparent(network, address, rc)
	}
	return nil
}

type controlFunc = func(network, address string, rc syscall.RawConn) error

func chain(first, second controlFunc) controlFunc {
	if first == nil {
		return second
	}
	return func(network, address string, rc syscall.RawConn) error {
		if err := first(network, address, rc); err != nil {
			return err
		}
		return second(network, address, rc)
	}
}

// socket returns the socket below c and the address that it arrived at.
func socket(c net.Conn) (syscall.RawConn, netip.AddrPort, error) {
	none := func(why any) (syscall.RawConn, netip.AddrPort, error) {
		return nil, netip.AddrPort{}, fmt.Errorf("no original destination: %v", why)
	}
	for range 8 { // wrappers in wrappers; more would be a circle
		switch w := c.(type) {
		case *conn.Conn:
			c = w.Conn
			continue
		case interface{ NetConn() net.Conn }:
			c = w.NetConn()
			continue
		}
		break
	}
	if c == nil {
		return none("there is no connection")
	}
	tcp, ok := c.(syscall.Conn)
	if !ok {
		return none(fmt.Sprintf("a %T is no socket", c))
	}
	addr, ok := c.LocalAddr().(*net.TCPAddr)
	if !ok {
		return none(fmt.Sprintf("a %T is no TCP connection", c))
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return none(err)
	}
	return raw, unmap(addr.AddrPort()), nil
}
