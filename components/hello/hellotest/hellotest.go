// Package hellotest holds the tests that every hello.Greeter passes.
package hellotest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components/hello"
)

// patience bounds calls that must end.
const patience = 2 * time.Minute

// Options say what to test.
type Options struct {
	// Open makes the greeter of one test. The suite closes it if it has a method Close.
	Open func(t *testing.T) hello.Greeter
	// Want is the greeting for a name.
	Want func(name string) string
}

// Run tests the greeters that o makes.
func Run(t *testing.T, o Options) {
	t.Helper()
	begin := func(t *testing.T) hello.Greeter {
		g := o.Open(t)
		t.Cleanup(func() { closeIt(t, g) })
		return g
	}
	greeted := func(ctx context.Context, g hello.Greeter, name string) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		got, err := g.Hello(ctx, name)
		if err == nil && got != o.Want(name) {
			err = fmt.Errorf("%q is greeted with %q, want %q", name, got, o.Want(name))
		}
		return err
	}
	t.Run("Names", func(t *testing.T) {
		g := begin(t)
		for _, name := range []string{"eva", "", "伊娃", "a name of more words, and signs: %s", "line\nbreak", "eva"} {
			if err := greeted(t.Context(), g, name); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("Concurrent", func(t *testing.T) {
		g := begin(t)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 20 {
					if err := greeted(t.Context(), g, fmt.Sprintf("%d of %d", j, i)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
	t.Run("Two", func(t *testing.T) {
		one, two := begin(t), begin(t)
		closeIt(t, one)
		if err := greeted(t.Context(), two, "eva"); err != nil {
			t.Errorf("after another one was closed: %v", err)
		}
	})
	// Who asks nobody may greet all the same.
	t.Run("Cancelled", func(t *testing.T) {
		g := begin(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := greeted(ctx, g, "eva"); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("with an ended context: %v", err)
		}
		if err := greeted(t.Context(), g, "eva"); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
	t.Run("Closed", func(t *testing.T) {
		g := begin(t)
		if _, ok := g.(io.Closer); !ok {
			return // it holds nothing
		}
		closeIt(t, g)
		closeIt(t, g)
		if err := greeted(t.Context(), g, "eva"); err == nil {
			t.Error("a closed greeter greets")
		}
	})
}

func closeIt(t *testing.T, g hello.Greeter) {
	t.Helper()
	if c, ok := g.(io.Closer); ok {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}
