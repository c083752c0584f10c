package cli

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// roomyHeap is how far the heap may grow before garbage is collected, however
// little of it is in use. A sidecar keeps little alive and makes a lot of
// garbage: by Go's own rule, "twice what is alive", it would collect every few
// milliseconds under load.
const roomyHeap = 32 << 20

// liveHeap is what was alive after the last collection, in bytes.
const liveHeap = "/gc/heap/live:bytes"

// TuneHeap lets small heaps grow to 32 MiB between collections, and leaves
// large ones to Go's own rule. Nothing happens when GOGC is set: somebody has
// decided. It is for commands, once per process.
func TuneHeap() {
	if os.Getenv("GOGC") != "" {
		return
	}
	afterCollection(new(sentinel))
}

// sentinel is garbage from the start: its finalizer runs once after each collection.
type sentinel struct{ _ *byte }

func afterCollection(s *sentinel) {
	sample := []metrics.Sample{{Name: liveHeap}}
	metrics.Read(sample)
	live := uint64(0)
	if sample[0].Value.Kind() == metrics.KindUint64 {
		live = sample[0].Value.Uint64()
	}
	debug.SetGCPercent(gcPercent(live))
	runtime.SetFinalizer(s, afterCollection)
}

// gcPercent returns how much garbage, in percent of what is alive, may gather.
func gcPercent(live uint64) int {
	const usual, most = 100, 2000
	live = max(live, 1<<20)
	if 2*live >= roomyHeap {
		return usual
	}
	return min(int((roomyHeap-live)*100/live), most)
}
