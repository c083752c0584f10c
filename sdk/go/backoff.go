package ottavo

import (
	"context"
	"math/rand/v2"
	"time"
)

// The pauses before a lost connection is looked for again.
const (
	minPause = 100 * time.Millisecond
	maxPause = 3 * time.Second
)

// backoff makes pauses that grow, by chance a little more or less. The zero value
// begins.
type backoff struct{ next time.Duration }

func (b *backoff) reset() { b.next = 0 }

// wait pauses, or until ctx ends.
func (b *backoff) wait(ctx context.Context) {
	b.next = min(max(2*b.next, minPause), maxPause)
	timer := time.NewTimer(b.next/2 + rand.N(b.next)) //nolint:gosec // not a secret
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// over reports whether ctx has ended, or is just about to: gRPC may have noticed
// the deadline a moment earlier.
func over(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}
