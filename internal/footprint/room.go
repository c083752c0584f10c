package footprint

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// Bounds of the garbage collector's percentage.
const (
	leastPercent = 100 // Go's own
	mostPercent  = 400
)

// Room makes the garbage collector leave the heap room to grow. By itself it comes
// whenever the heap has doubled, which is many times a second in a busy process that
// keeps next to nothing: each time it goes through all stacks, and empties the pools
// of buffers. With Room the heap may grow by about size bytes between two
// collections, and doubles as ever once more than size is in use. A limit of memory
// (GOMEMLIMIT) holds as without it.
//
// It is a setting of the whole process: main calls it, once, unless the environment
// sets GOGC. stop takes it back; it is safe twice.
func Room(size uint64) (stop func()) {
	r := &room{size: size}
	r.before = debug.SetGCPercent(leastPercent)
	r.percent = leastPercent
	r.collected()
	return r.stop
}

// room sets the percentage anew after each collection.
type room struct {
	size   uint64
	before int // the percentage that there was

	mu      sync.Mutex
	percent int // the percentage that is set
	stopped bool
}

// sentry is an object that nobody holds: a collection finds it, and its clean-up
// tells that there has been one.
type sentry struct{ _ *sentry }

// collected is called after each collection.
func (r *room) collected() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return
	}
	// Each change stops the world for a moment: small ones are left out.
	if p := percentFor(r.size, scanned()); p < r.percent*9/10 || p > r.percent*11/10 {
		debug.SetGCPercent(p)
		r.percent = p
	}
	runtime.AddCleanup(&sentry{}, (*room).collected, r)
}

func (r *room) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.stopped {
		r.stopped = true
		debug.SetGCPercent(r.before)
	}
}

// percentFor is the percentage with which a heap of used bytes grows by size.
func percentFor(size, used uint64) int {
	return int(min(max(100*size/max(used, 1), leastPercent), mostPercent))
}

// scanned returns what the percentage is of: the bytes that the last collection has
// left on the heap, and those of stacks and global variables.
func scanned() uint64 {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(samples)
	var sum uint64
	for _, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			sum += s.Value.Uint64()
		}
	}
	return sum
}
