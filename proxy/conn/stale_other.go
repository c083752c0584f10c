//go:build !linux

package conn

import (
	"errors"
	"net"
)

// socketLooker sees nothing here.
type socketLooker struct{}

func newSocketLooker(net.Conn) *socketLooker { return nil }

func (*socketLooker) look() (arrived int, ended bool) { return 0, false }

func socketWaitHangUp(net.Conn) error { return errors.ErrUnsupported }
