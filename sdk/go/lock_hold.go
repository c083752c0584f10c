package ottavo

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrLockLost is the cause (context.Cause) with which the context of a Held ends
// when it was not the caller who ended it.
var ErrLockLost = errors.New("ottavo: the lock was lost")

// Held is a lock that is renewed until it is released. Its methods are safe for
// concurrent use.
type Held struct {
	// Token is the grant's, see Grant.
	Token uint64

	lock            *Lock
	resource, owner string
	ctx             context.Context
	end             context.CancelCauseFunc
	ended           chan struct{} // the renewing goroutine has gone
	err             error         // of giving it back
}

// Hold takes a lock and keeps it until ctx ends or Release is called: it is
// renewed three times in the time of expire, which should be some seconds. If somebody
// holds it, the error is ErrLocked; Wait waits.
//
// What the lock guards is done with the context of the Held, which ends as soon as
// the lock may be somebody else's. The lock that is held when ctx ends is given
// back. Release must be called.
func (l *Lock) Hold(ctx context.Context, resource, owner string, expire time.Duration) (*Held, error) {
	until := time.Now().Add(expire) // before the call: the runtime grants it later
	grant, err := l.TryLock(ctx, resource, owner, expire)
	switch {
	case err != nil:
		return nil, err
	case !grant.Got:
		return nil, fmt.Errorf("ottavo: lock %q: %w", resource, ErrLocked)
	}
	h := &Held{Token: grant.Token, lock: l, resource: resource, owner: owner, ended: make(chan struct{})}
	h.ctx, h.end = context.WithCancelCause(ctx)
	go h.keep(h.ctx, expire, until) //nolint:contextcheck // it comes from ctx
	return h, nil
}

// Wait is Hold, tried again and again until somebody gives the lock back or ctx
// ends, then with the error of the context. Who waits longest is not first.
func (l *Lock) Wait(ctx context.Context, resource, owner string, expire time.Duration) (*Held, error) {
	var pause backoff
	for {
		held, err := l.Hold(ctx, resource, owner, expire)
		if !errors.Is(err, ErrLocked) {
			return held, err
		}
		if pause.wait(ctx); ctx.Err() != nil {
			return nil, fmt.Errorf("ottavo: lock %q: %w while somebody held it", resource, ctx.Err())
		}
	}
}

// Context ends when the lock is released, or lost (context.Cause says which: see
// ErrLockLost), and with the context given to Hold.
func (h *Held) Context() context.Context { return h.ctx }

// Release gives the lock back. The error says that it was lost before, or could
// not be given back; then it expires. It is safe twice.
func (h *Held) Release() error {
	h.end(nil)
	<-h.ended
	return h.err
}

// releaseTime bounds the call that gives a lock back.
const releaseTime = 5 * time.Second

// keep renews the lock until its context ends, and gives it back.
func (h *Held) keep(ctx context.Context, expire time.Duration, until time.Time) {
	defer close(h.ended)
	pause := time.NewTimer(expire / 3)
	defer pause.Stop()
	for {
		select {
		case <-pause.C:
		case <-ctx.Done():
			h.giveBack(ctx)
			return
		}
		now := time.Now()
		call, cancel := context.WithDeadline(ctx, until)
		err := h.lock.Renew(call, h.resource, h.owner, expire)
		cancel()
		switch {
		case err == nil:
			until = now.Add(expire)
			pause.Reset(expire / 3)
		case ctx.Err() != nil:
			h.giveBack(ctx)
			return
		case errors.Is(err, ErrNotLocked), errors.Is(err, ErrNotOwner), !time.Now().Before(until):
			h.err = fmt.Errorf("%w: resource %q: %w", ErrLockLost, h.resource, err)
			h.end(h.err)
			return
		default: // the runtime or its backend may be back in time
			pause.Reset(min(expire/10, time.Until(until)))
		}
	}
}

func (h *Held) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	h.err = h.lock.Unlock(ctx, h.resource, h.owner)
}
