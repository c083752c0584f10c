package listener

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// BindError says why a listener's socket could not be opened.
type BindError struct {
	// Listener is the listener's name, Address what it was to listen on.
	Listener, Address string
	// Remedy says the way out; it may be "".
	Remedy string
	// Err is the cause, without the address.
	Err error
}

// Error returns `listener "a" cannot listen on 127.0.0.1:80: address already in use (remedy)`.
func (e *BindError) Error() string {
	s := fmt.Sprintf("listener %q cannot listen on %s: %v", e.Listener, e.Address, e.Err)
	if e.Remedy != "" {
		s += " (" + e.Remedy + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *BindError) Unwrap() error { return e.Err }

// splitAddress returns the network and the address as package net knows them.
func splitAddress(network, address string) (string, string) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix", path
	}
	if network == "" {
		network = "tcp"
	}
	return network, address
}

// bind opens a listener's socket as lc has it. A unix socket file that a dead process left
// behind is replaced; one that somebody serves is not.
func bind(ctx context.Context, lc *net.ListenConfig, opts Options) (net.Listener, error) {
	network, address := splitAddress(opts.Network, opts.Address)
	fail := &BindError{Listener: opts.Name, Address: address}
	if network == "unix" && !strings.HasPrefix(address, "@") { // "@" is a name without a file
		// Between binding a socket and listening on it, it looks as if left
		// over. So whoever looks keeps others from binding meanwhile.
		unlock, err := lockFolder(filepath.Dir(address))
		if err != nil {
			fail.Err = err
			return nil, fail.explain(network)
		}
		defer unlock()
		if fail.Remedy, fail.Err = removeStale(ctx, address); fail.Err != nil {
			return nil, fail
		}
	}
	socket, err := listen(ctx, lc, opts, network, address)
	if err == nil {
		return socket, nil
	}
	fail.Err = err
	return nil, fail.explain(network)
}

// explain takes the address out of the cause, and finds the way out.
func (e *BindError) explain(network string) *BindError {
	if op, ok := errors.AsType[*net.OpError](e.Err); ok {
		e.Err = op.Err // without the address, which is said already
	}
	held := errors.Is(e.Err, errHeld)
	errno, known := errors.AsType[syscall.Errno](e.Err)
	if known && !held {
		e.Err = errno
	}
	switch {
	case held:
		e.Remedy = "choose an address outside the range of outgoing connections, or keep the port out of it, on Linux with net.ipv4.ip_local_reserved_ports"
	case errno == syscall.EADDRINUSE:
		e.Remedy = "stop the process that has it, or choose another address"
	case errno == syscall.EACCES && network == "unix":
		e.Remedy = "choose a folder that may be written"
	case errno == syscall.EACCES:
		e.Remedy = "choose a port above 1023"
	case errno == syscall.EADDRNOTAVAIL:
		e.Remedy = "the address does not belong to this machine; choose one that does"
	case errno == syscall.ENOENT:
		e.Remedy = "make the folder first"
	}
	return e
}

func removeStale(ctx context.Context, path string) (remedy string, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", nil // nothing there, or Listen will say what is wrong
	}
	if info.Mode()&os.ModeSocket == 0 {
		return "remove it or choose another path", errors.New("there is a file that is no socket")
	}
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = c.Close()
		return "stop the process that has it, or choose another path", syscall.EADDRINUSE
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return "choose another path", fmt.Errorf("cannot tell whether the socket there is in use: %w", err)
	}
	if err := os.Remove(path); err != nil {
		return "remove it or choose another path", fmt.Errorf("the socket of a process that is gone is in the way: %w", err)
	}
	return "", nil
}
