package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// PoolOptions say where a pool's connections lead and how many there may be.
type PoolOptions struct {
	// Name is what errors call the other end: "host 10.0.0.1:80".
	Name string
	// Dial opens a connection. It must return when ctx ends.
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
}

// janitorEvery is how often idle connections are looked at, to drop those
// that expired or that the other end has closed.
const janitorEvery = 15 * time.Second

// freshFor is how long an idle connection is trusted without a look.
const freshFor = 20 * time.Millisecond

// Pool keeps connections to one end and sends each request over one of them:
// a stream.Handler. It opens connections as needed and uses the one that was
// used last first, so that the others can expire.
//
// All methods are safe for concurrent use.
type Pool struct {
	opts PoolOptions

	mu sync.Mutex
	// idle holds the connections nobody uses, the one used last at the end.
	idle []*link
	// open counts connections, idle, in use, or being dialed.
	open    int
	waiters []chan *link
	busy    map[*link]struct{}
	state   poolState
	janitor *time.Timer
}

type poolState uint8

const (
	poolOpen     poolState = iota
	poolDraining           // connections are closed once nobody uses them
	poolClosed             // no request is taken
)

// link is one connection of a pool.
type link struct {
	pool   *Pool
	client protocol.Client
	served int
	used   time.Time
}

// NewPool makes a pool. It opens nothing yet.
func NewPool(opts PoolOptions) *Pool {
	return &Pool{opts: opts, busy: make(map[*link]struct{})}
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
		if p.opts.Host != nil {
			p.opts.Host.Begin()
		}
		resp, err := l.client.Handle(ctx, req)
		if err == nil {
			return resp, nil
		}
		if e := stream.AsError(err); !kept || second || !e.Retry || e.Kind != stream.Reset || !req.Replayable() {
			return nil, err
		}
	}
}

// acquire returns a connection for one exchange; kept tells one that was used
// before from a new one, which fresh asks for.
func (p *Pool) acquire(ctx context.Context, req *stream.Request, fresh bool) (l *link, kept bool, err error) {
	p.mu.Lock()
	if p.state == poolClosed {
		p.mu.Unlock()
		return nil, false, stream.Errorf(stream.Stopping, stream.Local, "%s: the pool is closed", p.opts.Name)
	}
	if fresh {
		// What is idle is no younger than the connection that just failed.
		p.dropIdle()
	}
	for n := len(p.idle); n > 0; n = len(p.idle) {
		l := p.idle[n-1]
		p.idle[n-1], p.idle = nil, p.idle[:n-1]
		p.busy[l] = struct{}{}
		p.mu.Unlock()
		if l.client.Err() == nil && (time.Since(l.used) < freshFor || !l.client.Stale()) {
			return l, true, nil
		}
		p.discard(l)
		p.mu.Lock()
	}
	if p.opts.MaxConnections > 0 && p.open >= p.opts.MaxConnections {
		if !p.opts.Wait {
			open := p.open
			p.mu.Unlock()
			return nil, false, &stream.Error{Kind: stream.Overload, Retry: true,
				Op: p.opts.Name, Err: fmt.Errorf("all %d connections allowed are in use", open)}
		}
		turn := make(chan *link, 1)
		p.waiters = append(p.waiters, turn)
		p.mu.Unlock()
		if l, err = p.await(ctx, req, turn); l != nil || err != nil {
			return l, true, err
		}
		// A connection ended: its place is ours.
		return p.dial(ctx, req)
	}
	p.open++
	p.mu.Unlock()
	return p.dial(ctx, req)
}

// await waits for a connection (or, nil, the place of one).
func (p *Pool) await(ctx context.Context, req *stream.Request, turn chan *link) (*link, error) {
	limit := p.opts.MaxWait
	if !req.Deadline.IsZero() {
		limit = min(limit, time.Until(req.Deadline))
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var err *stream.Error
	select {
	case l := <-turn:
		return l, nil
	case <-ctx.Done():
		err = stream.FromContext(ctx, p.opts.Name)
	case <-timer.C:
		err = &stream.Error{Kind: stream.Timeout, Retry: true, Op: p.opts.Name, Err: errors.New("connection pool timeout")}
	}
	p.mu.Lock()
	for i, w := range p.waiters {
		if w == turn {
			p.waiters = append(p.waiters[:i], p.waiters[i+1:]...)
			p.mu.Unlock()
			return nil, err
		}
	}
	p.mu.Unlock()
	// It was our turn at the same moment: pass it on.
	if l := <-turn; l != nil {
		p.putBack(l)
	} else {
		p.leave()
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
	nc, err := p.opts.Dial(dctx)
	cancel()
	req.Info.Connected += time.Since(start)
	if err != nil {
		p.leave()
		if ctx.Err() != nil {
			return nil, false, stream.FromContext(ctx, "connect to "+p.opts.Name)
		}
		if !req.Deadline.IsZero() && !time.Now().Before(req.Deadline) {
			return nil, false, &stream.Error{Kind: stream.Timeout, Side: stream.Upstream, Retry: true, Op: "connect to " + p.opts.Name, Err: err}
		}
		return nil, false, &stream.Error{Kind: stream.Connect, Side: stream.Upstream, Retry: true, Op: "connect to " + p.opts.Name, Err: err}
	}
	c := conn.New(nc)
	c.Timeout = p.opts.WriteTimeout
	l := &link{pool: p}
	l.client = p.opts.Protocol.NewClient(c, protocol.ClientOptions{Released: l.released})
	p.mu.Lock()
	p.busy[l] = struct{}{}
	closed := p.state == poolClosed
	p.mu.Unlock()
	if closed {
		p.discard(l)
		return nil, false, stream.Errorf(stream.Stopping, stream.Local, "%s: the pool is closed", p.opts.Name)
	}
	return l, false, nil
}

// released is called when an exchange is over.
func (l *link) released() {
	p := l.pool
	if p.opts.Host != nil {
		p.opts.Host.End()
	}
	l.served++
	if l.client.Err() != nil || p.opts.MaxRequests > 0 && l.served >= p.opts.MaxRequests {
		p.discard(l)
		return
	}
	p.putBack(l)
}

// putBack gives a connection to whoever waits for one, or keeps it.
func (p *Pool) putBack(l *link) {
	p.mu.Lock()
	if p.state != poolOpen {
		p.mu.Unlock()
		p.discard(l)
		return
	}
	l.used = time.Now()
	if turn := p.nextWaiter(); turn != nil {
		p.mu.Unlock()
		turn <- l
		return
	}
	delete(p.busy, l)
	p.idle = append(p.idle, l)
	if p.janitor == nil {
		p.janitor = time.AfterFunc(p.janitorInterval(), p.sweep)
	}
	p.mu.Unlock()
}

// discard closes a connection and gives its place away.
func (p *Pool) discard(l *link) {
	_ = l.client.Close()
	p.mu.Lock()
	delete(p.busy, l)
	p.mu.Unlock()
	p.leave()
}

// leave gives up the place of a connection.
func (p *Pool) leave() {
	p.mu.Lock()
	turn := p.nextWaiter()
	if turn == nil {
		p.open--
	}
	p.mu.Unlock()
	if turn != nil {
		turn <- nil
	}
}

// nextWaiter takes the longest waiting request off the queue. mu is held.
func (p *Pool) nextWaiter() chan *link {
	if len(p.waiters) == 0 {
		return nil
	}
	turn := p.waiters[0]
	p.waiters[0], p.waiters = nil, p.waiters[1:]
	return turn
}

func (p *Pool) janitorInterval() time.Duration {
	if p.opts.IdleTimeout > 0 {
		return min(janitorEvery, p.opts.IdleTimeout)
	}
	return janitorEvery
}

// sweep drops idle connections that expired or were closed by the other end.
func (p *Pool) sweep() {
	p.mu.Lock()
	var drop []*link
	kept := p.idle[:0]
	for _, l := range p.idle {
		if p.opts.IdleTimeout > 0 && time.Since(l.used) >= p.opts.IdleTimeout || l.client.Stale() {
			drop = append(drop, l)
		} else {
			kept = append(kept, l)
		}
	}
	clear(p.idle[len(kept):])
	p.idle = kept
	p.open -= len(drop)
	if len(kept) > 0 && p.state == poolOpen {
		p.janitor.Reset(p.janitorInterval())
	} else {
		p.janitor = nil
	}
	p.mu.Unlock()
	for _, l := range drop {
		_ = l.client.Close()
	}
}

// dropIdle closes the idle connections. mu is held.
func (p *Pool) dropIdle() {
	for i, l := range p.idle {
		_ = l.client.Close()
		p.idle[i] = nil
	}
	p.open -= len(p.idle)
	p.idle = p.idle[:0]
}

// Drain closes the connections that nobody uses, now and as they become free.
// Requests are still served, each on a connection of its own.
func (p *Pool) Drain() { p.stop(poolDraining) }

// Close closes all connections: requests in flight fail, new ones are refused.
// It is safe twice.
func (p *Pool) Close() {
	p.stop(poolClosed)
	p.mu.Lock()
	busy := make([]*link, 0, len(p.busy))
	for l := range p.busy {
		busy = append(busy, l)
	}
	p.mu.Unlock()
	for _, l := range busy {
		_ = l.client.Close()
	}
}

func (p *Pool) stop(state poolState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = max(p.state, state)
	p.dropIdle()
	if p.janitor != nil {
		p.janitor.Stop()
		p.janitor = nil
	}
}

// Stats returns how many connections are open, and how many of them idle.
func (p *Pool) Stats() (open, idle int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open, len(p.idle)
}
