package proxy

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// ChannelOptions describe a way into the core from inside the process.
type ChannelOptions struct {
	// Listener is the name of the listener that requests enter by, over
	// in-memory connections; or a "host:port" that is dialed over TCP.
	Listener string
	// Protocol is spoken on the connections: what the listener expects.
	Protocol string
	// Size is the most requests at a time; further ones wait their turn. 0 is no limit.
	Size int
}

// Channel sends requests into the core: a stream.Handler. It is an ordinary
// connection pool whose connections lead through memory.
type Channel struct {
	server *Server
	pool   *upstream.Pool
}

// channelIdle is how long an in-memory connection is kept unused.
const channelIdle = time.Minute

// Channel opens a channel. The error names what is unknown.
func (s *Server) Channel(opts ChannelOptions) (*Channel, error) {
	proto, ok := s.opts.Protocols.Lookup(opts.Protocol)
	if !ok {
		return nil, fmt.Errorf("channel: unknown protocol %q (known: %s)", opts.Protocol, strings.Join(s.opts.Protocols.Names(), ", "))
	}
	c := &Channel{server: s}
	po := upstream.PoolOptions{
		Name:           "listener " + opts.Listener,
		Protocol:       proto,
		ConnectTimeout: config.DefaultConnectTimeout,
		WriteTimeout:   config.DefaultConnectionIdleTimeout,
		IdleTimeout:    channelIdle,
		MaxConnections: opts.Size,
		Wait:           true,
		MaxWait:        config.DefaultRouteTimeout,
	}
	if _, _, err := net.SplitHostPort(opts.Listener); err == nil {
		po.Dial = func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", opts.Listener)
		}
	} else {
		s.mu.Lock()
		_, known := s.listeners[opts.Listener]
		s.mu.Unlock()
		if !known {
			return nil, fmt.Errorf("channel: there is no listener %q", opts.Listener)
		}
		po.Dial = func(context.Context) (net.Conn, error) {
			ours, theirs := conn.NewPipe("channel", opts.Listener)
			if err := s.inject(opts.Listener, theirs); err != nil {
				_ = ours.Close()
				return nil, err
			}
			return ours, nil
		}
	}
	c.pool = upstream.NewPool(po)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil, fmt.Errorf("channel: the server has been shut down")
	}
	s.channels[c] = struct{}{}
	return c, nil
}

// Handle implements stream.Handler.
func (c *Channel) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	return c.pool.Handle(ctx, req)
}

// Close closes the channel; requests in flight fail. It is safe twice.
func (c *Channel) Close() {
	c.pool.Close()
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	delete(c.server.channels, c)
}
