// Package backendtest makes the components that a backend's tests are about. It is
// for tests only.
package backendtest

import (
	"context"
	"io"
	"maps"
	"testing"

	"github.com/ottavo-runtime/ottavo/components"
)

// Backend makes components of one type. Kind is their contract, and C what New
// returns.
type Backend[Kind io.Closer, C io.Closer] struct {
	// Path is where the component stands in messages: "lock.test".
	Path string
	// Type is its type, and New its row's maker.
	Type string
	New  components.Factory[Kind]
	// Address is the name of the setting that says where its server is.
	Address string
	// Metadata are settings that all have which do not say otherwise.
	Metadata map[string]any
}

// Try makes a component with more settings, or returns what is wrong.
func (b Backend[Kind, C]) Try(ctx context.Context, addr string, more map[string]any) (made C, err error) {
	c, err := b.make(ctx, addr, more)
	if err != nil {
		return made, err
	}
	return any(c).(C), nil
}

func (b Backend[Kind, C]) make(ctx context.Context, addr string, more map[string]any) (Kind, error) {
	metadata := map[string]any{b.Address: addr}
	maps.Copy(metadata, b.Metadata)
	maps.Copy(metadata, more)
	return b.New(ctx, components.Env{}, components.Config{Name: "test", Type: b.Type, Path: b.Path, Metadata: metadata})
}

// Open makes a component that is closed when the test ends.
func (b Backend[Kind, C]) Open(t *testing.T, addr string, more map[string]any) C {
	t.Helper()
	c, err := b.Try(t.Context(), addr, more)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

// Maker returns what a suite makes components with, which it closes itself.
func (b Backend[Kind, C]) Maker(addr string, more map[string]any) func(t *testing.T) Kind {
	return func(t *testing.T) Kind {
		t.Helper()
		c, err := b.make(t.Context(), addr, more)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}
