package statetest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
)

// openTimeout bounds the making of a store.
const openTimeout = time.Minute

// Open makes a store from its settings, as the runtime does.
func Open(ctx context.Context, factory components.Factory[state.Store], metadata map[string]any) (state.Store, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	return factory(ctx, components.Env{Log: slog.New(slog.DiscardHandler)},
		components.Config{Name: "under test", Type: "under test", Path: "runtime.state.test", Metadata: metadata})
}

// New returns an Options.New that makes stores with these settings.
func New(factory components.Factory[state.Store], metadata map[string]any) func(*testing.T) state.Store {
	return func(t *testing.T) state.Store {
		t.Helper()
		s, err := Open(t.Context(), factory, metadata)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}
