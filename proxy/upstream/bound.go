package upstream

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Bound sends requests to one end over connections of which each belongs to one
// connection of a caller: what comes by that goes by this. If the host ends it, or
// it breaks, the caller's is ended, too (stream.Caller.HangUp), and the other
// way round. If the host asks for no more requests on it, or nobody has used it
// for long, it ends alone: the caller's next request gets another.
//
// Requests that came by no connection, or by one that has ended since, share
// connections of their own. All
// methods are safe for concurrent use.
type Bound struct {
	opts   PoolOptions
	others Sender

	mu    sync.Mutex
	bonds map[stream.Caller]*bond
	state poolState
}

// bond is a connection of a caller with its own to the host, or the wish for it.
type bond struct {
	owner  *Bound
	caller stream.Caller
	sender Sender // of one connection
	// stop ends the watch over the caller.
	stop func() bool
}

// NewBound makes a Bound. It opens nothing yet. opts.MaxConnections limits how
// many callers' connections are bound at a time.
func NewBound(opts PoolOptions) *Bound {
	b := &Bound{opts: opts, bonds: make(map[stream.Caller]*bond)}
	opts.Mode = Multiplex
	b.others = New(opts)
	return b
}

// Handle implements stream.Handler.
func (b *Bound) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	if req.Caller == nil || gone(req.Caller) {
		return b.others.Handle(ctx, req)
	}
	sender, err := b.of(req.Caller) //nolint:contextcheck // it lasts as long as the caller's connection
	if err != nil {
		return nil, err
	}
	return sender.Handle(ctx, req)
}

// gone reports whether a caller's connection has ended. One-way requests that came
// by it go on.
func gone(caller stream.Caller) bool { return caller.Life().Err() != nil }

// Binds reports whether a caller's connection is bound: it has a connection, or
// gets one with its next request.
func (b *Bound) Binds(caller stream.Caller) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bonds[caller] != nil
}

// Bind binds a caller's connection, unless it is bound already.
func (b *Bound) Bind(caller stream.Caller) error {
	_, err := b.of(caller)
	return err
}

// of returns the sender for a caller's requests.
func (b *Bound) of(caller stream.Caller) (Sender, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if k := b.bonds[caller]; k != nil {
		return k.sender, nil
	}
	if b.state != poolOpen {
		return b.others, nil // it is in the same state
	}
	if most := b.opts.MaxConnections; most > 0 && len(b.bonds) >= most {
		return nil, &stream.Error{
			Kind: stream.Overload, Retry: true, Op: b.opts.Name,
			Err: fmt.Errorf("all %d connections allowed are bound to other callers", most),
		}
	}
	k := &bond{owner: b, caller: caller}
	opts := b.opts
	opts.MaxConnections, opts.Wait, opts.Mode = 1, true, Multiplex
	opts.dialed, opts.ended = k.dialed, k.ended
	k.sender = New(opts)
	b.bonds[caller] = k
	k.stop = context.AfterFunc(caller.Life(), func() {
		k.forget()
		// Not Close: one-way requests on it go on. The others end with the caller.
		k.sender.Drain()
	})
	return k.sender, nil
}

// dialed is told how dialing has ended: a caller without a connection is bound
// to nothing.
func (k *bond) dialed(err error) {
	if err != nil {
		k.end()
	}
}

// ended is told that the host has ended the connection, or wants no more on it.
func (k *bond) ended(err error) {
	if k.end() && !errors.Is(err, protocol.ErrGoAway) {
		k.caller.HangUp()
	}
}

// end lets go of the caller, and reports whether that was bound until now. What
// is under way goes on.
func (k *bond) end() bool {
	bound := k.forget()
	k.stop()
	k.sender.Drain()
	return bound
}

// forget takes the bond out of the books, and reports whether it was there.
func (k *bond) forget() bool {
	k.owner.mu.Lock()
	defer k.owner.mu.Unlock()
	if k.owner.bonds[k.caller] != k {
		return false
	}
	delete(k.owner.bonds, k.caller)
	return true
}

// Drain implements Sender.
func (b *Bound) Drain() { b.leave(poolDraining, Sender.Drain) }

// Close implements Sender. Callers' connections stay open.
func (b *Bound) Close() { b.leave(poolClosed, Sender.Close) }

func (b *Bound) leave(state poolState, end func(Sender)) {
	b.mu.Lock()
	b.state = max(b.state, state)
	bonds := b.bonds
	if state == poolClosed || len(bonds) > 0 {
		b.bonds = make(map[stream.Caller]*bond)
	}
	b.mu.Unlock()
	for _, k := range bonds {
		if state == poolClosed {
			k.stop()
		}
		end(k.sender)
	}
	end(b.others)
}

// Stats implements Sender.
func (b *Bound) Stats() (open, idle int) {
	open, idle = b.others.Stats()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range b.bonds {
		o, i := k.sender.Stats()
		open, idle = open+o, idle+i
	}
	return open, idle
}
