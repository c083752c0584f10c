//go:build !unix

package redis

import "syscall"

// closedByPeer cannot be told here; a dead connection shows when it is used.
func closedByPeer(syscall.Conn) bool { return false }
