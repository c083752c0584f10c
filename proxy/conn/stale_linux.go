package conn

import (
	"net"
	"syscall"
)

// socketLook peeks at the socket without waiting: "nothing there" is what a
// good idle connection says.
func socketLook(nc net.Conn) (arrived int, ended bool) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return 0, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, true
	}
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		arrived = max(n, 0)
		ended = err != syscall.EAGAIN && err != syscall.EINTR && n <= 0
	})
	return arrived, ended || err != nil
}
