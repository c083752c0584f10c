package upstream

import (
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Sender sends requests to one end over connections that it keeps: a Pool, or
// a Shared where the protocol lets exchanges share a connection.
type Sender interface {
	stream.Handler
	// Drain closes the connections that nobody uses, now and as they become
	// free. Requests are still served.
	Drain()
	// Close closes all connections: requests in flight fail, new ones are
	// refused. It is safe twice.
	Close()
	// Stats returns how many connections are open, and how many of them idle.
	Stats() (open, idle int)
}

// New makes the Sender that fits the protocol and opts.Mode. It opens nothing yet.
func New(opts PoolOptions) Sender {
	if opts.Mode == Binding {
		return NewBound(opts)
	}
	_, shares := opts.Protocol.(protocol.Multiplexed)
	if opts.Mode == PingPong || !shares {
		return NewPool(opts)
	}
	if _, framed := opts.Protocol.(protocol.Framed); framed && opts.MaxConnections > 1 {
		return NewSpread(opts)
	}
	return NewShared(opts)
}
