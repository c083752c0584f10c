package configurationtest

import (
	"context"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components/configuration"
)

// Stands is what a Follower is told when its watch stands, after what there was.
const Stands = "stands"

// followPatience is how long a change may take to be told, whatever the fault was.
const followPatience = 2 * time.Minute

// Follower is a watcher in a test of a backend. Use Follow.
type Follower struct {
	t    testing.TB
	told chan string
}

// Follow watches until the test ends, which fails if the watch ends before.
func Follow(t testing.TB, store configuration.Store, scope configuration.Scope, keys ...string) *Follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &Follower{t: t, told: make(chan string, 1000)}
	ended := make(chan error, 1)
	go func() {
		err := store.Watch(ctx, scope, keys, func(c configuration.Change) error {
			for _, i := range c.Items {
				content := i.Content
				if i.Deleted {
					content = "(deleted)"
				}
				f.told <- i.Group + "/" + i.Label + "/" + i.Key + "=" + content
			}
			if c.Initial {
				f.told <- Stands
			}
			return nil
		})
		if ctx.Err() == nil {
			t.Errorf("Watch has ended: %v", err)
		}
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return f
}

// Want fails the test unless exactly this is told next, in any order, each as
// group/label/key=content, with (deleted) as the content of what is gone.
func (f *Follower) Want(want ...string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), followPatience)
	defer cancel()
	left := make(map[string]bool, len(want))
	for _, w := range want {
		left[w] = true
	}
	for len(left) > 0 {
		select {
		case got := <-f.told:
			if !left[got] {
				f.t.Fatalf("told %q, want %v", got, left)
			}
			delete(left, got)
		case <-ctx.Done():
			f.t.Fatalf("not told %v", left)
		}
	}
}

// Next returns what is told next.
func (f *Follower) Next() string {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), followPatience)
	defer cancel()
	select {
	case got := <-f.told:
		return got
	case <-ctx.Done():
		f.t.Fatal("nothing is told")
		return ""
	}
}
