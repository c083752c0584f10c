package listener

import (
	"net"
	"os"
	"syscall"
)

// acceptNow accepts a connection that is there already; nil if there is none.
func acceptNow(l net.Listener) net.Conn {
	sc, ok := l.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	fd := -1
	err = raw.Control(func(socket uintptr) {
		// It returns at once: Go's sockets do not block.
		fd, _, err = syscall.Accept4(int(socket), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
	})
	if err != nil || fd < 0 {
		return nil
	}
	f := os.NewFile(uintptr(fd), "connection")
	defer func() { _ = f.Close() }() // what FileConn makes has a descriptor of its own
	nc, err := net.FileConn(f)
	if err != nil {
		return nil
	}
	return nc
}
