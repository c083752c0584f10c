package listener

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// controlReusePort is a Control of net.ListenConfig.
func controlReusePort(_, _ string, rc syscall.RawConn) error {
	var err error
	if cerr := rc.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}); cerr != nil {
		return cerr
	}
	return err
}
