package conn

import (
	"errors"
	"net"
	"syscall"
)

// socketLooker peeks at one socket. It is kept, because a look is made before many
// a request. The Conn's lock is held.
type socketLooker struct {
	raw     syscall.RawConn
	peek    func(fd uintptr)
	one     [1]byte
	arrived int
	ended   bool
}

// newSocketLooker returns nil where nothing can be seen.
func newSocketLooker(nc net.Conn) *socketLooker {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socketLooker{raw: raw}
	s.peek = func(fd uintptr) {
		n, _, err := syscall.Recvfrom(int(fd), s.one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		s.arrived = max(n, 0)
		s.ended = err != syscall.EAGAIN && err != syscall.EINTR && n <= 0
	}
	return s
}

// look looks without waiting: "nothing there" is what a good idle connection says.
func (s *socketLooker) look() (arrived int, ended bool) {
	if s == nil {
		return 0, false
	}
	s.arrived, s.ended = 0, false
	err := s.raw.Control(s.peek)
	return s.arrived, s.ended || err != nil
}

// socketWaitHangUp waits until the socket has failed.
func socketWaitHangUp(nc net.Conn) error {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return errors.ErrUnsupported
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	// What wakes the reader is any event; the socket says whether it is this one. Its
	// error is told once: to us, or to a write, which fails then.
	return raw.Read(func(fd uintptr) bool {
		failed, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
		return err == nil && failed != 0
	})
}
