package mirror

import (
	"sync"
	"sync/atomic"
)

// Counters tell what became of copies. The zero value is ready to use; all are
// safe for concurrent use.
type Counters struct {
	// Sent counts copies that were begun, Failed those of them that got no answer.
	Sent, Failed atomic.Int64
	// Dropped counts copies that were not begun: MaxInFlight were under way, or
	// the core was stopping.
	Dropped atomic.Int64
	// Behind counts copies that were broken off because their host took the
	// body too slowly. They are among Failed, unless it had answered before.
	Behind atomic.Int64
	// Nowhere counts how often there was nothing to send a copy to: the cluster
	// does not exist or, with Broadcast, has no usable host.
	Nowhere atomic.Int64

	inFlight atomic.Int64
	missing  sync.Map // names of clusters that the log was told of
}

// InFlight returns how many copies are under way.
func (n *Counters) InFlight() int { return int(n.inFlight.Load()) }

// drop takes back the place of a copy that is not begun.
func (n *Counters) drop() {
	n.inFlight.Add(-1)
	n.Dropped.Add(1)
}
