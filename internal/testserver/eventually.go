package testserver

import (
	"context"
	"testing"
	"time"
)

// Eventually waits until try returns nil, as it does some time after a server is
// back. The test ends with the last error when that is not within the limit.
func Eventually(t testing.TB, limit time.Duration, try func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within %s: %v", limit, err)
		}
	}
}

// Round does steps one after the other, with a pause after each until done is
// closed; nil never is. Steps that break a server and mend it again leave it whole.
func Round(done <-chan struct{}, pause time.Duration, steps ...func()) {
	for _, step := range steps {
		step()
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-done:
			timer.Stop()
		}
	}
}

// Rounds does rounds until done is closed, and ends the one that it is in.
func Rounds(done <-chan struct{}, pause time.Duration, steps ...func()) {
	for {
		Round(done, pause, steps...)
		select {
		case <-done:
			return
		default:
		}
	}
}
