package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/listener"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/tlscontext"
)

// handshakeTime is how long a caller may take for its TLS handshake, and, on a
// port that takes both, to show whether it begins one.
const handshakeTime = 15 * time.Second

// tlsRecord is the first byte of a TLS handshake (RFC 8446 section 5.1).
const tlsRecord = 0x16

// gate decides what is spoken on a connection before anybody answers it.
type gate struct {
	// tls is nil where there is none. With inspector, callers may do without.
	tls       *tlscontext.Server
	config    *tls.Config
	inspector bool
	// speakers are the protocols that callers may speak, none where the
	// network filter does not care.
	speakers []speaker
	// fallback: connections that speak none of them are for somebody else, so
	// that even a single one has to be recognised.
	fallback bool
	// entrance is a protocol that is not spoken here but to change to one that
	// is; no server where there is none.
	entrance speaker
}

// speaker is a protocol with its server.
type speaker struct {
	protocol protocol.Protocol
	server   protocol.Server
}

// names returns the names of the protocols, in their order.
func (g *gate) names() string {
	names := make([]string, len(g.speakers))
	for i, s := range g.speakers {
		names[i] = s.protocol.Name()
	}
	return strings.Join(names, ",")
}

// open makes the entrance: where all protocols can be changed to from one that
// is not among them, callers may begin with that.
func (g *gate) open(s *Server, cfg config.Listener) error {
	for _, spoken := range g.speakers {
		next, ok := spoken.server.(protocol.Successor)
		if !ok {
			return nil
		}
		if p, ok := s.opts.Protocols.Lookup(next.Predecessor()); ok {
			g.entrance.protocol = p
		}
	}
	if g.entrance.protocol == nil {
		return nil
	}
	server, err := g.entrance.protocol.NewServer(protocol.ServerOptions{Listener: cfg.Name, IdleTimeout: idleTimeout(cfg), Log: s.opts.Log})
	if err != nil {
		return err
	}
	g.entrance.server = entrance{server}
	return nil
}

// secure makes the gate's entrance, and its TLS side from a listener's
// configuration.
func (g *gate) secure(s *Server, cfg config.Listener, path string) error {
	if err := g.open(s, cfg); err != nil {
		return err
	}
	chain := cfg.FilterChains[0]
	list, at := chain.TLSContextSet, func(i int) string { return decode.At(path+".filter_chains[0].tls_context_set", i) }
	if chain.TLSContext != nil {
		if len(list) > 0 {
			return decode.Problems{{Path: path + ".filter_chains[0]", Message: "both tls_context and tls_context_set", Remedy: "move the former into the latter"}}
		}
		list, at = []config.TLS{*chain.TLSContext}, func(int) string { return path + ".filter_chains[0].tls_context" }
	}
	server, _, err := tlscontext.NewServer(list, s.opts.TLSExtensions, at) // warnings were given by Validate
	if err != nil || server == nil {
		return err
	}
	g.tls, g.inspector = server, cfg.Inspector
	g.config = server.Config(g.alpn()...)
	return nil
}

// alpn returns what the gate's protocols are called in a TLS handshake. Of
// those that a caller offers, the first is taken: one that carries several
// requests at a time, if there is one, as callers that offer both hope.
func (g *gate) alpn() (names []string) {
	var single []string
	for _, s := range g.speakers {
		a, ok := s.protocol.(protocol.ALPN)
		if !ok {
			continue
		}
		if _, ok := s.protocol.(protocol.Multiplexed); ok {
			names = append(names, a.ALPN()...)
		} else {
			single = append(single, a.ALPN()...)
		}
	}
	return append(names, single...)
}

// errSilent says that a caller on a port that takes both did not begin a TLS
// handshake, nor anything else: it may wait for the host to speak first.
var errSilent = fmt.Errorf("the caller said nothing for %v", handshakeTime)

// enter does the TLS handshake, if there is to be one.
func (g *gate) enter(ctx context.Context, c *conn.Conn) error {
	if g.tls == nil {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	if err := c.WaitRequest(handshakeTime); err != nil {
		if g.inspector && errors.Is(err, os.ErrDeadlineExceeded) {
			return errSilent
		}
		return err
	}
	if g.inspector {
		if first, err := c.Reader().Peek(1); err != nil || first[0] != tlsRecord {
			return err
		}
	}
	return c.Secure(func(nc net.Conn) (net.Conn, error) {
		tc := tls.Server(nc, g.config)
		if err := tc.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		return tc, nil
	})
}

// choose finds out what is spoken on c: what the handshake agreed on, else what
// the first bytes say. nil is none of the gate's protocols.
func (g *gate) choose(ctx context.Context, c *conn.Conn) (protocol.Server, error) {
	_, secure := c.TLS()
	enters := g.entrance.server != nil && !secure // it is for plaintext
	if len(g.speakers) == 1 && !g.fallback && !enters {
		return g.speakers[0].server, nil
	}
	if state, ok := c.TLS(); ok && state.NegotiatedProtocol != "" {
		for _, s := range g.speakers {
			if a, ok := s.protocol.(protocol.ALPN); ok && slices.Contains(a.ALPN(), state.NegotiatedProtocol) {
				return s.server, nil
			}
		}
	}
	speakers := g.speakers
	if enters {
		speakers = append(slices.Clip(speakers), g.entrance)
	}
	protocols := make([]protocol.Protocol, len(speakers))
	for i, s := range speakers {
		protocols[i] = s.protocol
	}
	p, err := protocol.Detect(ctx, c, protocols)
	if err != nil {
		return nil, err
	}
	for _, s := range speakers {
		if s.protocol == p {
			return s.server, nil
		}
	}
	if len(g.speakers) == 1 && !g.fallback {
		return g.speakers[0].server, nil // it says itself what is wrong
	}
	return nil, nil
}

// Change implements protocol.Changer with the protocols of the moment.
func (f *frontend) Change(token, parameters string) func(context.Context, *conn.Conn, *stream.Request) error {
	for _, s := range f.current.Load().gate.speakers {
		next, ok := s.server.(protocol.Successor)
		if !ok {
			continue
		}
		if take := next.Succeed(token, parameters); take != nil {
			return func(ctx context.Context, c *conn.Conn, req *stream.Request) error { return take(ctx, c, f, req) }
		}
	}
	return nil
}

// entrance serves callers that may only change the protocol.
type entrance struct{ protocol.Server }

// ServeConn implements protocol.Server.
func (e entrance) ServeConn(ctx context.Context, c *conn.Conn, h stream.Handler) error {
	return e.Server.ServeConn(ctx, c, entering{h.(*frontend)})
}

// entering is a listener to callers in its entrance: they can change the
// protocol, and else are told that theirs is not spoken here.
type entering struct{ *frontend }

// Handle implements stream.Handler.
func (e entering) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	const status = http.StatusHTTPVersionNotSupported
	e.Reject(ctx, req, status, stream.Errorf(stream.BadMessage, stream.Downstream, "%s is spoken here, not %s", e.current.Load().gate.names(), req.Protocol))
	return &stream.Response{Status: status}, nil
}

// ServeConn implements listener.Handler: it answers c, or has the listener
// answer it that c wanted to reach.
func (f *frontend) ServeConn(ctx context.Context, c *conn.Conn) error {
	captured, err := f.capture(c)
	switch {
	case err != nil:
		return err
	case captured:
		return f.handOver(ctx, c)
	}
	return f.answer(ctx, c)
}

// answer serves c with the stack of the moment. Its frame stays with every idle
// connection: what needs room is in admit.
func (f *frontend) answer(ctx context.Context, c *conn.Conn) error {
	server, network, err := f.admit(ctx, c)
	switch {
	case err != nil:
		return err
	case server != nil:
		return server.ServeConn(ctx, c, f)
	}
	return network.ServeConn(ctx, c)
}

// admit finds out who answers c: a protocol's server, or else a network filter.
func (f *frontend) admit(ctx context.Context, c *conn.Conn) (_ protocol.Server, network listener.Handler, err error) {
	st := f.current.Load()
	err = st.gate.enter(ctx, c)
	silent := errors.Is(err, errSilent) && st.network != nil
	if err != nil && !silent {
		return nil, nil, err
	}
	if silent || len(st.gate.speakers) == 0 {
		return nil, st.network, nil
	}
	server, err := st.gate.choose(ctx, c)
	if err != nil || server != nil || st.network != nil {
		return server, st.network, err
	}
	req := &stream.Request{}
	req.Info.Start, req.Info.Listener, req.Info.Downstream = time.Now(), f.listener.Name(), c.RemoteAddr().String()
	e := stream.Errorf(stream.BadMessage, stream.Downstream, "none of the protocols %s was recognised", st.gate.names())
	f.Reject(ctx, req, 0, e)
	return nil, nil, e
}
