package grpcapi

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// dialTime is how long the owner of a unix socket has to show that it lives.
const dialTime = time.Second

// Listen listens on an address for Serve. network is "tcp", "tcp4", "tcp6" or
// "unix"; for a unix socket, address is its path, and a socket that a process
// which is no longer there has left behind is replaced. The error names the
// address and the way out.
func Listen(network, address string) (net.Listener, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
		l, err := net.Listen(network, address)
		if err != nil {
			return nil, listenError(network, address, err)
		}
		return l, nil
	case "unix":
		return listenUnix(address)
	}
	return nil, fmt.Errorf("grpcapi: cannot listen on %s %s: unknown network %q, use tcp, tcp4, tcp6 or unix", network, address, network)
}

func listenError(network, address string, err error) error {
	way := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		way = ": another process listens there; stop it, or choose another address"
		if network != "unix" {
			way += ` ("ss -ltnp" shows who it is)`
		}
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		way = ": not allowed; choose a port above 1023 or another path, or run with the rights for this one"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		way = ": this host does not have that address"
	case errors.Is(err, os.ErrNotExist):
		way = ": create the folder first"
	}
	return fmt.Errorf("grpcapi: cannot listen on %s %s%s: %w", network, address, way, err)
}

func listenUnix(path string) (net.Listener, error) {
	if !strings.HasPrefix(path, "@") { // "@" is a name without a file
		// Between binding a socket and listening on it, it looks as if left
		// over. So whoever looks keeps others from binding meanwhile.
		unlock, err := lockFolder(filepath.Dir(path))
		if err != nil {
			return nil, listenError("unix", path, err)
		}
		defer unlock()
		if err := removeStale(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, listenError("unix", path, err)
	}
	return l, nil
}

// removeStale removes a socket that nobody listens on. It removes nothing else.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil // nothing there, or nothing that we may see: listening will tell
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("grpcapi: cannot listen on unix %s: there is a file that is no socket; remove it, or choose another path", path)
	}
	c, err := net.DialTimeout("unix", path, dialTime)
	if err == nil {
		_ = c.Close() // it was only to see
		return nil    // alive: listening will fail
	}
	// Every doubt, a full queue for example, counts as alive.
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("grpcapi: cannot listen on unix %s: its socket is left over from a process that is gone, and cannot be removed: %w", path, err)
	}
	return nil
}
