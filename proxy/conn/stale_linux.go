package conn

import (
	"net"
	"syscall"
)

// socketStale peeks at the socket without waiting: "nothing there" is what a
// good idle connection says. Bytes are another good sign if they may come unasked.
func socketStale(nc net.Conn, unasked bool) bool {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	stale := false
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		stale = err != syscall.EAGAIN && err != syscall.EINTR && (n <= 0 || !unasked)
	})
	return stale || err != nil
}
