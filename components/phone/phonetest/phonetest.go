// Package phonetest holds the tests that every phone.Caller passes.
package phonetest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/ottavo-runtime/ottavo/components/phone"
)

// Run tests what open makes; the suite closes it.
func Run(t *testing.T, open func(t *testing.T) phone.Caller) {
	t.Helper()
	begin := func(t *testing.T) phone.Caller {
		c := open(t)
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		return c
	}
	t.Run("Call", func(t *testing.T) {
		if err := call(t.Context(), begin(t)); err != nil {
			t.Error(err)
		}
	})
	t.Run("Concurrent", func(t *testing.T) {
		c := begin(t)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := call(t.Context(), c); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
	t.Run("Cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := call(ctx, begin(t)); !errors.Is(err, context.Canceled) {
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

// call makes a call and wants the id of the request.
func call(ctx context.Context, c phone.Caller) error {
	id, err := c.Call(ctx, &phone.Call{TemplateID: "welcome", Params: map[string]string{"name": "eva"}, To: []string{"0049"}, From: "0041"})
	if err == nil && id == "" {
		err = errors.New("no id of the request")
	}
	return err
}
