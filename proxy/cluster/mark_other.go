//go:build !linux

package cluster

import (
	"errors"
	"syscall"
)

// marked fails: there is no SO_MARK here.
func marked(int) func(network, address string, c syscall.RawConn) error {
	return func(string, string, syscall.RawConn) error {
		return errors.New("mark: connections can be marked on Linux only")
	}
}
