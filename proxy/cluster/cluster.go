package cluster

import (
	"context"
	"io"
	"net"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// Tables are what clusters are built from.
type Tables struct {
	Balancers *lb.Table
	Protocols *protocol.Table
}

// Cluster sends requests to one of its hosts. It does not change once made,
// but for its connections and counters. It is safe for concurrent use.
type Cluster struct {
	cfg      config.Cluster
	tables   Tables
	limit    config.Breaker
	hosts    []*upstream.Host
	picker   lb.Picker
	reporter lb.Reporter // nil when the picker does not learn

	inFlight atomic.Int64

	mu    sync.RWMutex
	pools map[poolKey]*upstream.Pool
}

type poolKey struct {
	host     *upstream.Host
	protocol string
}

// New makes a cluster. It connects to nothing yet. Connections of before, the
// cluster of that name in an earlier configuration, are taken over where they
// lead to the same host in the same way; before may be nil, and must be
// retired (Retire) once the new one is in use.
func New(cfg config.Cluster, tables Tables, before *Cluster) (*Cluster, error) {
	policy, err := tables.Balancers.Policy(cfg.LBType, cfg.LBConfig)
	if err != nil {
		return nil, err
	}
	c := &Cluster{cfg: cfg, tables: tables, pools: make(map[poolKey]*upstream.Pool)}
	if len(cfg.CircuitBreakers) > 0 {
		c.limit = cfg.CircuitBreakers[0]
	}
	for _, h := range cfg.Hosts {
		c.hosts = append(c.hosts, c.adopt(h, before))
	}
	c.picker = policy.Picker(c.hosts)
	c.reporter, _ = c.picker.(lb.Reporter)
	return c, nil
}

// adopt returns the host that before had under the same configuration, with
// its connections, or a new one.
func (c *Cluster) adopt(h config.Host, before *Cluster) *upstream.Host {
	if before == nil || !sameConnections(c.cfg, before.cfg) {
		return upstream.NewHost(h)
	}
	for i, old := range before.cfg.Hosts {
		if reflect.DeepEqual(old, h) {
			host := before.hosts[i]
			before.mu.RLock()
			for key, pool := range before.pools {
				if key.host == host {
					c.pools[key] = pool
				}
			}
			before.mu.RUnlock()
			return host
		}
	}
	return upstream.NewHost(h)
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
		a.MaxRequestPerConn == b.MaxRequestPerConn && limit(a) == limit(b)
}

// Name returns the cluster's name.
func (c *Cluster) Name() string { return c.cfg.Name }

// Hosts returns the hosts. The slice must not be changed.
func (c *Cluster) Hosts() []*upstream.Host { return c.hosts }

// Handle implements stream.Handler: one attempt, at one host.
func (c *Cluster) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	if limit := c.limit.MaxRequests; limit > 0 {
		if c.inFlight.Add(1) > int64(limit) {
			c.inFlight.Add(-1)
			return nil, &stream.Error{Kind: stream.Overload, Retry: true, Op: "cluster " + c.cfg.Name + ": max_requests reached"}
		}
	}
	host, err := c.picker.Pick(req)
	if err != nil {
		c.leave()
		e := stream.AsError(err)
		return nil, &stream.Error{Kind: e.Kind, Side: e.Side, Retry: e.Retry, Op: "cluster " + c.cfg.Name, Err: err}
	}
	req.Info.Host = host.Address
	req.Info.Attempts++
	pool, err := c.pool(host, req.UpstreamProtocol)
	if err != nil {
		c.leave()
		return nil, err
	}
	if c.reporter == nil && c.limit.MaxRequests == 0 {
		return pool.Handle(ctx, req)
	}
	return c.observed(ctx, req, host, pool)
}

// observed is an attempt of which the balancer or the limit learns the end.
func (c *Cluster) observed(ctx context.Context, req *stream.Request, host *upstream.Host, pool *upstream.Pool) (*stream.Response, error) {
	a := &attempt{c: c, host: host, start: time.Now()}
	resp, err := pool.Handle(ctx, req)
	if err != nil {
		a.end(lb.Outcome{Err: err})
		return nil, err
	}
	a.status, a.body = resp.Status, resp.Body
	resp.Body = a
	return resp, nil
}

// attempt is the body of an answer whose end somebody wants to know.
type attempt struct {
	c      *Cluster
	host   *upstream.Host
	start  time.Time
	status int
	body   io.ReadCloser
	err    error
}

// Read implements io.Reader.
func (a *attempt) Read(p []byte) (int, error) {
	if a.body == nil {
		return 0, io.EOF
	}
	n, err := a.body.Read(p)
	if _, failed := err.(*stream.Error); failed {
		a.err = err
	}
	return n, err
}

// Ready implements stream.Ready.
func (a *attempt) Ready() bool { return a.body == nil || stream.BodyReady(a.body) }

// Close implements io.Closer.
func (a *attempt) Close() error {
	a.end(lb.Outcome{Status: a.status, Err: a.err})
	if a.body == nil {
		return nil
	}
	return a.body.Close()
}

func (a *attempt) end(o lb.Outcome) {
	a.c.leave()
	if a.c.reporter != nil {
		o.Duration = time.Since(a.start)
		a.c.reporter.Done(a.host, o)
	}
}

func (c *Cluster) leave() {
	if c.limit.MaxRequests > 0 {
		c.inFlight.Add(-1)
	}
}

// pool returns the connections to host in a protocol.
func (c *Cluster) pool(host *upstream.Host, name string) (*upstream.Pool, error) {
	key := poolKey{host, name}
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
	if p := c.pools[key]; p != nil {
		return p, nil
	}
	connect := c.cfg.ConnectTimeout
	if connect <= 0 {
		connect = config.DefaultConnectTimeout
	}
	p = upstream.NewPool(upstream.PoolOptions{
		Name:           "host " + host.Address,
		Dial:           dialer(host.Address),
		Protocol:       proto,
		Host:           host,
		ConnectTimeout: connect,
		WriteTimeout:   config.DefaultConnectionIdleTimeout,
		IdleTimeout:    c.cfg.IdleTimeout,
		MaxConnections: c.limit.MaxConnections,
		MaxRequests:    c.cfg.MaxRequestPerConn,
	})
	c.pools[key] = p
	return p, nil
}

func dialer(address string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", address)
	}
}

// Retire closes the connections that next, the cluster in its place, did not
// take over, as they become free; next may be nil.
func (c *Cluster) Retire(next *Cluster) {
	for _, p := range c.remaining(next) {
		p.Drain()
	}
}

func (c *Cluster) remaining(next *Cluster) []*upstream.Pool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var pools []*upstream.Pool
	for key, pool := range c.pools {
		if next != nil {
			next.mu.RLock()
			taken := next.pools[key] == pool
			next.mu.RUnlock()
			if taken {
				continue
			}
		}
		pools = append(pools, pool)
	}
	return pools
}

// Close closes all connections; requests in flight fail.
func (c *Cluster) Close() {
	for _, p := range c.remaining(nil) {
		p.Close()
	}
}
