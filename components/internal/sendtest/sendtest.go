// Package sendtest holds what the suites of email, sms and phone have in common. It
// is for tests only.
package sendtest

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
)

// Run tests what open makes, and closes it. send sends something, in the test called
// name, and returns what is wrong with the outcome.
func Run[C io.Closer](t *testing.T, open func(t *testing.T) C, name string, send func(ctx context.Context, c C) error) {
	t.Helper()
	begin := func(t *testing.T) C {
		c := open(t)
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		return c
	}
	t.Run(name, func(t *testing.T) {
		if err := send(t.Context(), begin(t)); err != nil {
			t.Error(err)
		}
	})
	t.Run("Concurrent", func(t *testing.T) {
		c := begin(t)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := send(t.Context(), c); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
	t.Run("Cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := send(ctx, begin(t)); !errors.Is(err, context.Canceled) {
			t.Errorf("with an ended context: %v", err)
		}
	})
	t.Run("Closed twice", func(t *testing.T) {
		c := begin(t)
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
