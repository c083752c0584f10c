package protocol

import (
	"context"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Successor is a Server that goes on with connections whose callers spoke
// another protocol first and asked to change (RFC 9110 section 7.8), as with
// "Upgrade: h2c".
type Successor interface {
	Server
	// Predecessor is the name of the protocol that callers speak first.
	Predecessor() string
	// Succeed takes a caller's offer to change to the protocol that token
	// names; parameters is what the offer said besides, unchecked. nil declines
	// it, as Succeed must where the parameters are malformed.
	Succeed(token, parameters string) Takeover
}

// Takeover serves a connection on which the caller was told that the protocol
// changes: as ServeConn does, but req is the first request, which has no body.
// It keeps nothing of req.
type Takeover func(ctx context.Context, c *conn.Conn, h stream.Handler, req *stream.Request) error

// Changer is a handler of requests that knows what the connections they come on
// can change to. A Server whose protocol has a way to ask for that asks it.
type Changer interface {
	// Change takes an offer as Successor.Succeed does; nil declines it. What is
	// returned is given no handler but the right one.
	Change(token, parameters string) func(ctx context.Context, c *conn.Conn, req *stream.Request) error
}
