//go:build unix

package redisnode

import (
	"errors"
	"net"
	"os"
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
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		up = n > 0 || err == syscall.EAGAIN || err == syscall.EINTR
		return true
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false // that of a read before: nobody looked
	}
	return err != nil || !up
}
