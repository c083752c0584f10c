package tcp

import (
	"context"
	"net/netip"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/tcp/l4"
)

// Deps are the surroundings of a Proxy.
type Deps struct {
	// Listener is the listener's name, and Path where the configuration
	// stands, both for messages.
	Listener, Path string
	// IdleTimeout applies where the configuration sets none; 0 is never.
	IdleTimeout time.Duration
	// Dial connects to hosts.
	Dial l4.Dial
	// Destination says where a client wanted to go; nil is the connection's
	// local address.
	Destination func(*conn.Conn) netip.AddrPort
	// Record is called once for each connection after its end, from the
	// connection's goroutine; it may be nil.
	Record func(l4.Record)
}

// Proxy passes connections on. It does not change, and is safe for concurrent
// use.
type Proxy struct {
	cfg    config.TCPProxy
	deps   Deps
	routes *l4.Routes
}

// New makes a Proxy. A mistake in the configuration is an error of type
// decode.Problems.
func New(cfg config.TCPProxy, deps Deps) (*Proxy, error) {
	routes, err := l4.NewRoutes(cfg.L4Proxy, deps.Path)
	problems := decode.AsProblems(err, deps.Path)
	if deps.Dial == nil {
		problems = append(problems, decode.Problem{Path: deps.Path, Message: "there is nothing to connect with: Deps.Dial is nil", Remedy: "a mistake in the program"})
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if cfg.IdleTimeout <= 0 {
		cfg.IdleTimeout = deps.IdleTimeout
	}
	if cfg.MaxConnectAttempts <= 0 {
		cfg.MaxConnectAttempts = config.DefaultMaxConnectAttempts
	}
	if deps.Record == nil {
		deps.Record = func(l4.Record) {}
	}
	if deps.Destination == nil {
		deps.Destination = func(c *conn.Conn) netip.AddrPort { return l4.AddrPort(c.LocalAddr()) }
	}
	return &Proxy{cfg: cfg, deps: deps, routes: routes}, nil
}

// causes are what the ends mean for the client's connection.
var causes = [...]conn.Cause{
	l4.Unknown: conn.Unknown, l4.ClientClosed: conn.RemoteClose, l4.HostClosed: conn.LocalClose, l4.ClientBroke: conn.ReadError,
	l4.HostBroke: conn.CutOff, l4.Idle: conn.IdleTimeout, l4.NoRoute: conn.CutOff, l4.NotConnected: conn.CutOff, l4.Stopped: conn.CutOff,
}

// ServeConn implements listener.Handler: it connects to a host and passes bytes
// on until both directions have ended, one side broke off, nothing happened for
// the idle timeout, or ctx ends. When no host can be connected it returns at
// once. Draining does not end it: what is said on the connection is not known,
// so there is no moment at which it could be ended without cutting somebody
// off; the listener's patience is the limit.
//
// The error is a *stream.Error, nil after an end in order or by the idle timeout.
func (p *Proxy) ServeConn(ctx context.Context, c *conn.Conn) error {
	r := l4.Record{
		Listener:    p.deps.Listener,
		Label:       p.cfg.StatPrefix,
		Source:      l4.AddrPort(c.RemoteAddr()),
		Destination: p.deps.Destination(c),
		Start:       time.Now(),
	}
	defer func() {
		r.Duration = time.Since(r.Start)
		p.deps.Record(r)
	}()
	up, err := p.connect(ctx, &r)
	if err != nil {
		r.Err = err
		c.SetCause(conn.CutOff)
		return err
	}
	s := newSession(c, up, p.cfg.IdleTimeout)
	defer func() {
		r.Sent, r.Received = s.up.moved, s.down.moved
		r.End, r.Err = s.end, s.err
		c.SetCause(causes[s.end])
	}()
	return s.run(ctx)
}

// connect finds the cluster and connects to one of its hosts.
func (p *Proxy) connect(ctx context.Context, r *l4.Record) (l4.Upstream, error) {
	cluster, ok := p.routes.Cluster(r.Source, r.Destination)
	if !ok {
		r.End = l4.NoRoute
		return l4.Upstream{}, stream.Errorf(stream.NoRoute, stream.Local, "no route for a connection from %s to %s", r.Source, r.Destination)
	}
	r.Cluster = cluster
	up, attempts, err := p.deps.Dial.Connect(ctx, l4.Attempt{
		Network:     "tcp",
		Cluster:     cluster,
		Source:      r.Source,
		Destination: r.Destination,
	}, p.cfg.MaxConnectAttempts)
	r.Host, r.Attempts, r.Connect = up.Host, attempts, time.Since(r.Start)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		r.End = l4.Stopped
	default:
		r.End = l4.NotConnected
	}
	return up, err
}
