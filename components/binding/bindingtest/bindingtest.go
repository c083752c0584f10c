// Package bindingtest holds the tests that every binding passes.
package bindingtest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components/binding"
)

// testTime is how long one test may wait for something.
const testTime = 2 * time.Minute

// Output says what to test of an output.
type Output struct {
	// New makes a binding; the suite closes it.
	New func(t *testing.T) binding.Binding
	// Request does something that can be done again and again, and Want is part of
	// what comes back; "" is anything.
	Request binding.Request
	Want    string
	// Wrong is a request that the other system refuses; nil: there is none.
	Wrong *binding.Request
}

// RunOutput tests the output that o makes.
func RunOutput(t *testing.T, o Output) {
	t.Helper()
	open := func(t *testing.T) binding.Output {
		b := o.New(t)
		t.Cleanup(func() {
			if err := b.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		out, ok := b.(binding.Output)
		if !ok {
			t.Fatalf("%T is no output", b)
		}
		return out
	}
	invoke := func(t *testing.T, out binding.Output) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), testTime)
		defer cancel()
		req := o.Request
		resp, err := out.Invoke(ctx, &req)
		if err != nil || resp == nil || !strings.Contains(string(resp.Data), o.Want) {
			t.Errorf("Invoke: %+v, %v, want an answer with %q", resp, err, o.Want)
		}
	}
	t.Run("Operations", func(t *testing.T) {
		if known := open(t).Operations(); !slices.Contains(known, o.Request.Operation) {
			t.Errorf("the operations %q do not hold %q", known, o.Request.Operation)
		}
	})
	t.Run("Invoke", func(t *testing.T) {
		out := open(t)
		invoke(t, out)
		invoke(t, out)
	})
	t.Run("Refused", func(t *testing.T) {
		if o.Wrong == nil {
			t.Skip("this system refuses nothing")
		}
		if _, err := open(t).Invoke(t.Context(), o.Wrong); err == nil {
			t.Error("no error")
		}
	})
	t.Run("Concurrent", func(t *testing.T) {
		out := open(t)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { invoke(t, out) })
		}
		wg.Wait()
	})
	t.Run("Cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		req := o.Request
		if _, err := open(t).Invoke(ctx, &req); !errors.Is(err, context.Canceled) {
			t.Errorf("Invoke with an ended context: %v", err)
		}
	})
	t.Run("Closed", func(t *testing.T) {
		out := open(t)
		for range 2 {
			if err := out.Close(); err != nil {
				t.Error(err)
			}
		}
		req := o.Request
		if _, err := out.Invoke(t.Context(), &req); !errors.Is(err, binding.ErrClosed) {
			t.Errorf("Invoke after Close: %v", err)
		}
	})
}

// Input says what to test of an input.
type Input struct {
	// New makes a binding; the suite closes it.
	New func(t *testing.T) binding.Binding
	// Cause makes something happen in the other system; nil: it happens by itself.
	Cause func(t *testing.T)
}

// RunInput tests the input that o makes.
func RunInput(t *testing.T, o Input) {
	t.Helper()
	read := func(t *testing.T, ctx context.Context) (binding.Binding, <-chan *binding.Event, <-chan struct{}) {
		b := o.New(t)
		t.Cleanup(func() {
			if err := b.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		in, ok := b.(binding.Input)
		if !ok {
			t.Fatalf("%T is no input", b)
		}
		events := make(chan *binding.Event, 1)
		done, err := in.Read(ctx, func(_ context.Context, e *binding.Event) ([]byte, error) {
			select {
			case events <- e:
			default:
			}
			return nil, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if o.Cause != nil {
			o.Cause(t)
		}
		return b, events, done
	}
	wait := func(t *testing.T, what string, c <-chan struct{}) {
		t.Helper()
		select {
		case <-c:
		case <-time.After(testTime):
			t.Fatalf("%s: not within %v", what, testTime)
		}
	}
	got := func(t *testing.T, events <-chan *binding.Event) {
		t.Helper()
		select {
		case e := <-events:
			if e == nil {
				t.Error("a nil event")
			}
		case <-time.After(testTime):
			t.Fatalf("no event within %v", testTime)
		}
	}
	t.Run("Context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		_, events, done := read(t, ctx)
		got(t, events)
		cancel()
		wait(t, "the end of reading", done)
	})
	t.Run("Close ends", func(t *testing.T) {
		b, events, done := read(t, t.Context())
		got(t, events)
		for range 2 {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}
		wait(t, "the end of reading", done)
		if _, err := b.(binding.Input).Read(t.Context(), nil); !errors.Is(err, binding.ErrClosed) {
			t.Errorf("Read after Close: %v", err)
		}
	})
}
