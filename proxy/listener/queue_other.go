//go:build !linux

package listener

import "net"

// acceptNow cannot tell whether a connection is there.
func acceptNow(net.Listener) net.Conn { return nil }
