package cluster

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// slot holds the connections to one host: a pool for each protocol.
type slot struct {
	// pools is replaced, not changed, so that requests need no lock.
	pools atomic.Pointer[[]pool]

	mu    sync.Mutex
	state state
}

// pool is what a slot finds connections by.
type pool struct {
	// name is the protocol as it was asked for: several names may lead to one.
	name string
	// generation is that of the TLS material the connections were made with.
	generation uint64
	upstream.Sender
}

// state is what becomes of pools that are made.
type state uint8

const (
	inUse   state = iota
	retired       // the pools keep nothing
	closed        // the pools take no request
)

func newSlot(st state) *slot {
	s := &slot{state: st}
	s.pools.Store(new([]pool))
	return s
}

// find returns the pool for a protocol and a generation, nil if there is none.
func (s *slot) find(name string, generation uint64) upstream.Sender {
	list := *s.pools.Load()
	for i := range list {
		if list[i].name == name && list[i].generation == generation {
			return list[i].Sender
		}
	}
	return nil
}

// end sets what becomes of pools, of which there are and of those to come.
func (s *slot) end(to state) {
	s.mu.Lock()
	s.state = max(s.state, to)
	to = s.state
	list := *s.pools.Load()
	s.mu.Unlock()
	for _, p := range list {
		p.end(to)
	}
}

func (p pool) end(st state) {
	switch st {
	case inUse:
	case retired:
		p.Drain()
	case closed:
		p.Close()
	}
}

// pool returns the connections to the host of a slot in a protocol.
func (c *Cluster) pool(s *slot, host *upstream.Host, name string) (upstream.Sender, error) {
	generation := c.generation()
	if p := s.find(name, generation); p != nil {
		return p, nil
	}
	proto, ok := c.tables.Protocols.Lookup(name)
	if !ok {
		return nil, stream.Errorf(stream.Internal, stream.Local, "cluster %s: unknown upstream protocol %q (known: %s)",
			c.cfg.Name, name, strings.Join(c.tables.Protocols.Names(), ", "))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := pool{proto.Name(), generation, s.find(proto.Name(), generation)}
	list := slices.Clone(*s.pools.Load())
	if p.Sender == nil {
		// A request that began before the host was taken away may come this late.
		p.Sender = c.newPool(host, proto)
		p.end(s.state)
		list = append(list, p)
	}
	if name != p.name && s.find(name, generation) == nil {
		list = append(list, pool{name, generation, p.Sender})
	}
	stale := slices.Clone(list)
	list = slices.DeleteFunc(list, func(p pool) bool { return p.generation < generation })
	s.pools.Store(&list)
	for _, old := range stale {
		if old.generation < generation {
			old.Drain()
		}
	}
	return p.Sender, nil
}

// generation is that of the TLS material of the moment.
func (c *Cluster) generation() uint64 {
	if c.tls == nil {
		return 0
	}
	return c.tls.Generation()
}

func (c *Cluster) newPool(host *upstream.Host, proto protocol.Protocol) upstream.Sender {
	return upstream.New(upstream.PoolOptions{
		Name:           "host " + host.Address,
		Dial:           func(ctx context.Context) (net.Conn, error) { return c.dial(ctx, host, proto) },
		Protocol:       proto,
		Host:           host,
		ConnectTimeout: c.connectTimeout(),
		WriteTimeout:   config.DefaultConnectionIdleTimeout,
		IdleTimeout:    c.cfg.IdleTimeout,
		MaxConnections: c.limit.MaxConnections,
		Wait:           c.limit.MaxPendingRequests > 0,
		MaxWait:        config.DefaultRouteTimeout,
		MaxRequests:    c.cfg.MaxRequestPerConn,
		Pending:        c.pending,
		Mode:           poolModes[c.cfg.PoolMode],
		Keepalive:      c.keepalive(),
		Closed:         func(cause conn.Cause) { c.counters.closed[cause].Add(1) },
	})
}

// poolModes are the values of pool_mode. It does not change.
var poolModes = map[string]upstream.Mode{
	"":                   upstream.Multiplex,
	config.PoolMultiplex: upstream.Multiplex,
	config.PoolPingPong:  upstream.PingPong,
	config.PoolBinding:   upstream.Binding,
}

func (c *Cluster) keepalive() protocol.Keepalive {
	k := c.cfg.Keepalive
	if k == nil {
		return protocol.Keepalive{}
	}
	return protocol.Keepalive{Interval: k.Interval, Timeout: k.Timeout, Failures: k.FailCountToClose}
}

func (c *Cluster) connectTimeout() time.Duration {
	if c.cfg.ConnectTimeout <= 0 {
		return config.DefaultConnectTimeout
	}
	return c.cfg.ConnectTimeout
}

// dial opens a connection to host on which proto is spoken; nil
// is no protocol of ours.
func (c *Cluster) dial(ctx context.Context, host *upstream.Host, proto protocol.Protocol) (net.Conn, error) {
	return c.dialWith(ctx, host.Address, proto, c.tls != nil && !host.Plain)
}

// dialWith opens a connection, with TLS if secure.
func (c *Cluster) dialWith(ctx context.Context, address string, proto protocol.Protocol, secure bool) (net.Conn, error) {
	nc, err := c.connect(ctx, "tcp", address)
	if err != nil || !secure {
		return nc, err
	}
	var names []string
	_, required := proto.(protocol.Multiplexed)
	if a, ok := proto.(protocol.ALPN); ok {
		names = a.ALPN()
	}
	tc, err := c.tls.Connect(ctx, nc, names, required && names != nil)
	if err == nil {
		return tc, nil
	}
	if c.tls.FallBack() && ctx.Err() == nil {
		return c.connect(ctx, "tcp", address)
	}
	return nil, err
}

// connect opens a connection without TLS. Names are looked up by the cluster's
// own name servers if it has some.
func (c *Cluster) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if c.dialer != nil {
		return c.dialer.Dial(ctx, network, address)
	}
	return c.connectIP(ctx, network, address)
}

func (c *Cluster) connectIP(ctx context.Context, network, address string) (net.Conn, error) {
	if network == "tcp" && c.cfg.Mark == 0 && c.tables.Dial != nil {
		return c.tables.Dial(ctx, address)
	}
	var d net.Dialer
	if c.cfg.Mark != 0 {
		d.Control = marked(c.cfg.Mark)
	}
	return d.DialContext(ctx, network, address)
}
