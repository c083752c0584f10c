//go:build !linux

package origdst

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"syscall"
)

func supported() error {
	return fmt.Errorf("captured connections need Linux, and this is %s (leave use_original_dst out): %w", runtime.GOOS, errors.ErrUnsupported)
}

func original(syscall.RawConn, netip.AddrPort) (netip.AddrPort, error) {
	return netip.AddrPort{}, supported()
}

func transparent(syscall.RawConn) error { return supported() }
