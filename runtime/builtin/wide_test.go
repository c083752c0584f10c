//go:build full

package builtin

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// The tests in files wide_*_test.go put rows to the suites of their kinds against real
// servers, in `make test-wide`: rows that only the full build has, and servers that
// are too big, or too slow to start, for `make test`.

// wideOnly skips the test outside of `make test-wide`.
func wideOnly(t *testing.T) {
	t.Helper()
	if os.Getenv(testserver.WideVariable) == "" {
		t.Skip("SKIP: for make test-wide")
	}
}

// openBinding makes a binding of a built-in type.
func openBinding(t *testing.T, typ string, metadata map[string]any) binding.Binding {
	t.Helper()
	return open(t, "binding", bindings(), typ, metadata)
}

// openStore makes a state store of a built-in type.
func openStore(t *testing.T, typ string, metadata map[string]any) state.Store {
	t.Helper()
	return open(t, "state", states(), typ, metadata)
}

func open[T any](t *testing.T, kind string, rows []components.Row[T], typ string, metadata map[string]any) T {
	t.Helper()
	table, err := components.NewTable(kind, rows...)
	if err != nil {
		t.Fatal(err)
	}
	var c T
	// A driver may give up sooner than a server answers that has just begun to compile.
	testserver.Eventually(t, 2*time.Minute, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var err error
		c, err = table.New(ctx, components.Env{AppID: "wide"}, components.Config{Name: "wide", Type: typ, Path: "wide", Metadata: metadata})
		return err
	})
	return c
}
