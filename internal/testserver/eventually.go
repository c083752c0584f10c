package testserver

import (
	"context"
	"testing"
	"time"
)

// Patience bounds the wait for what must happen: it is so long that only a defect
// lets it pass, also on a machine that has ten other things to do.
const Patience = 2 * time.Minute

// Eventually waits until try returns nil, as it does some time after a server is
// back. The test ends with the last error when that is not within the limit.
func Eventually(t testing.TB, limit time.Duration, try func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		over := ctx.Err() != nil // then this is the last try: the machine may have slept
		err := try()
		if err == nil {
			return
		}
		if over {
			t.Fatalf("not within %s: %v", limit, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// OnceOf does a step up to five times, until it returns nil, and fails the test with
// the last error. It is for what takes no longer, or comes in no other order, than it
// should unless the machine stood still meanwhile: which it does now and then, and a
// defect does always. A step that has seen a defect that no pause explains ends the
// test itself.
func OnceOf(t testing.TB, step func(try int) error) {
	t.Helper()
	var err error
	for try := range 5 {
		if err = step(try); err == nil {
			return
		}
		t.Logf("try %d: %v", try+1, err)
	}
	t.Errorf("in none of five tries: %v", err)
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
