package contrib

import (
	"sync"
	"time"
)

// drainTimeout is how long closing a component waits for calls under way, and
// how long for the backend itself.
const drainTimeout = 5 * time.Second

// gate counts the calls of a backend, so that it is closed when none is under
// way: not every backend bears that. The zero value is open.
type gate struct {
	mu     sync.Mutex
	calls  int
	closed bool
	idle   chan struct{} // made by shut when calls are under way; closed with the last one
}

// enter begins a call; false when the gate is shut. A call that began ends with leave.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.calls++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.calls--; g.calls == 0 && g.idle != nil {
		close(g.idle)
	}
}

// shut lets no call in any more and waits until those under way have ended, or
// for drainTimeout.
func (g *gate) shut() {
	g.mu.Lock()
	g.closed = true
	var idle chan struct{}
	if g.calls > 0 {
		g.idle = make(chan struct{})
		idle = g.idle
	}
	g.mu.Unlock()
	if idle == nil {
		return
	}
	timer := time.NewTimer(drainTimeout)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}
