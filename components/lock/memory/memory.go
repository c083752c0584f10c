package memory

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/lock"
)

// Type is the name of this backend in a configuration.
const Type = "in-memory"

// Metadata is the configuration.
type Metadata struct {
	// KeyPrefix belongs to the caller, which puts the prefixes on; it is listed
	// here so that it counts as known.
	KeyPrefix string `json:"keyPrefix"`
}

// Locker keeps locks in this process. Use New.
type Locker struct {
	mu     sync.Mutex
	closed bool
	held   map[string]*entry
	ends   ends
	token  uint64 // the last one
}

// entry is one lock that is held, or has expired and is not forgotten yet.
type entry struct {
	resource, owner string
	end             time.Time
	slot            int // its place among ends
}

// New makes a locker. It has no settings of its own, so it fails only when ctx
// has ended or the metadata cannot be read.
func New(ctx context.Context, _ components.Env, cfg components.Config) (lock.Locker, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var m Metadata
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	return &Locker{held: make(map[string]*entry)}, nil
}

// TryLock implements lock.Locker.
func (l *Locker) TryLock(ctx context.Context, resource, owner string, expire time.Duration) (*lock.Grant, error) {
	now, err := l.enter(ctx, resource, owner, expire)
	if err != nil {
		return nil, err
	}
	defer l.mu.Unlock()
	if l.held[resource] != nil {
		return nil, nil
	}
	e := &entry{resource: resource, owner: owner, end: now.Add(expire)}
	l.held[resource] = e
	heap.Push(&l.ends, e)
	l.token = max(l.token+1, uint64(max(now.UnixMicro(), 0)))
	return &lock.Grant{Token: l.token}, nil
}

// Unlock implements lock.Locker.
func (l *Locker) Unlock(ctx context.Context, resource, owner string) (lock.Status, error) {
	if _, err := l.enter(ctx, resource, owner, time.Second); err != nil {
		return 0, err
	}
	defer l.mu.Unlock()
	e, status := l.find(resource, owner)
	if status == lock.Done {
		heap.Remove(&l.ends, e.slot)
		delete(l.held, resource)
	}
	return status, nil
}

// Renew implements lock.Locker.
func (l *Locker) Renew(ctx context.Context, resource, owner string, expire time.Duration) (lock.Status, error) {
	now, err := l.enter(ctx, resource, owner, expire)
	if err != nil {
		return 0, err
	}
	defer l.mu.Unlock()
	e, status := l.find(resource, owner)
	if status == lock.Done {
		e.end = now.Add(expire)
		heap.Fix(&l.ends, e.slot)
	}
	return status, nil
}

// enter checks the request and takes the mutex, unless it returns an error. It
// forgets what has expired.
func (l *Locker) enter(ctx context.Context, resource, owner string, expire time.Duration) (now time.Time, err error) {
	if err := ctx.Err(); err != nil {
		return now, err
	}
	if err := lock.Check(resource, owner, expire); err != nil {
		return now, err
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return now, lock.ErrClosed
	}
	now = time.Now() // with the mutex, so that it does not go back
	for len(l.ends) > 0 && !now.Before(l.ends[0].end) {
		e := heap.Pop(&l.ends).(*entry)
		delete(l.held, e.resource)
	}
	return now, nil
}

// find returns the entry, if owner holds it. The caller has the mutex.
func (l *Locker) find(resource, owner string) (*entry, lock.Status) {
	switch e := l.held[resource]; {
	case e == nil:
		return nil, lock.NotLocked
	case e.owner != owner:
		return nil, lock.NotTheOwner
	default:
		return e, lock.Done
	}
}

// Close implements lock.Locker.
func (l *Locker) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed, l.held, l.ends = true, nil, nil
	return nil
}

// ends is a container/heap of the locks, the first to end on top.
type ends []*entry

var _ heap.Interface = (*ends)(nil)

func (h ends) Len() int           { return len(h) }
func (h ends) Less(i, j int) bool { return h[i].end.Before(h[j].end) }
func (h ends) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i, j
}

// Push is for container/heap.
func (h *ends) Push(x any) {
	e := x.(*entry)
	e.slot = len(*h)
	*h = append(*h, e)
}

// Pop is for container/heap.
func (h *ends) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}
