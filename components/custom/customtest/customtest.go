// Package customtest holds the tests that components of a user's own kinds pass,
// whatever they can: they are made ready or not at all, are used from many
// goroutines, and end once. Its Counter is the reference, and an example of a row.
package customtest

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/custom"
)

// patience bounds what must end.
const patience = 2 * time.Minute

// Options say what to test.
type Options struct {
	// New is the row's maker.
	New components.Factory[custom.Component]
	// Env surrounds the component, and Config are settings that it takes.
	Env    components.Env
	Config components.Config
	// Bad are settings that it refuses, by what is wrong with them.
	Bad map[string]components.Config
	// Use does with a component what it is there for, and says what went wrong. It is
	// called from many goroutines.
	Use func(ctx context.Context, c custom.Component) error
}

// Run tests the components that o makes.
func Run(t *testing.T, o Options) {
	t.Helper()
	begin := func(t *testing.T) custom.Component {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		c, err := o.New(ctx, o.Env, o.Config)
		cancel() // it bounds the making only
		if err != nil || c == nil {
			t.Fatalf("New: %v, %v", c, err)
		}
		t.Cleanup(func() { end(t, c) })
		return c
	}
	use := func(c custom.Component) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return o.Use(ctx, c)
	}
	t.Run("Used", func(t *testing.T) {
		c := begin(t)
		for range 2 {
			if err := use(c); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("Concurrent", func(t *testing.T) {
		c := begin(t)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 10 {
					if err := use(c); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
	t.Run("Two", func(t *testing.T) {
		one, two := begin(t), begin(t)
		if err := use(one); err != nil {
			t.Error(err)
		}
		end(t, one)
		if err := use(two); err != nil {
			t.Errorf("after another one was closed: %v", err)
		}
	})
	t.Run("Refused", func(t *testing.T) {
		for what, cfg := range o.Bad {
			c, err := o.New(t.Context(), o.Env, cfg)
			if err == nil || err.Error() == "" {
				t.Errorf("%s: New returns %v and no word about it: %v", what, c, err)
				end(t, c)
			} else if c != nil {
				t.Errorf("%s: New returns %v beside the error %v", what, c, err)
			}
		}
	})
	// Who needs nobody to be made may be made all the same.
	t.Run("Cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if c, err := o.New(ctx, o.Env, o.Config); err == nil {
			end(t, c)
		} else if c != nil {
			t.Errorf("New returns %v beside the error %v", c, err)
		}
	})
	t.Run("Closed twice", func(t *testing.T) {
		c := begin(t)
		end(t, c)
		end(t, c)
	})
}

// end closes a component, if it can be.
func end(t *testing.T, c custom.Component) {
	t.Helper()
	if c, ok := c.(io.Closer); ok {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}
