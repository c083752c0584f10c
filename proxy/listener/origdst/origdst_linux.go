package origdst

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// ip6OriginalDst is IP6T_SO_ORIGINAL_DST, which package unix does not have.
const ip6OriginalDst = 80

func supported() error { return nil }

// original asks connection tracking where a connection that arrived at local
// was to go. IPv4 is asked as such at a socket for both families, too.
func original(raw syscall.RawConn, local netip.AddrPort) (netip.AddrPort, error) {
	level, option := unix.SOL_IPV6, ip6OriginalDst
	if local.Addr().Is4() {
		level, option = unix.SOL_IP, unix.SO_ORIGINAL_DST
	}
	// The answer is a struct sockaddr_in or sockaddr_in6. IPv6MTUInfo begins
	// with the latter, which has room for the former.
	var info *unix.IPv6MTUInfo
	var err error
	if lost := raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptIPv6MTUInfo(int(fd), level, option)
	}); lost != nil {
		return netip.AddrPort{}, lost
	}
	switch {
	case err == nil:
		return address(&info.Addr)
	case errors.Is(err, unix.ENOENT):
		return netip.AddrPort{}, fmt.Errorf("%w, or the kernel has forgotten it: connection tracking does not know it (is there a REDIRECT rule in this network namespace?)", ErrNotRedirected)
	case errors.Is(err, unix.ENOPROTOOPT):
		return netip.AddrPort{}, fmt.Errorf("the kernel has no connection tracking (load nf_conntrack and nf_nat, or use tproxy): %w", err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return netip.AddrPort{}, fmt.Errorf("the kernel does not tell it for Multipath TCP (turn that off at the listening socket): %w", err)
	}
	return netip.AddrPort{}, err
}

// address reads what the kernel wrote: in sockaddr_in the IPv4 address is where
// sockaddr_in6 has the flow.
func address(sa *unix.RawSockaddrInet6) (netip.AddrPort, error) {
	var bytes [4]byte
	binary.NativeEndian.PutUint16(bytes[:], sa.Port)
	port := binary.BigEndian.Uint16(bytes[:])
	switch sa.Family {
	case unix.AF_INET:
		binary.NativeEndian.PutUint32(bytes[:], sa.Flowinfo)
		return netip.AddrPortFrom(netip.AddrFrom4(bytes), port), nil
	case unix.AF_INET6:
		ip := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.Scope_id != 0 && ip.Is6() {
			zone := strconv.FormatUint(uint64(sa.Scope_id), 10)
			if nic, err := net.InterfaceByIndex(int(sa.Scope_id)); err == nil {
				zone = nic.Name // as in the addresses of package net
			}
			ip = ip.WithZone(zone)
		}
		return netip.AddrPortFrom(ip, port), nil
	}
	return netip.AddrPort{}, fmt.Errorf("the kernel answered with address family %d", sa.Family)
}

func transparent(rc syscall.RawConn) error {
	var err error
	if lost := rc.Control(func(fd uintptr) {
		var domain int
		if domain, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil {
			return
		}
		if domain == unix.AF_INET6 { // for both families, where the socket is
			err = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_TRANSPARENT, 1)
		} else {
			err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TRANSPARENT, 1)
		}
	}); lost != nil {
		return lost
	}
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("the process lacks the capability CAP_NET_ADMIN (give it, as with setcap cap_net_admin+ep or capabilities.add NET_ADMIN of a container, or use redirect): %w", err)
	case errors.Is(err, unix.ENOPROTOOPT), errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("the kernel cannot do it (use redirect): %w", err)
	}
	return err
}
