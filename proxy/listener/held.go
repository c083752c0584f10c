package listener

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// heldWait is how long bind waits for a port that an outgoing connection has as
// its own: TIME_WAIT lasts 60 s on Linux, and somewhat more is allowed for the
// connection's end before it.
const heldWait = 75 * time.Second

// heldPause is the time between two tries to get it.
const heldPause = 500 * time.Millisecond

// errHeld replaces EADDRINUSE when nobody listens on the port.
var errHeld = fmt.Errorf("%w by an outgoing connection", syscall.EADDRINUSE)

// listen opens a socket. The ports that Layotto and Dapr users expect (34904,
// 50001, …) lie in the range that systems take the ports of outgoing connections
// from. So one of those may be in the way, for as long as it lives and a minute
// after that, while nobody listens there. That is waited for by the patient,
// heldWait at most; another listener is an error at once.
func listen(ctx context.Context, lc *net.ListenConfig, opts Options, network, address string) (net.Listener, error) {
	socket, err := lc.Listen(ctx, network, address)
	if !isHeld(err, network) {
		return socket, err
	}
	if !opts.Patient {
		return nil, errHeld
	}
	opts.Log.Warn("an outgoing connection of this machine has the port, waiting for it to become free",
		"listener", opts.Name, "address", address, "at most", heldWait,
		"hint", "keep the port from being chosen for those: net.ipv4.ip_local_reserved_ports")
	end := time.NewTimer(heldWait)
	defer end.Stop()
	again := time.NewTicker(heldPause)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, errHeld
		case <-end.C:
			return nil, errHeld
		case <-again.C:
		}
		if socket, err = lc.Listen(ctx, network, address); !isHeld(err, network) {
			return socket, err
		}
	}
}

// isHeld reports whether err is that of a port in use on which nobody listens.
func isHeld(err error, network string) bool {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || network == "unix" || !errors.Is(err, syscall.EADDRINUSE) {
		return false
	}
	address, ok := op.Addr.(*net.TCPAddr)
	return ok && nobodyListens(address.Port)
}
