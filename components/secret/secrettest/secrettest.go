// Package secrettest holds the tests that every secret.Store passes.
package secrettest

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"

	"github.com/ottavo-runtime/ottavo/components/secret"
)

// Options say what to test.
type Options struct {
	// New makes a store that holds Secrets; the suite closes it.
	New func(t *testing.T) secret.Store
	// Secrets are in the store, by key; there are at least two.
	Secrets map[string]secret.Secret
	// Others says that the store shows more than Secrets when it lists.
	Others bool
	// Missing is a key without a secret. MissingIsEmpty says that the store answers
	// it with an empty value, as the environment does.
	Missing        string
	MissingIsEmpty bool
}

// Run tests the store that o makes.
func Run(t *testing.T, o Options) {
	t.Helper()
	if len(o.Secrets) < 2 {
		t.Fatal("the suite needs two secrets at least")
	}
	open := func(t *testing.T) secret.Store {
		s := o.New(t)
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		return s
	}
	t.Run("Get", func(t *testing.T) {
		s := open(t)
		for key, want := range o.Secrets {
			if got, err := s.Get(t.Context(), key, nil); err != nil || !maps.Equal(got, want) {
				t.Errorf("the secret %q is not what was stored: %d values, %v", key, len(got), err)
			}
		}
	})
	t.Run("Missing", func(t *testing.T) {
		got, err := open(t).Get(t.Context(), o.Missing, nil)
		if o.MissingIsEmpty {
			if err != nil || len(got) != 1 || got[o.Missing] != "" {
				t.Errorf("missing secret: %d values, %v, want an empty one", len(got), err)
			}
		} else if err == nil {
			t.Errorf("missing secret: %d values and no error", len(got))
		}
	})
	t.Run("List", func(t *testing.T) {
		l, ok := open(t).(secret.Lister)
		if !ok {
			t.Skip("this store does not list")
		}
		all, err := l.List(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for key, want := range o.Secrets {
			if !maps.Equal(all[key], want) {
				t.Errorf("the list has %d values under %q, want those that were stored", len(all[key]), key)
			}
		}
		if !o.Others && len(all) != len(o.Secrets) {
			t.Errorf("%d secrets in the list, want %d", len(all), len(o.Secrets))
		}
	})
	t.Run("Result is the caller's", func(t *testing.T) {
		s := open(t)
		for key, want := range o.Secrets {
			first, err := s.Get(t.Context(), key, nil)
			if err != nil {
				t.Fatal(err)
			}
			clear(first)
			if again, err := s.Get(t.Context(), key, nil); err != nil || !maps.Equal(again, want) {
				t.Errorf("after a caller has changed what it got, %q is something else: %v", key, err)
			}
		}
	})
	t.Run("Cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := open(t).Get(ctx, o.Missing, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("Get with an ended context: %v", err)
		}
	})
	t.Run("Concurrent", func(t *testing.T) {
		s := open(t)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for key, want := range o.Secrets {
					if got, err := s.Get(t.Context(), key, nil); err != nil || !maps.Equal(got, want) {
						t.Errorf("%q: %v", key, err)
					}
				}
			})
		}
		wg.Wait()
	})
	t.Run("Closed", func(t *testing.T) {
		s := open(t)
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := s.Get(t.Context(), o.Missing, nil); !errors.Is(err, secret.ErrClosed) {
			t.Errorf("Get after Close: %v", err)
		}
	})
}
