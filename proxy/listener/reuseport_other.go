//go:build !linux

package listener

import (
	"errors"
	"fmt"
	"syscall"
)

// controlReusePort says that addresses cannot be shared here.
func controlReusePort(string, string, syscall.RawConn) error {
	return fmt.Errorf("reuseport: %w on this system", errors.ErrUnsupported)
}
