package cluster

import (
	"fmt"
	"syscall"
)

// marked sets SO_MARK on a socket before it connects (socket(7)).
func marked(mark int) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if cerr := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_MARK, mark)
		}); cerr != nil {
			return cerr
		}
		if err != nil {
			return fmt.Errorf("set mark %d (it needs CAP_NET_ADMIN; leave out the cluster's mark): %w", mark, err)
		}
		return nil
	}
}
