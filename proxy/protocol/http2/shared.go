package http2

import "github.com/ottavo-runtime/ottavo/proxy/protocol"

var (
	_ protocol.Multiplexed = Protocol{}
	_ protocol.ALPN        = Protocol{}
	_ protocol.Limiter     = (*client)(nil)
	_ protocol.Starter     = (*client)(nil)
)

// Multiplexed marks the protocol as one whose connections are shared.
func (Protocol) Multiplexed() {}

// ALPN implements protocol.ALPN (RFC 9113 section 3.2).
func (Protocol) ALPN() []string { return []string{"h2"} }

// Ready implements protocol.Starter.
func (cl *client) Ready() <-chan struct{} { return cl.ready }

// Limit implements protocol.Limiter: what the host allows, as of its last SETTINGS.
func (cl *client) Limit() int {
	cl.s.mu.Lock()
	defer cl.s.mu.Unlock()
	if cl.finished() != nil {
		return 0
	}
	return int(min(cl.s.peer.maxStreams, maxAsks))
}
