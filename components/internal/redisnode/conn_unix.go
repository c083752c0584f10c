//go:build unix

package redisnode

import (
	"net"
	"syscall"
)

// hungUp tells whether the other side of c has closed it.
func hungUp(c net.Conn) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	up := false
	// Not by Read: the deadline of a read before may have passed.
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		up = n > 0 || err == syscall.EAGAIN || err == syscall.EINTR
	})
	return err != nil || !up
}
