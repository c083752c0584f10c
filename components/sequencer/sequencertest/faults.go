package sequencertest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// FaultOptions say what happens while ids are taken.
type FaultOptions struct {
	// Timeout is how long each call may take; what takes longer is given up.
	Timeout time.Duration
	// Least is how many ids must have been taken in the end, when all is mended.
	Least int
	// Faults pauses, cuts and restarts what it wants, and mends it again.
	Faults func()
}

// FaultsUnderLoad takes ids of the key "k" from all sequencers, which count in one
// place, while there are faults. No id may be given out twice or out of order. The ids
// are returned, sorted.
func FaultsUnderLoad[S sequencer.Sequencer](t *testing.T, all []S, o FaultOptions) []int64 {
	t.Helper()
	load := NewLoad(t, true)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	for i := range 3 * len(all) {
		wg.Go(func() {
			for ctx.Err() == nil {
				_ = load.Try(ctx, func(ctx context.Context) (int64, error) { // failures are expected
					ctx, cancel := context.WithTimeout(ctx, o.Timeout)
					defer cancel()
					return all[i%len(all)].Next(ctx, "k")
				})
			}
		})
	}
	o.Faults()
	testserver.Eventually(t, testserver.Patience, func() error {
		if n := load.Count(); n < o.Least {
			return fmt.Errorf("only %d ids were taken, want %d", n, o.Least)
		}
		return nil
	})
	stop()
	wg.Wait()
	return load.Check()
}
