package l4

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Attempt is one try to reach a host of a cluster.
type Attempt struct {
	// Network is "tcp" or "udp".
	Network string
	// Cluster is the name of the cluster.
	Cluster string
	// Source is the client, and Destination what it connected to, for
	// balancers that go by them; not valid where there is no IP address.
	Source, Destination netip.AddrPort
	// Tried holds the hosts of earlier attempts, as Upstream.Host named them.
	// One of them is taken again only if the cluster has no other healthy host.
	// Dial must not keep the slice.
	Tried []string
}

// Upstream is a connection to a host, or what is known after a failed attempt.
type Upstream struct {
	// Conn is the connection itself, not wrapped in anything that only
	// observes it: a bare *net.TCPConn is passed on without copying.
	Conn net.Conn
	// Host is the host's address. After an error it is the one that was tried,
	// or "" if none could be chosen.
	Host string
	// Done, if not nil, is called once when the connection is out of use, and
	// closed. err is what the host did wrong, nil if nothing.
	Done func(err error)
}

// Dial chooses a host of a cluster and connects to it. It is bounded by the
// cluster's connect timeout and must return soon after ctx ends. It is called
// from many goroutines. After an error it has nothing open; the error says what
// went wrong as a *stream.Error, any other is taken as Connect.
type Dial func(ctx context.Context, attempt Attempt) (Upstream, error)

// Connect makes up to most attempts, each with another host if there is one. It
// returns the connection with the number of attempts. The error is that of the
// last attempt; its Upstream says which host that was.
func (dial Dial) Connect(ctx context.Context, a Attempt, most int) (up Upstream, attempts int, err error) {
	// Looking up names and connecting take a deep stack, which the caller's
	// goroutine would keep while the connection lives. So this one is another.
	done, defect := make(chan struct{}), ""
	go func() {
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				defect = fmt.Sprintf("%v\n%s", v, debug.Stack())
			}
		}()
		up, attempts, err = dial.connect(ctx, a, most)
	}()
	<-done
	if defect != "" {
		panic(defect)
	}
	return up, attempts, err
}

func (dial Dial) connect(ctx context.Context, a Attempt, most int) (up Upstream, attempts int, err error) {
	for {
		attempts++
		up, err = dial(ctx, a)
		switch {
		case err == nil:
			return up, attempts, nil
		case ctx.Err() != nil:
			return up, attempts, &stream.Error{Kind: stream.Stopping, Op: dialing(a, up), Err: err}
		case up.Host == "" || attempts >= most:
			return up, attempts, dialError(a, up, attempts, err)
		}
		a.Tried = append(a.Tried, up.Host)
	}
}

func dialing(a Attempt, up Upstream) string {
	if up.Host == "" {
		return "cluster " + a.Cluster
	}
	return "cluster " + a.Cluster + ": connect to " + up.Host
}

func dialError(a Attempt, up Upstream, attempts int, err error) *stream.Error {
	op := dialing(a, up)
	if attempts > 1 {
		op += fmt.Sprintf(" (attempt %d)", attempts)
	}
	if e, ok := errors.AsType[*stream.Error](err); ok {
		if e.Op != "" {
			op += ": " + e.Op
		}
		return &stream.Error{Kind: e.Kind, Side: e.Side, Retry: true, Op: op, Err: e.Err}
	}
	kind := stream.Connect
	if t, ok := errors.AsType[net.Error](err); ok && t.Timeout() {
		kind = stream.Timeout
	}
	return &stream.Error{Kind: kind, Side: stream.Upstream, Retry: true, Op: op, Err: err}
}
