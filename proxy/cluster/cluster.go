package cluster

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/dns"
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
	// DNS is what resolvers need; the zero value will do.
	DNS dns.Env
	// Log hears of hosts that come and go; nil: nobody does.
	Log *slog.Logger
}

// Cluster sends requests to one of its hosts. Its configuration does not
// change once made; its hosts may (SetHosts). It is safe for concurrent use.
type Cluster struct {
	cfg    config.Cluster
	tables Tables
	limit  config.Breaker
	policy lb.Policy
	tls    *tlscontext.Client // nil when hosts are spoken to without TLS
	// counters and pending are shared with the cluster before, whose requests count too.
	counters *counters
	pending  *upstream.Pending
	// origin makes hosts of what requests ask for; nil where they are listed.
	origin *origin
	// dialer looks up the names of hosts when connecting; nil leaves that to
	// the system.
	dialer *dns.Dialer

	// bonds remember where callers' connections are bound to; nil where they are not.
	bonds *bonds

	// set is what requests see of the hosts.
	set atomic.Pointer[hostSet]
	background
}

// New makes a cluster. It connects to nothing and watches nothing yet: see
// Start. Connections of before, the cluster of that name in an earlier
// configuration, are taken over where they lead to the same host in the same
// way, and what is known about hosts that stay in any case; before may be nil,
// and must be retired (Retire) once the new one is in use. path is where the
// cluster stands in the configuration; warnings tell of what works, but hardly
// as meant. An error is of type decode.Problems.
func New(cfg config.Cluster, tables Tables, before *Cluster, path string) (_ *Cluster, warnings decode.Problems, err error) {
	c := &Cluster{cfg: cfg, tables: tables, counters: new(counters)}
	if len(cfg.CircuitBreakers) > 0 {
		c.limit = cfg.CircuitBreakers[0]
	}
	if c.policy, warnings, err = c.newPolicy(path); err != nil {
		return nil, nil, err
	}
	if err := c.secure(before, path+".tls_context"); err != nil {
		return nil, nil, err
	}
	w, err := c.prepare(before, path)
	if err != nil {
		return nil, nil, err
	}
	warnings = append(warnings, w...)
	if c.limit.MaxPendingRequests > 0 {
		c.pending = upstream.NewPending(c.limit.MaxPendingRequests)
	}
	if cfg.PoolMode == config.PoolBinding {
		c.bonds = newBonds()
	}
	var old *hostSet
	same := false
	hosts := cfg.Hosts
	if before != nil {
		c.counters, old, same = before.counters, before.set.Load(), sameConnections(cfg, before.cfg)
		if same {
			c.pending, c.bonds = before.pending, before.bonds
		}
		if cfg.Type == typeEDS && len(cfg.Hosts) == 0 {
			hosts = old.configs // were given while running
		}
	}
	if c.names != nil {
		hosts = c.names.Hosts()
	}
	c.adoptOrigin(before, same)
	c.set.Store(c.newSet(hosts, old, same))
	return c, warnings, nil
}

// Types of clusters.
const (
	typeEDS         = "EDS"
	typeDNS         = "STRICT_DNS"
	typeOriginalDst = "ORIGINAL_DST"
)

// OriginalDst is the name of the balancer of clusters whose hosts are what
// requests ask for; it says the same as their type.
const OriginalDst = "LB_ORIGINAL_DST"

// Resolves reports whether the configured hosts are names for those in use.
func (c *Cluster) Resolves() bool { return c.cfg.Type == typeDNS }

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

// sameConnections reports whether a connection made for one cluster can serve the other.
func sameConnections(a, b config.Cluster) bool {
	limits := func(c config.Cluster) [2]int {
		if len(c.CircuitBreakers) == 0 {
			return [2]int{}
		}
		return [2]int{c.CircuitBreakers[0].MaxConnections, c.CircuitBreakers[0].MaxPendingRequests}
	}
	return a.PoolMode == b.PoolMode && reflect.DeepEqual(a.Keepalive, b.Keepalive) && a.ConnectTimeout == b.ConnectTimeout && a.IdleTimeout == b.IdleTimeout && a.Mark == b.Mark &&
		a.DNSLookupFamily == b.DNSLookupFamily && a.DNSResolverFile == b.DNSResolverFile && a.DNSResolverPort == b.DNSResolverPort &&
		reflect.DeepEqual(a.DNSResolvers, b.DNSResolvers) && a.MaxRequestPerConn == b.MaxRequestPerConn && limits(a) == limits(b) && reflect.DeepEqual(a.TLSContext, b.TLSContext)
}

// Name returns the cluster's name.
func (c *Cluster) Name() string { return c.cfg.Name }

// Hosts returns the hosts of the moment. The slice must not be changed.
func (c *Cluster) Hosts() []*upstream.Host { return c.set.Load().hosts }

// Handle implements stream.Handler: one attempt, at one host.
func (c *Cluster) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	return c.handle(ctx, req, nil)
}

// handle makes one attempt, at host if that is not nil.
func (c *Cluster) handle(ctx context.Context, req *stream.Request, host *upstream.Host) (*stream.Response, error) {
	set := c.set.Load()
	if !c.counts() && set.reporter == nil && c.detector == nil {
		ch, err := c.choose(ctx, req, host)
		if err != nil {
			return nil, err
		}
		return ch.handler(req).Handle(ctx, req)
	}
	if err := c.enter(); err != nil {
		return nil, err
	}
	a := &attempt{c: c, fixed: host, start: time.Now()}
	return a.handle(ctx, req)
}

// choice is where an attempt goes.
type choice struct {
	host *upstream.Host
	pool upstream.Sender
	// reporter is the picker that chose the host, if it learns.
	reporter lb.Reporter
}

// handler returns the connections, with what the listener wants to stand in
// front of each attempt.
func (ch choice) handler(req *stream.Request) stream.Handler {
	if req.PerHost != nil {
		return req.PerHost(ch.pool)
	}
	return ch.pool
}

// choose picks a host, if that was not done already, and finds the connections to it.
func (c *Cluster) choose(ctx context.Context, req *stream.Request, host *upstream.Host) (ch choice, err error) {
	var s *slot
	if ch, s, err = c.pick(ctx, req, host); err != nil {
		e := stream.AsError(err)
		return choice{}, &stream.Error{Kind: e.Kind, Side: e.Side, Retry: e.Retry, Op: "cluster " + c.cfg.Name + ": " + e.Op, Err: e.Err}
	}
	req.Info.Host = ch.host.Address
	req.Info.Attempts++
	req.Tried = append(req.Tried, ch.host.Address)
	if req.Policy != nil && req.Policy.AutoHost && ch.host.Hostname != "" {
		req.Authority = ch.host.Hostname
	}
	ch.pool, err = c.pool(s, ch.host, req.UpstreamProtocol)
	return ch, err
}

func (c *Cluster) pick(ctx context.Context, req *stream.Request, host *upstream.Host) (ch choice, s *slot, err error) {
	if c.origin != nil {
		ch.host, s, err = c.origin.pick(c, req, host)
		return ch, s, err
	}
	set := c.set.Load()
	if host != nil {
		if s = set.slots[host]; s == nil { // it was taken away just now
			s = newSlot(retired)
		}
		return choice{host: host, reporter: set.reporter}, s, nil
	}
	if len(set.hosts) == 0 && c.awaitHosts(ctx, req) {
		set = c.set.Load()
	}
	if c.bonds != nil && req.Caller != nil && req.Caller.Life().Err() == nil {
		return c.pickBound(set, req) //nolint:contextcheck // what is bound lasts as long as the caller's connection
	}
	ch.host, err = set.picker.Pick(req)
	ch.reporter = set.reporter
	return ch, set.slots[ch.host], err
}

// usable reports whether requests have somewhere to go.
func (c *Cluster) usable() bool {
	return c.origin != nil || slices.ContainsFunc(c.Hosts(), (*upstream.Host).Usable)
}

// Each returns a handler for each usable host, which sends its requests there
// and nowhere else.
func (c *Cluster) Each() []stream.Handler {
	var list []stream.Handler
	for _, h := range c.Hosts() {
		if h.Usable() {
			list = append(list, stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
				return c.handle(ctx, req, h)
			}))
		}
	}
	return list
}

// errEnded is what SetHosts answers once the cluster was retired.
var errEnded = errors.New("the cluster is no longer in use")
