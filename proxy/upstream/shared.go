package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Shared sends requests to one end over as few connections as the other end
// allows: each carries up to as many exchanges at a time as its client says
// (protocol.Limiter). Another is opened, one at a time, when all are full.
//
// All methods are safe for concurrent use.
type Shared struct {
	opts PoolOptions

	mu    sync.Mutex
	links []*sharedLink
	// dialing is the connection that is being opened, nil when none is.
	dialing *dialing
	// waiters are woken, in the order in which they came, when an exchange
	// has ended, and all of them by Close.
	waiters []chan struct{}
	state   poolState
	janitor *time.Timer
}

// sharedLink is one connection of a Shared.
type sharedLink struct {
	owner  *Shared
	client protocol.Client
	conn   *conn.Conn
	// users counts exchanges, from acquire to the end; served all so far.
	users, served int
	used          time.Time
	// counted: the host counts it as open.
	counted atomic.Bool
}

// close closes the connection. It is safe twice.
func (l *sharedLink) close() {
	_ = l.client.Close()
	if h := l.owner.opts.Host; h != nil && l.counted.Swap(false) {
		h.Disconnected()
	}
}

// dialing is an attempt to open a connection. All that wait for it share it.
type dialing struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    *stream.Error // set before done is closed
}

// NewShared makes a Shared. It opens nothing yet.
func NewShared(opts PoolOptions) *Shared { return &Shared{opts: opts} }

// Handle implements stream.Handler. A request that a connection refused, or
// lost before anything was done, is sent once more over another if that cannot
// do it twice.
func (s *Shared) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	var failed *sharedLink
	for {
		l, err := s.acquire(ctx, req, failed)
		if err != nil {
			return nil, err
		}
		resp, err := l.exchange(ctx, req)
		if err == nil {
			return resp, nil
		}
		if e := stream.AsError(err); failed != nil || !e.Retry || !req.Replayable() || e.Kind == stream.Timeout || e.Kind == stream.Canceled {
			return nil, err
		}
		failed = l
	}
}

func (l *sharedLink) exchange(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	if h := l.owner.opts.Host; h != nil {
		h.Begin()
	}
	return l.client.Handle(ctx, req)
}

// acquire returns a connection with room for one more exchange, which is
// counted, other than failed.
func (s *Shared) acquire(ctx context.Context, req *stream.Request, failed *sharedLink) (*sharedLink, error) {
	var start time.Time
	var timer *time.Timer // nil until there is something to wait for
	defer func() {
		if timer != nil {
			timer.Stop()
			s.opts.Pending.leave()
			req.Info.Connected += time.Since(start)
		}
	}()
	for {
		s.mu.Lock()
		if s.state == poolClosed {
			s.mu.Unlock()
			return nil, s.opts.closedError()
		}
		if failed != nil && s.opts.MaxConnections > 0 && len(s.links) >= s.opts.MaxConnections {
			failed = nil // there may be no other
		}
		s.closeUnlocked(s.dropBroken())
		if l := s.roomiest(failed); l != nil {
			l.users++
			s.mu.Unlock()
			return l, nil
		}
		if timer == nil {
			if err := s.opts.Pending.enter(s.opts.Name); err != nil {
				s.mu.Unlock()
				return nil, err
			}
			start = time.Now()
			timer = time.NewTimer(s.patience(req))
		}
		var turn chan struct{}
		d := s.dialing
		switch {
		case d != nil:
		case s.opts.MaxConnections <= 0 || len(s.links) < s.opts.MaxConnections:
			d = s.startDial(ctx)
		case !s.opts.Wait:
			s.mu.Unlock()
			return nil, &stream.Error{
				Kind: stream.Overload, Retry: true, Op: s.opts.Name,
				Err: fmt.Errorf("all %d connections allowed are full", s.opts.MaxConnections),
			}
		default:
			turn = make(chan struct{}, 1)
			s.waiters = append(s.waiters, turn)
		}
		s.mu.Unlock()
		if err := s.await(ctx, req, d, turn, timer); err != nil {
			return nil, err
		}
	}
}

// dropBroken takes out the connections that take no more exchanges, and returns
// those that have none left. The last exchange of the others closes them. mu is held.
func (s *Shared) dropBroken() (unused []*sharedLink) {
	s.links = slices.DeleteFunc(s.links, func(l *sharedLink) bool {
		if l.client.Err() == nil && (s.opts.MaxRequests <= 0 || l.served+l.users < s.opts.MaxRequests) {
			return false
		}
		if l.users == 0 {
			unused = append(unused, l)
		}
		return true
	})
	return unused
}

// closeUnlocked closes connections; mu is held, but not meanwhile.
func (s *Shared) closeUnlocked(links []*sharedLink) {
	if len(links) == 0 {
		return
	}
	s.mu.Unlock()
	defer s.mu.Lock()
	for _, l := range links {
		l.close()
	}
}

// roomiest returns the connection with the fewest exchanges, nil if none has
// room. mu is held.
func (s *Shared) roomiest(failed *sharedLink) *sharedLink {
	var best *sharedLink
	for _, l := range s.links {
		if l != failed && l.users < limitOf(l.client) && (best == nil || l.users < best.users) {
			best = l
		}
	}
	return best
}

// limitOf returns how many exchanges a client takes at a time.
func limitOf(c protocol.Client) int {
	if l, ok := c.(protocol.Limiter); ok {
		return l.Limit()
	}
	return 1
}

// patience is how long a request waits for a connection.
func (s *Shared) patience(req *stream.Request) time.Duration {
	limit := s.opts.ConnectTimeout + time.Second // dialing ends by itself before
	if s.opts.Wait {
		limit = max(limit, s.opts.MaxWait)
	}
	if !req.Deadline.IsZero() {
		limit = min(limit, time.Until(req.Deadline))
	}
	return limit
}

// await waits until it is worth looking again: the dialing has ended, or it is
// our turn.
func (s *Shared) await(ctx context.Context, req *stream.Request, d *dialing, turn chan struct{}, timer *time.Timer) error {
	var dialed chan struct{}
	if d != nil {
		dialed = d.done
	}
	select {
	case <-dialed:
		if d.err != nil {
			// Each gets an error of its own: layers above change it.
			e := *d.err
			return &e
		}
		return nil
	case <-turn:
		return nil
	case <-ctx.Done():
		s.giveUp(turn)
		return stream.FromContext(ctx, s.opts.Name)
	case <-timer.C:
		s.giveUp(turn)
		return &stream.Error{Kind: stream.Timeout, Retry: true, Op: s.opts.Name, Err: errors.New("connection pool timeout")}
	}
}

// giveUp leaves the queue, and passes the turn on if it had come already.
func (s *Shared) giveUp(turn chan struct{}) {
	if turn == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.waiters, turn); i >= 0 {
		s.waiters = slices.Delete(s.waiters, i, i+1)
		return
	}
	s.wakeOne()
}

// wakeOne lets the longest waiting request look again. mu is held.
func (s *Shared) wakeOne() {
	if len(s.waiters) > 0 {
		s.waiters[0] <- struct{}{} // has room, and is sent to once
		s.waiters = s.waiters[1:]
	}
}

// startDial opens a connection for everybody; it does not end with the
// request that began it. mu is held.
func (s *Shared) startDial(ctx context.Context) *dialing {
	dctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.ConnectTimeout)
	d := &dialing{cancel: cancel, done: make(chan struct{})}
	s.dialing = d
	go func() {
		defer cancel()
		defer close(d.done)
		l, err := s.dial(dctx)
		s.mu.Lock()
		s.dialing = nil
		closed := s.state == poolClosed
		switch {
		case closed:
			d.err = s.opts.closedError()
		case err != nil:
			d.err = s.opts.connectError(dctx, err)
		default:
			s.links = append(s.links, l)
			if h := s.opts.Host; h != nil {
				l.counted.Store(true)
				h.Connected()
			}
			s.armJanitor()
		}
		s.mu.Unlock()
		if closed && l != nil {
			_ = l.client.Close()
		}
	}()
	return d
}

// dial opens a connection and waits until its client is ready for requests.
func (s *Shared) dial(ctx context.Context) (*sharedLink, error) {
	l := &sharedLink{owner: s, used: time.Now()}
	client, c, err := s.opts.connect(ctx, protocol.ClientOptions{Released: l.released, Ended: l.ended})
	if err != nil {
		return nil, err
	}
	l.client, l.conn = client, c
	return l, nil
}

// ended is called when the host wants no more requests on the connection, or
// has ended it. Whatever is under way goes on as far as it can.
func (l *sharedLink) ended(err error) {
	s := l.owner
	s.mu.Lock()
	i := slices.Index(s.links, l)
	if i >= 0 {
		s.links = slices.Delete(s.links, i, i+1)
		s.wakeOne() // there is room for another
	}
	unused := i >= 0 && l.users == 0
	s.mu.Unlock()
	if unused {
		l.close()
	}
	if s.opts.ended != nil && i >= 0 { // or it was replaced already
		s.opts.ended(err)
	}
}

// released is called when an exchange is over.
func (l *sharedLink) released() {
	s := l.owner
	if s.opts.Host != nil {
		s.opts.Host.End()
	}
	s.mu.Lock()
	l.users--
	l.served++
	l.used = time.Now()
	kept := slices.Contains(s.links, l)
	if kept && l.users == 0 && s.state != poolOpen {
		s.links = slices.DeleteFunc(s.links, func(o *sharedLink) bool { return o == l })
		kept = false
		l.conn.SetCause(s.state.cause(false))
	}
	last := !kept && l.users == 0
	s.armJanitor()
	s.wakeOne()
	s.mu.Unlock()
	if last {
		l.close()
	}
}

// unusedFor is how long a connection of a Shared that drains may be unused: its
// request may have gone while it was dialed.
const unusedFor = time.Second

// maxIdle is how long a connection may be unused; 0 is for ever. mu is held.
func (s *Shared) maxIdle() time.Duration {
	if s.state == poolDraining {
		return unusedFor
	}
	return s.opts.IdleTimeout
}

// armJanitor sees to it that connections that nobody uses are closed in time.
// mu is held.
func (s *Shared) armJanitor() {
	next := s.maxIdle()
	if s.janitor != nil || next <= 0 || s.state == poolClosed || len(s.links) == 0 {
		return
	}
	for _, l := range s.links {
		if l.users == 0 {
			next = min(next, s.maxIdle()-time.Since(l.used))
		}
	}
	s.janitor = time.AfterFunc(max(next, 0), s.sweep)
}

// sweep closes connections that were not used for long.
func (s *Shared) sweep() {
	s.mu.Lock()
	var expired []*sharedLink
	idle := s.maxIdle()
	s.links = slices.DeleteFunc(s.links, func(l *sharedLink) bool {
		if l.users > 0 || time.Since(l.used) < idle && l.client.Err() == nil {
			return false
		}
		if l.client.Err() == nil {
			cause := conn.IdleTimeout
			if s.state == poolDraining {
				cause = conn.Drained
			}
			l.conn.SetCause(cause)
		}
		expired = append(expired, l)
		return true
	})
	s.janitor = nil
	s.armJanitor()
	s.mu.Unlock()
	for _, l := range expired {
		l.close()
	}
}

// Drain implements Sender.
func (s *Shared) Drain() { s.stop(poolDraining, func(l *sharedLink) bool { return l.users == 0 }) }

// Close implements Sender.
func (s *Shared) Close() { s.stop(poolClosed, func(*sharedLink) bool { return true }) }

// stop puts s into a state and closes the connections that end with it.
func (s *Shared) stop(state poolState, ends func(*sharedLink) bool) {
	s.mu.Lock()
	s.state = max(s.state, state)
	var drop []*sharedLink
	s.links = slices.DeleteFunc(s.links, func(l *sharedLink) bool {
		if ends(l) {
			l.conn.SetCause(state.cause(l.users > 0))
			drop = append(drop, l)
			return true
		}
		return false
	})
	if s.janitor != nil {
		s.janitor.Stop()
		s.janitor = nil
	}
	if s.state == poolClosed {
		if s.dialing != nil {
			s.dialing.cancel()
		}
		for len(s.waiters) > 0 {
			s.wakeOne()
		}
	}
	s.mu.Unlock()
	for _, l := range drop {
		l.close()
	}
}

// Stats implements Sender.
func (s *Shared) Stats() (open, idle int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.links {
		if l.users == 0 {
			idle++
		}
	}
	return len(s.links), idle
}
