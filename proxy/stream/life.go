package stream

import (
	"context"
	"sync"
)

// Life is a context that tells of its end without an allocation per listener;
// see End. A protocol server makes one per connection and hands it to its
// handlers, so that a request costs no context of its own.
type Life struct {
	context.Context
	mu    sync.Mutex
	ended bool
	// first is the newest End that waits.
	first *End
}

// NewLife makes a *Life. It ends with parent, or when cancel is called, which
// must happen once it is not needed any more.
func NewLife(parent context.Context) (life context.Context, cancel context.CancelFunc) {
	l := new(Life)
	l.Context, cancel = context.WithCancel(parent)
	context.AfterFunc(l.Context, l.end)
	return l, cancel
}

func (l *Life) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	for e := l.first; e != nil; {
		next := e.next
		e.prev, e.next, e.waits = nil, nil, false
		go e.Func()
		e = next
	}
	l.first = nil
}

// End has a function called when a context ends: it is what context.AfterFunc
// is, in memory that can be used again, and it allocates nothing where the
// context is a Life. Its methods are for one goroutine at a time.
type End struct {
	// Func is called in a goroutine of its own. Set it before Watch.
	Func func()

	life       *Life
	prev, next *End
	waits      bool        // is in the list of life; guarded by its lock
	stop       func() bool // for any other context
}

// Watch has Func called once when ctx ends, at once if it has ended. Stop must
// be called before the next Watch.
func (e *End) Watch(ctx context.Context) {
	l, ok := ctx.(*Life)
	if !ok {
		if ctx.Done() != nil {
			e.stop = context.AfterFunc(ctx, e.Func)
		}
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e.life = l
	if l.ended {
		go e.Func()
		return
	}
	e.waits, e.next = true, l.first
	if l.first != nil {
		l.first.prev = e
	}
	l.first = e
}

// Stop reports whether Func will never be called for what Watch has begun.
// After false it was called already, and may still run.
func (e *End) Stop() bool {
	if stop := e.stop; stop != nil {
		e.stop = nil
		return stop()
	}
	l := e.life
	if l == nil {
		return true
	}
	e.life = nil
	l.mu.Lock()
	defer l.mu.Unlock()
	if !e.waits {
		return false
	}
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		l.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	}
	e.prev, e.next, e.waits = nil, nil, false
	return true
}
