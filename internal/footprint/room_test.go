package footprint

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestPercentFor(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		size, used uint64
		want       int
	}{
		{16 * mib, 0, 400},        // before the first collection
		{16 * mib, 1 * mib, 400},  // no more than fivefold
		{16 * mib, 4 * mib, 400},  // by 16 MiB
		{16 * mib, 8 * mib, 200},  // by 16 MiB
		{16 * mib, 16 * mib, 100}, // as Go by itself
		{16 * mib, 1 << 40, 100},
	} {
		if got := percentFor(c.size, c.used); got != c.want {
			t.Errorf("%d of %d bytes: %d %%, want %d", c.size, c.used, got, c.want)
		}
	}
}

// percent returns the percentage that is set.
func percent() int {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	return int(s[0].Value.Uint64())
}

// collectUntil collects garbage until the percentage is right, and fails when it
// does not become so.
func collectUntil(t *testing.T, right func(int) bool, what string) {
	t.Helper()
	end := time.Now().Add(2 * time.Minute)
	for !right(percent()) {
		if time.Now().After(end) {
			t.Fatalf("the percentage stays %d, want %s", percent(), what)
		}
		runtime.GC()
		runtime.Gosched()
	}
}

// TestRoom: the percentage follows what is in use, up and down, until the end.
func TestRoom(t *testing.T) {
	before := debug.SetGCPercent(123)
	defer debug.SetGCPercent(before)
	stop := Room(64 << 20)
	collectUntil(t, func(p int) bool { return p == mostPercent }, "the most for a small heap")
	kept := make([]byte, 40<<20)
	collectUntil(t, func(p int) bool { return p > leastPercent && p < 200 }, "less for 40 MiB")
	more := make([]byte, 40<<20)
	collectUntil(t, func(p int) bool { return p == leastPercent }, "the least for 80 MiB")
	runtime.KeepAlive(kept)
	runtime.KeepAlive(more)
	collectUntil(t, func(p int) bool { return p == mostPercent }, "the most again")

	stop()
	stop()
	for range 5 {
		runtime.GC()
		runtime.Gosched()
		if p := percent(); p != 123 {
			t.Fatalf("after the end it is %d, want 123 as before", p)
		}
	}
}
