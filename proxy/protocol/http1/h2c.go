package http1

import (
	"context"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// HTTP/2 without TLS, by Upgrade (RFC 7540 section 3.2).
const (
	tokenH2C      = "h2c"
	settingsField = "HTTP2-Settings"
)

// takeover serves what follows on a connection that changed its protocol.
type takeover func(ctx context.Context, c *conn.Conn, req *stream.Request) error

// change returns what goes on with the connection when the caller offers HTTP/2
// for it and is taken at its word: with a request that has no body, without TLS,
// and with nothing in the offer that is not clear. nil is an ordinary request.
func (x *exchange) change() takeover {
	f := &x.frame
	switch {
	case f.settingsSeen != 1 || !f.upgrades || f.http10 || f.close || f.chunked || f.length > 0 || x.scheme != "http" || x.c.Draining():
		return nil
	case !among(f.connection, settingsField) || !offers(f.upgrade, tokenH2C):
		return nil
	case passable(f.upgrade) != "": // another protocol, for the host to take or not
		return nil
	}
	if h, ok := x.h.(protocol.Changer); ok {
		return h.Change(tokenH2C, f.settings)
	}
	return nil
}

// accept tells the caller that the protocol changes.
func (x *exchange) accept() error {
	_, _ = x.c.Writer().WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + tokenH2C + "\r\n\r\n")
	return x.c.Writer().Flush()
}
