package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/listener"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// ChannelOptions describe a way into the core from inside the process.
type ChannelOptions struct {
	// Listener is the name of the listener that requests enter by, over
	// in-memory connections; or, where none has that name, a "host:port" that
	// is dialed over TCP.
	Listener string
	// Protocol is spoken on the connections: what the listener expects.
	Protocol string
	// Size is the most connections at a time, 0 is no limit. One carries one
	// request at a time, or many if the protocol is multiplexed; requests that
	// find all of them full wait their turn.
	Size int
}

// Channel sends requests into the core: a stream.Handler. It is an ordinary
// connection pool whose connections lead through memory.
type Channel struct {
	server *Server
	pool   upstream.Sender
}

// channelIdle is how long an in-memory connection is kept unused.
const channelIdle = time.Minute

// Channel opens a channel. The error names what is unknown.
func (s *Server) Channel(opts ChannelOptions) (*Channel, error) {
	proto, ok := s.opts.Protocols.Lookup(opts.Protocol)
	if !ok {
		return nil, fmt.Errorf("channel: unknown protocol %q (known: %s)", opts.Protocol, strings.Join(s.opts.Protocols.Names(), ", "))
	}
	_, _, notAddress := net.SplitHostPort(opts.Listener)
	c := &Channel{server: s}
	c.pool = upstream.New(upstream.PoolOptions{
		Name:           s.channelName(opts.Listener),
		Dial:           func(ctx context.Context) (net.Conn, error) { return s.dialListener(ctx, opts.Listener) },
		Protocol:       proto,
		ConnectTimeout: config.DefaultConnectTimeout,
		WriteTimeout:   config.DefaultConnectionIdleTimeout,
		IdleTimeout:    channelIdle,
		MaxConnections: opts.Size,
		Wait:           true,
		MaxWait:        config.DefaultRouteTimeout,
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil, errStopped
	}
	if _, known := s.listeners[opts.Listener]; !known && notAddress != nil {
		return nil, fmt.Errorf("channel: %w", unknown("listener", opts.Listener, slices.Sorted(maps.Keys(s.listeners))))
	}
	s.channels[c] = struct{}{}
	return c, nil
}

// channelName returns what errors call the other end of a channel.
func (s *Server) channelName(to string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.listeners[to]; known {
		return "listener " + to
	}
	return "host " + to
}

// dialListener connects to the listener of that name as it is now, or, where
// there is none, to that address.
func (s *Server) dialListener(ctx context.Context, name string) (net.Conn, error) {
	s.mu.Lock()
	_, known := s.listeners[name]
	s.mu.Unlock()
	if _, _, err := net.SplitHostPort(name); !known && err == nil {
		return s.opts.Dial(ctx, name)
	}
	ours, theirs := conn.NewPipe("channel", name)
	err := s.Inject(name, theirs)
	if err == nil {
		return ours, nil
	}
	_ = ours.Close()
	switch {
	case errors.Is(err, listener.ErrFull):
		err = &stream.Error{Kind: stream.Overload, Retry: true, Op: name, Err: err}
	case errors.Is(err, listener.ErrStopped):
		err = &stream.Error{Kind: stream.Stopping, Retry: true, Op: name, Err: err}
	}
	return nil, err
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
