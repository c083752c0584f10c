//go:build !linux

package tcp

import "net"

// copySocket reports that there is no shorter way between sockets here.
func (f *flow) copySocket() (handled bool, err error) { return false, nil }

// dead reports whether nc can carry nothing any more, where that can be seen.
func dead(net.Conn) bool { return false }
