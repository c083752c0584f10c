//go:build !unix

package redisnode

import "net"

// hungUp cannot tell here.
func hungUp(net.Conn) bool { return false }
