package conn

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
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

// socketWaitHangUp waits until the socket takes nothing more.
func socketWaitHangUp(nc net.Conn) error {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return errors.ErrUnsupported
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	// What wakes the reader is any event; the socket says whether it is this one.
	return raw.Read(func(fd uintptr) bool {
		look := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(look, 0)
		return err == nil && n > 0 && look[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
	})
}
