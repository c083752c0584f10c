package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// PoolOptions say where a pool's connections lead and how many there may be.
type PoolOptions struct {
	// Name is what errors call the other end: "host 10.0.0.1:80".
	Name string
	// Dial opens a connection. It must return when ctx ends. An error of type
	// *stream.Error says itself what kind of failure it is; any other is Connect.
	Dial func(ctx context.Context) (net.Conn, error)
	// Protocol is spoken on the connections.
	Protocol protocol.Protocol
	// Host has its requests in flight counted; nil where there is none.
	Host *Host
	// ConnectTimeout bounds Dial; it must be positive.
	ConnectTimeout time.Duration
	// WriteTimeout bounds each wait for the other end to take bytes; 0 is never.
	WriteTimeout time.Duration
	// IdleTimeout closes a connection unused for this long; 0 is never.
	IdleTimeout time.Duration
	// MaxConnections is the most connections at a time; 0 is no limit. With
	// Wait, a request over the limit waits its turn, at most MaxWait; without,
	// it is refused with Overload.
	MaxConnections int
	Wait           bool
	MaxWait        time.Duration
	// MaxRequests closes a connection after so many requests; 0 is no limit.
	MaxRequests int
	// Pending limits how many requests wait for a connection, its dialing
	// included; further ones are refused with Overload. Pools may share it. nil
	// is no limit.
	Pending *Pending
	// Mode says how requests share connections; New goes by it.
	Mode Mode
	// Keepalive is handed on to the protocol.
	Keepalive protocol.Keepalive
	// Closed is told once of each connection that has ended, and why; nil is
	// nobody. It does not block.
	Closed func(cause conn.Cause)

	// dialed and ended, unless they are nil, are told how dialing has ended, and
	// of the end of a connection that this side did not want.
	dialed, ended func(err error)
}

// Mode is how requests share connections.
type Mode uint8

// Modes.
const (
	Multiplex Mode = iota // many at a time, where the protocol can do that
	PingPong              // one at a time
	Binding               // each connection of a caller has one of its own
)

// janitorEvery is how often idle connections are looked at, to drop those
// that the other end has closed.
const janitorEvery = 15 * time.Second

// freshFor is how long an idle connection is trusted without a look, by
// requests that can be sent again if the trust was wrong.
const freshFor = 20 * time.Millisecond

// Pool keeps connections to one end and sends each request over one of them:
// a stream.Handler. It opens connections as needed and uses the one that was
// used last first, so that the others can expire.
//
// A connection carries one exchange at a time. All methods are safe for
// concurrent use.
type Pool struct {
	opts PoolOptions

	mu sync.Mutex
	// open counts places: connections, and those being dialed.
	open int
	// links holds all connections; idle those that nobody uses, the one used
	// last at the end. While somebody waits, idle is empty.
	links map[*link]struct{}
	idle  []*link
	// waiters are sent, in the order in which they came, a connection, or nil
	// for the place of one; a Close closes them. Each has room for what it is
	// sent, so that sending never blocks.
	waiters []chan *link
	// dialing ends what is being dialed.
	dialing map[*context.CancelFunc]struct{}
	state   poolState
	// janitor calls sweep; nil while nothing is idle.
	janitor *time.Timer
}

type poolState uint8

const (
	poolOpen     poolState = iota
	poolDraining           // connections are closed once nobody uses them
	poolClosed             // no request is taken
)

// cause is why a connection ends when a pool comes into this state.
func (s poolState) cause(inUse bool) conn.Cause {
	switch {
	case inUse:
		return conn.CutOff
	case s == poolDraining:
		return conn.Drained
	}
	return conn.LocalClose
}

// link is one connection of a pool. Whoever took it out of the pool owns it.
type link struct {
	pool   *Pool
	client protocol.Client
	conn   *conn.Conn
	served int
	used   time.Time
	// lent is true during an exchange, so that its end counts once.
	lent atomic.Bool
}

// NewPool makes a pool. It opens nothing yet.
func NewPool(opts PoolOptions) *Pool {
	return &Pool{opts: opts, links: make(map[*link]struct{}), dialing: make(map[*context.CancelFunc]struct{})}
}

// Handle implements stream.Handler. A request that failed on a kept
// connection, because the other end had closed it meanwhile, is sent once more
// on a new one if that cannot do it twice.
func (p *Pool) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	for second := false; ; second = true {
		l, kept, err := p.acquire(ctx, req, second)
		if err != nil {
			return nil, err
		}
		resp, err := l.exchange(ctx, req)
		if err == nil {
			return resp, nil
		}
		if e := stream.AsError(err); !kept || second || !e.Retry || e.Kind != stream.Reset || !req.Replayable() {
			return nil, err
		}
	}
}

// exchange sends a request. The client calls released when it is over.
func (l *link) exchange(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	l.lent.Store(true)
	if h := l.pool.opts.Host; h != nil {
		h.Begin()
	}
	returned := false
	defer func() {
		if !returned { // a panic: nobody will end the exchange
			_ = l.client.Close()
			l.released()
		}
	}()
	resp, err := l.client.Handle(ctx, req)
	returned = true
	return resp, err
}

// acquire returns a connection for one exchange; kept tells one that was used
// before from a new one, which fresh asks for.
func (p *Pool) acquire(ctx context.Context, req *stream.Request, fresh bool) (l *link, kept bool, err error) {
	if !fresh {
		if l := p.takeKept(req); l != nil {
			return l, true, nil
		}
	}
	if err := p.opts.Pending.enter(p.opts.Name); err != nil {
		return nil, false, err
	}
	defer p.opts.Pending.leave()
	return p.obtain(ctx, req, fresh)
}

// takeKept returns an idle connection that can carry req, nil if there is none.
func (p *Pool) takeKept(req *stream.Request) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		l := p.takeIdle(len(p.idle) - 1)
		p.mu.Unlock()
		ok := l.usable(req)
		if !ok {
			l.close(conn.RemoteClose)
		}
		p.mu.Lock()
		if ok {
			return l
		}
		p.forget(l)
		p.leave()
	}
	return nil
}

// obtain waits for a connection, or opens one.
func (p *Pool) obtain(ctx context.Context, req *stream.Request, fresh bool) (l *link, kept bool, err error) {
	p.mu.Lock()
	switch {
	case p.state == poolClosed:
		p.mu.Unlock()
		return nil, false, p.closedError()
	case p.opts.MaxConnections <= 0 || p.open < p.opts.MaxConnections:
		p.open++
		p.mu.Unlock()
		return p.dial(ctx, req)
	case len(p.idle) > 0: // and a new one is asked for, or it came just now
		l := p.takeIdle(len(p.idle) - 1)
		p.mu.Unlock()
		if !fresh && l.usable(req) {
			return l, true, nil
		}
		return p.replace(ctx, req, l)
	case !p.opts.Wait:
		p.mu.Unlock()
		return nil, false, &stream.Error{
			Kind: stream.Overload, Retry: true,
			Op: p.opts.Name, Err: fmt.Errorf("all %d connections allowed are in use", p.opts.MaxConnections),
		}
	}
	turn := make(chan *link, 1)
	p.waiters = append(p.waiters, turn)
	p.mu.Unlock()
	l, err = p.await(ctx, req, turn)
	switch {
	case err != nil:
		return nil, false, err
	case l == nil:
		return p.dial(ctx, req) // a connection ended, its place is ours
	case fresh || !l.usable(req):
		return p.replace(ctx, req, l)
	}
	return l, true, nil
}

// close closes the connection, for this reason if there is no other.
func (l *link) close(cause conn.Cause) {
	l.conn.SetCause(cause)
	_ = l.client.Close()
}

// usable reports whether a kept connection can carry req: its other end has
// not closed it. A request that would be sent again saves the look at one that
// was in use just now.
func (l *link) usable(req *stream.Request) bool {
	if l.client.Err() != nil {
		return false
	}
	if req.Idempotent() && req.Replayable() && time.Since(l.used) < freshFor {
		return true
	}
	return !l.client.Stale()
}

// replace closes a connection that the caller owns and opens another in its place.
func (p *Pool) replace(ctx context.Context, req *stream.Request, l *link) (*link, bool, error) {
	cause := conn.LocalClose // it has to make room
	if l.client.Err() != nil || l.client.Stale() {
		cause = conn.RemoteClose
	}
	l.close(cause)
	p.mu.Lock()
	p.forget(l)
	p.mu.Unlock()
	return p.dial(ctx, req)
}

// await waits for a connection (or, nil, the place of one).
func (p *Pool) await(ctx context.Context, req *stream.Request, turn chan *link) (*link, error) {
	start := time.Now()
	defer func() { req.Info.Connected += time.Since(start) }()
	limit := p.opts.MaxWait
	if !req.Deadline.IsZero() {
		limit = min(limit, req.Deadline.Sub(start))
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var err *stream.Error
	select {
	case l, ok := <-turn:
		if !ok {
			return nil, p.closedError()
		}
		return l, nil
	case <-ctx.Done():
		err = stream.FromContext(ctx, p.opts.Name)
	case <-timer.C:
		err = &stream.Error{Kind: stream.Timeout, Retry: true, Op: p.opts.Name, Err: errors.New("connection pool timeout")}
	}
	p.mu.Lock()
	if i := slices.Index(p.waiters, turn); i >= 0 {
		p.waiters = slices.Delete(p.waiters, i, i+1)
		p.mu.Unlock()
		return nil, err
	}
	// It was our turn at the same moment: pass it on.
	l, ok := <-turn
	if ok && l == nil {
		p.leave()
	}
	p.mu.Unlock()
	if l != nil {
		p.putBack(l)
	}
	return nil, err
}

// dial opens a connection in a place that is already counted.
func (p *Pool) dial(ctx context.Context, req *stream.Request) (*link, bool, error) {
	start := time.Now()
	until := start.Add(p.opts.ConnectTimeout)
	if !req.Deadline.IsZero() && req.Deadline.Before(until) {
		until = req.Deadline
	}
	dctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	p.mu.Lock()
	if p.state == poolClosed {
		p.leave()
		p.mu.Unlock()
		return nil, false, p.closedError()
	}
	p.dialing[&cancel] = struct{}{}
	p.mu.Unlock()

	l, err := p.connect(dctx)
	req.Info.Connected += time.Since(start)
	p.mu.Lock()
	delete(p.dialing, &cancel)
	closed := p.state == poolClosed
	if err == nil && !closed {
		p.links[l] = struct{}{}
		if p.opts.Host != nil {
			p.opts.Host.Connected()
		}
		p.mu.Unlock()
		return l, false, nil
	}
	p.leave()
	p.mu.Unlock()
	switch {
	case closed:
		if l != nil {
			_ = l.client.Close()
		}
		return nil, false, p.closedError()
	case ctx.Err() != nil:
		return nil, false, stream.FromContext(ctx, p.opts.connectTo())
	case !req.Deadline.IsZero() && !time.Now().Before(req.Deadline):
		return nil, false, &stream.Error{Kind: stream.Timeout, Side: stream.Upstream, Retry: true, Op: p.opts.connectTo(), Err: err}
	}
	return nil, false, p.opts.connectError(dctx, err)
}

// connectError says why no connection could be made. ctx is the one that
// bounded the dialing.
func (o *PoolOptions) connectError(ctx context.Context, err error) *stream.Error {
	if ctx.Err() != nil {
		err = fmt.Errorf("no connection within %v: %w", o.ConnectTimeout, err)
	}
	if e, ok := errors.AsType[*stream.Error](err); ok {
		return &stream.Error{Kind: e.Kind, Side: e.Side, Retry: e.Retry, Op: o.connectTo() + ": " + e.Op, Err: e.Err}
	}
	return &stream.Error{Kind: stream.Connect, Side: stream.Upstream, Retry: true, Op: o.connectTo(), Err: err}
}

func (p *Pool) connect(ctx context.Context) (*link, error) {
	l := &link{pool: p}
	client, c, err := p.opts.connect(ctx, protocol.ClientOptions{Released: l.released, Ended: l.ended, Single: true})
	if err != nil {
		return nil, err
	}
	l.client, l.conn = client, c
	return l, nil
}

// connect opens a connection and waits until its client is ready for requests.
func (o *PoolOptions) connect(ctx context.Context, opts protocol.ClientOptions) (client protocol.Client, c *conn.Conn, err error) {
	if o.dialed != nil {
		defer func() { o.dialed(err) }()
	}
	nc, err := o.Dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	c = conn.New(nc)
	c.Timeout, c.Ended = o.WriteTimeout, o.Closed
	opts.Keepalive = o.Keepalive
	client = o.Protocol.NewClient(c, opts)
	st, ok := client.(protocol.Starter)
	if !ok {
		return client, c, nil
	}
	select {
	case <-st.Ready():
		err = client.Err()
	case <-ctx.Done():
		err = errors.New("the host accepted the connection and said nothing")
		c.SetCause(conn.Timeout)
	}
	if err != nil {
		_ = client.Close()
		return nil, nil, err
	}
	return client, c, nil
}

func (o *PoolOptions) connectTo() string { return "connect to " + o.Name }

func (p *Pool) closedError() *stream.Error { return p.opts.closedError() }

func (o *PoolOptions) closedError() *stream.Error {
	return stream.Errorf(stream.Stopping, stream.Local, "%s: the pool is closed", o.Name)
}
