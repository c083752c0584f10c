package upstream

import (
	"slices"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
)

// released is called when an exchange is over.
func (l *link) released() {
	if !l.lent.CompareAndSwap(true, false) {
		return
	}
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

// ended is called when the host wants no more requests on the connection, or
// has ended it. Of one in use, the end of the exchange is waited for.
func (l *link) ended(err error) {
	p := l.pool
	p.mu.Lock()
	_, known := p.links[l]
	i := slices.Index(p.idle, l)
	if i >= 0 {
		p.takeIdle(i)
		p.forget(l)
		p.leave()
	}
	p.mu.Unlock()
	if i >= 0 {
		_ = l.client.Close()
	}
	if p.opts.ended != nil && known {
		p.opts.ended(err)
	}
}

// putBack gives a connection to whoever waits for one, or keeps it.
func (p *Pool) putBack(l *link) {
	p.mu.Lock()
	if p.state != poolOpen {
		p.mu.Unlock()
		l.conn.SetCause(conn.Drained)
		p.discard(l)
		return
	}
	defer p.mu.Unlock()
	l.used = time.Now()
	if turn := p.nextWaiter(); turn != nil {
		turn <- l
		return
	}
	p.idle = append(p.idle, l)
	if p.janitor == nil {
		p.janitor = time.AfterFunc(p.nextSweep(), p.sweep)
	}
}

// discard closes a connection and gives its place away.
func (p *Pool) discard(l *link) {
	_ = l.client.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(l)
	p.leave()
}

// forget takes a connection out of the books. mu is held.
func (p *Pool) forget(l *link) {
	if _, there := p.links[l]; !there {
		return
	}
	delete(p.links, l)
	if p.opts.Host != nil {
		p.opts.Host.Disconnected()
	}
}

// leave gives away the place of a connection. mu is held.
func (p *Pool) leave() {
	if turn := p.nextWaiter(); turn != nil {
		turn <- nil
		return
	}
	p.open--
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

// takeIdle takes idle connection i; the caller owns it. mu is held.
func (p *Pool) takeIdle(i int) *link {
	l := p.idle[i]
	p.idle = slices.Delete(p.idle, i, i+1)
	return l
}

// nextSweep is how long the janitor may rest: until the next idle connection
// expires, if that is soon. mu is held, and something is idle.
func (p *Pool) nextSweep() time.Duration {
	if p.opts.IdleTimeout <= 0 {
		return janitorEvery
	}
	return min(janitorEvery, max(0, time.Until(p.idle[0].used.Add(p.opts.IdleTimeout))))
}

// sweep drops idle connections that expired or were closed by the other end.
func (p *Pool) sweep() {
	p.mu.Lock()
	expired := 0
	if p.opts.IdleTimeout > 0 {
		for expired < len(p.idle) && time.Since(p.idle[expired].used) >= p.opts.IdleTimeout {
			expired++ // the one used longest ago comes first
		}
	}
	drop := slices.Clone(p.idle[:expired])
	p.idle = slices.Delete(p.idle, 0, expired)
	for _, l := range drop {
		l.conn.SetCause(conn.IdleTimeout)
		p.forget(l)
		p.leave()
	}
	type sighting struct {
		l    *link
		used time.Time
	}
	look := make([]sighting, len(p.idle))
	for i, l := range p.idle {
		look[i] = sighting{l, l.used}
	}
	p.mu.Unlock()

	// Looking is a system call each: not under the lock, so that requests go
	// on meanwhile, also on these connections.
	for _, s := range look {
		if !s.l.client.Stale() {
			continue
		}
		p.mu.Lock()
		if i := slices.Index(p.idle, s.l); i >= 0 && s.l.used.Equal(s.used) {
			drop = append(drop, p.takeIdle(i))
			p.forget(s.l)
			p.leave()
		}
		p.mu.Unlock()
	}
	for _, l := range drop {
		l.close(conn.RemoteClose)
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.janitor == nil: // stopped meanwhile
	case len(p.idle) > 0:
		p.janitor.Reset(p.nextSweep())
	default:
		p.janitor = nil
	}
}

// Drain closes the connections that nobody uses, now and as they become free.
// Requests are still served, each on a connection of its own.
func (p *Pool) Drain() { p.stop(poolDraining) }

// Close closes all connections: requests in flight and those that wait fail,
// new ones are refused. It is safe twice.
func (p *Pool) Close() { p.stop(poolClosed) }

func (p *Pool) stop(state poolState) {
	p.mu.Lock()
	p.state = max(p.state, state)
	end := slices.Clone(p.idle)
	for _, l := range end {
		l.conn.SetCause(state.cause(false))
		p.forget(l)
		p.leave()
	}
	clear(p.idle)
	p.idle = nil
	if p.janitor != nil {
		p.janitor.Stop()
		p.janitor = nil
	}
	if p.state == poolClosed {
		for l := range p.links {
			l.conn.SetCause(conn.CutOff)
			end = append(end, l) // leaves when its exchange is over
		}
		for cancel := range p.dialing {
			(*cancel)()
		}
		for _, turn := range p.waiters {
			close(turn)
		}
		p.waiters = nil
	}
	p.mu.Unlock()
	for _, l := range end {
		_ = l.client.Close()
	}
}

// Stats returns how many connections are open, or being dialed, and how many
// of them idle.
func (p *Pool) Stats() (open, idle int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open, len(p.idle)
}
