package sdktest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

func TestLock(t *testing.T) {
	_, client := startReal(t, 0)
	ctx, locks := timeout(t), client.Lock("locks")
	mine, err := locks.TryLock(ctx, "r", "me", time.Hour)
	if err != nil || !mine.Got || mine.Token == 0 {
		t.Fatalf("%+v, %v", mine, err)
	}
	if theirs, err := locks.TryLock(ctx, "r", "you", time.Hour); err != nil || theirs.Got {
		t.Errorf("%+v, %v, want nothing", theirs, err)
	}
	for name, c := range map[string]struct {
		err  error
		want error
	}{
		"renewed":           {locks.Renew(ctx, "r", "me", 10*time.Minute), nil},
		"renewed by others": {locks.Renew(ctx, "r", "you", time.Hour), ottavo.ErrNotOwner},
		"others unlock":     {locks.Unlock(ctx, "r", "you"), ottavo.ErrNotOwner},
		"unlock":            {locks.Unlock(ctx, "r", "me"), nil},
		"no lock":           {locks.Unlock(ctx, "r2", "me"), ottavo.ErrNotLocked},
		"nothing to renew":  {locks.Renew(ctx, "r2", "me", time.Hour), ottavo.ErrNotLocked},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", name, c.err, c.want)
		}
	}
	again, err := locks.TryLock(ctx, "r", "you", time.Hour)
	if err != nil || !again.Got || again.Token <= mine.Token {
		t.Errorf("%+v, %v, want a token above %d", again, err, mine.Token)
	}
	if _, err := locks.TryLock(ctx, "r", "me", 0); err == nil {
		t.Error("a lock for no time")
	}
	if err := locks.Renew(ctx, "r", "me", -time.Second); err == nil {
		t.Error("a renewal for no time")
	}
}

// A lock that is held stays longer than its time, and is free after Release.
func TestHold(t *testing.T) {
	_, client := startReal(t, 0)
	// On a machine that stands still a lock is lost as it should be.
	expire := time.Second
	testserver.OnceOf(t, func(try int) error {
		defer func() { expire *= 2 }()
		return hold(t, client.Lock("locks"), fmt.Sprint("r", try), expire)
	})
}

// hold returns an error when the lock was not held all the time.
func hold(t *testing.T, locks *ottavo.Lock, r string, expire time.Duration) error {
	t.Helper()
	ctx := timeout(t)
	held, err := locks.Hold(ctx, r, "me", expire)
	if err != nil || held.Token == 0 {
		t.Fatal(err)
	}
	defer held.Release() //nolint:errcheck // it was released, or lost
	if _, err := locks.Hold(ctx, r, "you", expire); !errors.Is(err, ottavo.ErrLocked) {
		return fmt.Errorf("%w, want ErrLocked", err)
	}
	short, cancel := context.WithTimeout(ctx, expire*3/2)
	defer cancel()
	if _, err := locks.Wait(short, r, "you", expire); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w after more than the lock's time, want that somebody holds it", err)
	}
	if err := held.Context().Err(); err != nil {
		return fmt.Errorf("the holder's context: %w", context.Cause(held.Context()))
	}
	waited := make(chan error, 1)
	go func() {
		next, err := locks.Wait(ctx, r, "you", time.Hour)
		if err == nil {
			err = next.Release()
		}
		waited <- err
	}()
	for range 2 {
		if err := held.Release(); err != nil {
			return errors.Join(err, <-waited)
		}
	}
	if held.Context().Err() == nil || errors.Is(context.Cause(held.Context()), ottavo.ErrLockLost) {
		t.Errorf("after Release the context has ended with %v", context.Cause(held.Context()))
	}
	if err := <-waited; err != nil {
		t.Errorf("who waited: %v", err)
	}
	return nil
}

// The end of the context gives the lock back.
func TestHoldEndsWithItsContext(t *testing.T) {
	_, client := startReal(t, 0)
	locks := client.Lock("locks")
	ctx, cancel := context.WithCancel(timeout(t))
	held, err := locks.Hold(ctx, "r", "me", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	next, err := locks.Wait(timeout(t), "r", "you", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []*ottavo.Held{held, next} {
		if err := h.Release(); err != nil {
			t.Error(err)
		}
	}
}

// A lock that somebody else has got, or that could not be renewed in time, is lost.
func TestLockLost(t *testing.T) {
	for name, lose := range map[string]func(*testing.T, *real, *ottavo.Lock){
		"to another": func(t *testing.T, _ *real, locks *ottavo.Lock) {
			if err := locks.Unlock(timeout(t), "r", "me"); err != nil {
				t.Fatal(err)
			}
			if g, err := locks.TryLock(timeout(t), "r", "you", time.Hour); err != nil || !g.Got {
				t.Fatal(g, err)
			}
		},
		"with the runtime": func(_ *testing.T, r *real, _ *ottavo.Lock) { r.Cut() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, client := startReal(t, 0)
			locks := client.Lock("locks")
			held, err := locks.Hold(timeout(t), "r", "me", 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			lose(t, r, locks)
			<-held.Context().Done()
			if cause := context.Cause(held.Context()); !errors.Is(cause, ottavo.ErrLockLost) {
				t.Errorf("%v, want ErrLockLost", cause)
			}
			if err := held.Release(); !errors.Is(err, ottavo.ErrLockLost) {
				t.Errorf("Release: %v, want ErrLockLost", err)
			}
		})
	}
}
