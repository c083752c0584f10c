//go:build !linux

package udp

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// sharePort fails: sharing a port among clients works on Linux only.
func sharePort(_, _ string, _ syscall.RawConn) error {
	return errors.New("reuseport works on Linux only; leave it out")
}

// wantDestination is for systems that tell where a datagram was sent.
func wantDestination(*net.UDPConn, netip.AddrPort) []byte { return nil }

func destination([]byte) netip.Addr { return netip.Addr{} }

func from(netip.Addr) []byte { return nil }

func newHostSocket(nc net.Conn) hostSocket { return plainHost{nc} }
