package memory

import (
	"container/heap"
	"time"
)

const (
	// sweepBatch is how many expired items are removed while the lock is held.
	sweepBatch = 256
	// sweepPause is the shortest time between two sweeps, so that many items
	// that end one after the other are removed together.
	sweepPause = 100 * time.Millisecond
)

// sweep gives the memory of expired items back. It ends when there is no item
// with a TTL left, or with Close.
func (s *Store) sweep() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next, ok := s.sweepOnce()
		if !ok {
			return
		}
		for wait := true; wait; {
			timer.Reset(max(time.Until(next), sweepPause))
			select {
			case <-timer.C:
				wait = false
			case <-s.wake:
				next, ok = s.nextExpiry()
				wait = ok
			case <-s.done:
				return
			}
		}
	}
}

// sweepOnce removes what has expired, a batch at a time so that others get
// the lock in between, and returns when the next item ends. ok is false when
// there is none; then the sweeper counts as stopped.
func (s *Store) sweepOnce() (next time.Time, ok bool) {
	for {
		removed := 0
		s.mu.Lock()
		now := time.Now()
		for removed < sweepBatch && len(s.expiries) > 0 && s.expiries[0].expired(now) {
			e := s.expiries[0]
			s.floor = max(s.floor, e.version)
			s.replace(e.key, nil)
			removed++
		}
		if len(s.expiries) == 0 {
			s.sweeping = false
			s.mu.Unlock()
			return time.Time{}, false
		}
		next = s.expiries[0].expires
		s.mu.Unlock()
		if removed < sweepBatch {
			return next, true
		}
	}
}

// nextExpiry returns when the first item ends; ok is false when there is none.
func (s *Store) nextExpiry() (next time.Time, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.expiries) == 0 {
		return time.Time{}, false
	}
	return s.expiries[0].expires, true
}

// expiryHeap is a container/heap of entries, the first to expire on top. Every
// entry knows its slot, so that a rewritten key leaves nothing behind.
type expiryHeap []*entry

var _ heap.Interface = (*expiryHeap)(nil)

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].expires.Before(h[j].expires) }
func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i, j
}

// Push implements heap.Interface; x is an *entry.
func (h *expiryHeap) Push(x any) {
	e := x.(*entry)
	e.slot = len(*h)
	*h = append(*h, e)
}

// Pop implements heap.Interface.
func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	e.slot = -1
	return e
}
