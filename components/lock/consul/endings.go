package consul

import (
	"container/heap"
	"sync"
	"time"
)

// hold is what a lock is held by.
type hold struct {
	session string
	index   uint64 // of the key's last change
}

// endings calls back when locks are over, one after the other, in one goroutine that
// is there only while there are any.
type endings struct {
	over func(resource string, h hold)

	mu      sync.Mutex
	closed  bool
	locks   map[string]*ending
	first   byEnd
	running bool
	wake    chan struct{} // the first has changed; has room for one
	quit    chan struct{}
	work    sync.WaitGroup
}

type ending struct {
	hold
	resource string
	at       time.Time
	slot     int
}

func newEndings(over func(resource string, h hold)) *endings {
	return &endings{over: over, locks: make(map[string]*ending), wake: make(chan struct{}, 1), quit: make(chan struct{})}
}

// set notes when a lock is over, in place of what was noted before.
func (e *endings) set(resource string, h hold, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	e.remove(resource)
	n := &ending{hold: h, resource: resource, at: at}
	e.locks[resource] = n
	heap.Push(&e.first, n)
	switch {
	case !e.running:
		e.running = true
		e.work.Go(e.run)
	case n.slot == 0:
		select {
		case e.wake <- struct{}{}:
		default:
		}
	}
}

// drop forgets a lock.
func (e *endings) drop(resource string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remove(resource)
}

func (e *endings) remove(resource string) {
	if n := e.locks[resource]; n != nil {
		heap.Remove(&e.first, n.slot)
		delete(e.locks, resource)
	}
}

func (e *endings) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		e.mu.Lock()
		if len(e.first) == 0 || e.closed {
			e.running = false
			e.mu.Unlock()
			return
		}
		n := e.first[0]
		wait := time.Until(n.at)
		if wait <= 0 {
			e.remove(n.resource)
			e.mu.Unlock()
			e.over(n.resource, n.hold)
			continue
		}
		e.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-e.wake:
		case <-e.quit:
		}
	}
}

// close forgets everything and waits for the goroutine.
func (e *endings) close() {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		close(e.quit)
	}
	e.mu.Unlock()
	e.work.Wait()
}

// byEnd is a container/heap, the first to end on top.
type byEnd []*ending

var _ heap.Interface = (*byEnd)(nil)

func (h byEnd) Len() int           { return len(h) }
func (h byEnd) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h byEnd) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i, j
}

// Push is for container/heap.
func (h *byEnd) Push(x any) {
	n := x.(*ending)
	n.slot = len(*h)
	*h = append(*h, n)
}

// Pop is for container/heap.
func (h *byEnd) Pop() any {
	old := *h
	n := old[len(old)-1]
	*h = old[:len(old)-1]
	return n
}
