package tcp

import (
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// After so many full buffers in a row a flow is taken for a large transfer.
	largeAfter = 4
	// After so many small pieces in a row it is taken for talk again.
	smallAfter = 8
	smallPiece = 8 << 10
)

// socketFlow is a flow whose source is a socket. It takes a buffer, or a pipe,
// only when there is something to read.
type socketFlow struct {
	*flow
	src, dst syscall.RawConn // dst is nil if it is no socket
	read     func(fd uintptr) bool
	write    func(fd uintptr) bool

	// What the last call of read or write left.
	n      int
	err    error
	buffer *[bufferSize]byte
	pipe   *pipe

	large bool // splice
	row   int  // pieces in a row that speak against it
	never bool // the sockets cannot splice
}

// copySocket passes bytes on if src is a socket. Talk is copied through a
// pooled buffer; a large transfer to another socket stays in the kernel.
func (f *flow) copySocket() (handled bool, err error) {
	src := socket(f.src)
	if src == nil {
		return false, nil
	}
	s := &socketFlow{flow: f, src: src, dst: socket(f.dst)}
	s.never = s.dst == nil
	s.read, s.write = s.tryRead, s.trySpliceOut
	return true, s.copy()
}

// socket returns access to the socket of a stream connection, nil if it has none.
func socket(nc net.Conn) syscall.RawConn {
	var sc syscall.Conn
	switch c := nc.(type) {
	case *net.TCPConn:
		sc = c
	case *net.UnixConn:
		if c.LocalAddr().Network() != "unix" {
			return nil
		}
		sc = c
	default:
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

func (s *socketFlow) copy() error {
	for {
		s.n, s.err = 0, nil
		err := s.src.Read(s.read)
		if err == nil {
			err = s.err
		}
		switch {
		case err != nil:
			return err
		case s.n == 0:
			return nil
		}
		s.s.touch()
		if s.pipe != nil {
			err = s.spliceOut()
		} else {
			err = s.flow.write(s.buffer[:s.n])
			buffers.Put(s.buffer)
			s.buffer = nil
		}
		if err != nil {
			return err
		}
	}
}

// tryRead is called when there may be something to read; it reports false if
// there is not. Afterwards n bytes are in the buffer or in the pipe, or there
// was an error, or (n is 0) the end. It holds neither while nothing is there.
func (s *socketFlow) tryRead(fd uintptr) bool {
	if s.large && !s.never {
		if done, ok := s.trySpliceIn(int(fd)); ok {
			return done
		}
	}
	b := buffers.Get().(*[bufferSize]byte)
	n, err := again(func() (int, error) { return unix.Read(int(fd), b[:]) })
	if err == nil && n > 0 {
		s.buffer, s.n = b, n
		s.sized(n == len(b), largeAfter)
		return true
	}
	buffers.Put(b)
	if errors.Is(err, syscall.EAGAIN) {
		return false
	}
	s.err = os.NewSyscallError("read", err)
	return true
}

// trySpliceIn is tryRead with a pipe. ok is false when it cannot be done.
func (s *socketFlow) trySpliceIn(fd int) (done, ok bool) {
	p := borrowPipe()
	if p == nil {
		s.large = false // perhaps later
		return false, false
	}
	n, err := again(func() (int, error) {
		n, err := unix.Splice(fd, nil, p.w, nil, p.size, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		return int(n), err
	})
	if err == nil && n > 0 {
		s.pipe, s.n = p, n
		s.sized(n < smallPiece, smallAfter)
		return true, true
	}
	p.giveBack()
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return false, true
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EOPNOTSUPP):
		s.never = true
		return false, false
	}
	s.err = os.NewSyscallError("splice", err)
	return true, true
}

// sized notes a piece that speaks for the other way to copy, or does not.
func (s *socketFlow) sized(other bool, most int) {
	if !other {
		s.row = 0
		return
	}
	if s.row++; s.row >= most {
		s.large, s.row = !s.large, 0
	}
}

// spliceOut has dst take the n bytes that are in the pipe.
func (s *socketFlow) spliceOut() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	err := s.dst.Write(s.write)
	if err == nil {
		err = s.err
	}
	p := s.pipe
	s.pipe = nil
	if err != nil {
		p.close() // what is left in it is lost
		return s.writeFailed(err)
	}
	p.giveBack()
	return nil
}

// trySpliceOut is called when there may be room; it reports false if there is not.
func (s *socketFlow) trySpliceOut(fd uintptr) bool {
	for s.n > 0 {
		n, err := again(func() (int, error) {
			n, err := unix.Splice(s.pipe.r, nil, int(fd), nil, s.n, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
			return int(n), err
		})
		switch {
		case errors.Is(err, syscall.EAGAIN):
			return false
		case err != nil:
			s.err = os.NewSyscallError("splice", err)
			return true
		case n == 0: // cannot be: there are bytes in the pipe
			s.err = os.NewSyscallError("splice", syscall.EIO)
			return true
		}
		s.n -= n
		s.moved += int64(n)
		s.s.touch()
	}
	return true
}

// again calls f until no signal interrupts it.
func again(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

// dead reports whether nc is a TCP connection that can carry nothing any more.
func dead(nc net.Conn) bool {
	if _, ok := nc.(*net.TCPConn); !ok {
		return false
	}
	raw := socket(nc)
	if raw == nil {
		return false
	}
	const closed = 7 // TCP_CLOSE
	gone := false
	err := raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		gone = err == nil && info.State == closed
	})
	return gone && err == nil
}
