package configuration_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/components/configuration"
)

func TestFeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most, starts atomic.Int64
		var fail error
		feeds := configuration.NewFeeds(t.Context(), func(ctx context.Context, _ string, ready func()) error {
			most.Store(max(most.Load(), running.Add(1)))
			starts.Add(1)
			defer running.Add(-1)
			time.Sleep(time.Second) // reading
			if fail != nil {
				return fail
			}
			ready()
			<-ctx.Done()
			time.Sleep(time.Second) // ending
			return nil
		})
		use := func() func() {
			t.Helper()
			release, err := feeds.Use(t.Context(), "k")
			if err != nil {
				t.Fatal(err)
			}
			return release
		}
		one, two := use(), use()
		if running.Load() != 1 {
			t.Errorf("%d run for one key", running.Load())
		}
		one()
		one()
		synctest.Wait()
		if time.Sleep(time.Minute); running.Load() != 1 {
			t.Errorf("%d run while one user is left", running.Load())
		}
		two()
		three := use() // while the one before is ending
		if running.Load() != 1 || most.Load() != 1 || starts.Load() != 2 {
			t.Errorf("%d run, at most %d side by side, %d started; want one after the other", running.Load(), most.Load(), starts.Load())
		}
		three()
		time.Sleep(time.Minute)
		if running.Load() != 0 {
			t.Errorf("%d run without users", running.Load())
		}
		fail = errors.New("no server")
		if _, err := feeds.Use(t.Context(), "k"); !errors.Is(err, fail) {
			t.Errorf("a feed that fails: %v", err)
		}
		fail = nil
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := feeds.Use(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a feed that is not ready in time: %v", err)
		}
		time.Sleep(time.Minute)
		four := use()
		feeds.Close()
		feeds.Close()
		four()
		if running.Load() != 0 {
			t.Errorf("%d run after Close", running.Load())
		}
		if _, err := feeds.Use(t.Context(), "k"); !errors.Is(err, configuration.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}
