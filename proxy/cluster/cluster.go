package cluster

import (
	"context"
	"net"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/tlscontext"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// Tables are what clusters are built from.
type Tables struct {
	Balancers *lb.Table
	Protocols *protocol.Table
	// Dial opens a connection to a host's address; nil is over TCP, with names
	// looked up each time. It must return when ctx ends.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Extensions are the ways to verify hosts that a TLS context can name.
	Extensions []tlscontext.Extension
}

// Cluster sends requests to one of its hosts. It does not change once made,
// but for its connections and counters. It is safe for concurrent use.
type Cluster struct {
	cfg      config.Cluster
	tables   Tables
	limit    config.Breaker
	hosts    []*upstream.Host
	picker   lb.Picker
	reporter lb.Reporter        // nil when the picker does not learn
	tls      *tlscontext.Client // nil when hosts are spoken to without TLS
	// plain are the hosts that are spoken to without TLS all the same.
	plain map[*upstream.Host]bool

	// inFlight is shared with the cluster before, whose requests count too.
	inFlight *atomic.Int64

	mu    sync.RWMutex
	pools map[poolKey]upstream.Sender
	state state
}

// poolKey is what a pool is found by. Several spellings of a protocol's name
// may lead to one pool.
type poolKey struct {
	host     *upstream.Host
	protocol string
	// generation is that of the TLS material the connections were made with.
	generation uint64
}

// state is what becomes of pools that are made.
type state uint8

const (
	inUse   state = iota
	retired       // the pools keep nothing
	closed        // the pools take no request
)

// New makes a cluster. It connects to nothing yet. Connections of before, the
// cluster of that name in an earlier configuration, are taken over where they
// lead to the same host in the same way; before may be nil, and must be
// retired (Retire) once the new one is in use. path is where the cluster stands
// in the configuration; an error is of type decode.Problems.
func New(cfg config.Cluster, tables Tables, before *Cluster, path string) (*Cluster, error) {
	policy, err := tables.Balancers.Policy(cfg.LBType, cfg.LBConfig)
	if err != nil {
		return nil, decode.AsProblems(err, path+".lb_type")
	}
	c := &Cluster{cfg: cfg, tables: tables, inFlight: new(atomic.Int64), pools: make(map[poolKey]upstream.Sender), plain: make(map[*upstream.Host]bool)}
	if len(cfg.CircuitBreakers) > 0 {
		c.limit = cfg.CircuitBreakers[0]
	}
	if before != nil {
		c.inFlight = before.inFlight
	}
	if err := c.secure(before, path+".tls_context"); err != nil {
		return nil, err
	}
	c.adopt(before)
	c.picker = policy.Picker(c.hosts, nil)
	c.reporter, _ = c.picker.(lb.Reporter)
	return c, nil
}

// secure makes the TLS side, or takes it over from before.
func (c *Cluster) secure(before *Cluster, path string) error {
	if c.cfg.TLSContext == nil {
		return nil
	}
	if before != nil && reflect.DeepEqual(before.cfg.TLSContext, c.cfg.TLSContext) {
		c.tls = before.tls
		return nil
	}
	client, _, err := tlscontext.NewClient(*c.cfg.TLSContext, c.tables.Extensions, path) // warnings were given by Validate
	c.tls = client
	return err
}

// TLS returns the TLS side; nil when hosts are spoken to without.
func (c *Cluster) TLS() *tlscontext.Client { return c.tls }

// adopt fills in the hosts: those that before had under the same configuration,
// with their connections, and new ones.
func (c *Cluster) adopt(before *Cluster) {
	known := make(map[string][]int) // address to places in before
	if before != nil && sameConnections(c.cfg, before.cfg) {
		for i, h := range before.cfg.Hosts {
			known[h.Address] = append(known[h.Address], i)
		}
	}
	c.hosts = make([]*upstream.Host, len(c.cfg.Hosts))
	taken := make(map[*upstream.Host]bool)
	for i, h := range c.cfg.Hosts {
		for _, j := range known[h.Address] {
			if old := before.hosts[j]; !taken[old] && reflect.DeepEqual(before.cfg.Hosts[j], h) {
				c.hosts[i], taken[old] = old, true
				break
			}
		}
		if c.hosts[i] == nil {
			c.hosts[i] = upstream.NewHost(h, nil)
		}
		if h.TLSDisable {
			c.plain[c.hosts[i]] = true
		}
	}
	if len(taken) == 0 {
		return
	}
	before.mu.RLock()
	defer before.mu.RUnlock()
	for key, pool := range before.pools {
		if taken[key.host] {
			c.pools[key] = pool
		}
	}
}

// sameConnections reports whether a connection made for one cluster can serve the other.
func sameConnections(a, b config.Cluster) bool {
	limit := func(c config.Cluster) int {
		if len(c.CircuitBreakers) == 0 {
			return 0
		}
		return c.CircuitBreakers[0].MaxConnections
	}
	return a.ConnectTimeout == b.ConnectTimeout && a.IdleTimeout == b.IdleTimeout &&
		a.MaxRequestPerConn == b.MaxRequestPerConn && limit(a) == limit(b) && reflect.DeepEqual(a.TLSContext, b.TLSContext)
}

// Name returns the cluster's name.
func (c *Cluster) Name() string { return c.cfg.Name }

// Hosts returns the hosts. The slice must not be changed.
func (c *Cluster) Hosts() []*upstream.Host { return c.hosts }

// Handle implements stream.Handler: one attempt, at one host.
func (c *Cluster) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	if c.limit.MaxRequests == 0 && c.reporter == nil {
		_, pool, err := c.choose(req)
		if err != nil {
			return nil, err
		}
		return pool.Handle(ctx, req)
	}
	if c.limit.MaxRequests > 0 && c.inFlight.Add(1) > int64(c.limit.MaxRequests) {
		c.leave()
		return nil, &stream.Error{Kind: stream.Overload, Retry: true, Op: "cluster " + c.cfg.Name + ": max_requests reached"}
	}
	a := &attempt{c: c, start: time.Now()}
	return a.handle(ctx, req)
}

// choose picks a host and finds the connections to it.
func (c *Cluster) choose(req *stream.Request) (*upstream.Host, upstream.Sender, error) {
	host, err := c.picker.Pick(req)
	if err != nil {
		e := stream.AsError(err)
		return nil, nil, &stream.Error{Kind: e.Kind, Side: e.Side, Retry: e.Retry, Op: "cluster " + c.cfg.Name + ": " + e.Op, Err: e.Err}
	}
	req.Info.Host = host.Address
	req.Tried = append(req.Tried, host.Address)
	req.Info.Attempts++
	pool, err := c.pool(host, req.UpstreamProtocol)
	return host, pool, err
}

func (c *Cluster) leave() {
	if c.limit.MaxRequests > 0 {
		c.inFlight.Add(-1)
	}
}

// pool returns the connections to host in a protocol.
func (c *Cluster) pool(host *upstream.Host, name string) (upstream.Sender, error) {
	key := poolKey{host: host, protocol: name}
	if c.tls != nil {
		key.generation = c.tls.Generation()
	}
	c.mu.RLock()
	p := c.pools[key]
	c.mu.RUnlock()
	if p != nil {
		return p, nil
	}
	proto, ok := c.tables.Protocols.Lookup(name)
	if !ok {
		return nil, stream.Errorf(stream.Internal, stream.Local, "cluster %s: unknown upstream protocol %q (known: %s)",
			c.cfg.Name, name, strings.Join(c.tables.Protocols.Names(), ", "))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	proper := poolKey{host, proto.Name(), key.generation}
	if p = c.pools[proper]; p == nil {
		p = c.newPool(host, proto)
		c.pools[proper] = p
	}
	c.pools[key] = p
	for old, stale := range c.pools {
		if old.host == host && old.generation < key.generation {
			stale.Drain()
			delete(c.pools, old)
		}
	}
	return p, nil
}

func (c *Cluster) newPool(host *upstream.Host, proto protocol.Protocol) upstream.Sender {
	connect := c.cfg.ConnectTimeout
	if connect <= 0 {
		connect = config.DefaultConnectTimeout
	}
	p := upstream.New(upstream.PoolOptions{
		Name:           "host " + host.Address,
		Dial:           func(ctx context.Context) (net.Conn, error) { return c.dial(ctx, host, proto) },
		Protocol:       proto,
		Host:           host,
		ConnectTimeout: connect,
		WriteTimeout:   config.DefaultConnectionIdleTimeout,
		IdleTimeout:    c.cfg.IdleTimeout,
		MaxConnections: c.limit.MaxConnections,
		MaxRequests:    c.cfg.MaxRequestPerConn,
	})
	// A request that began before the cluster was replaced may come this late.
	switch c.state {
	case retired:
		p.Drain()
	case closed:
		p.Close()
	}
	return p
}

// dial opens a connection on which proto is spoken; nil is no protocol of ours.
func (c *Cluster) dial(ctx context.Context, host *upstream.Host, proto protocol.Protocol) (net.Conn, error) {
	connect := c.tables.Dial
	if connect == nil {
		connect = dialTCP
	}
	nc, err := connect(ctx, host.Address)
	if err != nil || c.tls == nil || c.plain[host] {
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
		return connect(ctx, host.Address)
	}
	return nil, err
}

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address)
}

// Retire closes the connections that next, the cluster in its place, did not
// take over, as they become free; next may be nil.
func (c *Cluster) Retire(next *Cluster) {
	for _, p := range c.end(retired, next) {
		p.Drain()
	}
}

// Close closes all connections; requests in flight fail.
func (c *Cluster) Close() {
	for _, p := range c.end(closed, nil) {
		p.Close()
	}
}

// end sets what becomes of pools, and returns those that next did not take over.
func (c *Cluster) end(to state, next *Cluster) []upstream.Sender {
	kept := make(map[upstream.Sender]bool)
	if next != nil {
		next.mu.RLock()
		for _, pool := range next.pools {
			kept[pool] = true
		}
		next.mu.RUnlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = max(c.state, to)
	var pools []upstream.Sender
	for _, pool := range c.pools {
		if !kept[pool] {
			kept[pool] = true // listed once
			pools = append(pools, pool)
		}
	}
	return pools
}
