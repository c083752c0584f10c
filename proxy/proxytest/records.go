package proxytest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/telemetry"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// Records is a telemetry.Sink that keeps what it is given.
type Records struct {
	mu   sync.Mutex
	got  []telemetry.Record
	more chan struct{} // closed when a record comes
}

// Record implements telemetry.Sink.
func (r *Records) Record(rec *telemetry.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, *rec)
	if r.more != nil {
		close(r.more)
		r.more = nil
	}
}

// All returns the records so far.
func (r *Records) All() []telemetry.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// Wait waits until there are n records and returns them. More than n are an
// error, too. (A record is written after the caller has its answer.)
func (r *Records) Wait(t testing.TB, n int) []telemetry.Record {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		r.mu.Lock()
		got := slices.Clone(r.got)
		if r.more == nil {
			r.more = make(chan struct{})
		}
		more := r.more
		r.mu.Unlock()
		switch {
		case len(got) > n:
			t.Fatalf("%d records, want %d: %+v", len(got), n, got)
		case len(got) == n:
			return got
		}
		select {
		case <-more:
		case <-timer.C:
			t.Fatalf("%d records, want %d: %+v", len(got), n, got)
		}
	}
}

// Last returns the newest of n records; see Wait.
func (r *Records) Last(t testing.TB, n int) telemetry.Record {
	t.Helper()
	return r.Wait(t, n)[n-1]
}
