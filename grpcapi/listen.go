package grpcapi

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
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
	l, err := net.Listen("unix", path)
	if err == nil {
		return l, nil
	}
	if !errors.Is(err, syscall.EADDRINUSE) || strings.HasPrefix(path, "@") { // "@" is no file
		return nil, listenError("unix", path, err)
	}
	if info, statErr := os.Lstat(path); statErr == nil && info.Mode().Type() != os.ModeSocket {
		return nil, fmt.Errorf("grpcapi: cannot listen on unix %s: there is a file that is no socket; remove it, or choose another path", path)
	}
	if alive(path) {
		return nil, listenError("unix", path, err)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	if l, err = net.Listen("unix", path); err != nil {
		return nil, listenError("unix", path, err)
	}
	return l, nil
}

// alive tells whether somebody listens on a unix socket. Every doubt counts as
// yes; only a refused connection says no.
func alive(path string) bool {
	c, err := net.DialTimeout("unix", path, dialTime)
	if err == nil {
		_ = c.Close() // it was only to see
		return true
	}
	return !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, os.ErrNotExist)
}

// removeStale removes a socket that nobody listens on. Between the look and the
// removal another process may have done the same, and listen there by now. So
// the file is moved aside, looked at once more, and put back if it is alive.
func removeStale(path string) error {
	aside := path + ".stale-" + rand.Text()[:8]
	if err := os.Rename(path, aside); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil // somebody else was faster; they may listen by now, which the next try shows
		}
		return fmt.Errorf("grpcapi: cannot listen on unix %s: its socket is left over from a process that is gone, and cannot be removed: %w", path, err)
	}
	if !alive(aside) {
		if err := os.Remove(aside); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("grpcapi: cannot remove the left-over socket %s: %w", aside, err)
		}
		return nil
	}
	if err := os.Link(aside, path); err != nil { // unlike a rename, replaces nothing
		return fmt.Errorf("grpcapi: cannot listen on unix %s: another process listens there; its socket was moved to %s and cannot be put back: %w",
			path, aside, err)
	}
	if err := os.Remove(aside); err != nil {
		return fmt.Errorf("grpcapi: cannot remove %s: %w", aside, err)
	}
	return listenError("unix", path, syscall.EADDRINUSE)
}
