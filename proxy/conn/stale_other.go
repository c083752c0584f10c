//go:build !linux

package conn

import (
	"errors"
	"net"
)

func socketLook(net.Conn) (arrived int, ended bool) { return 0, false }

func socketWaitHangUp(net.Conn) error { return errors.ErrUnsupported }
