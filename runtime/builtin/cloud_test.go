//go:build full

package builtin_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	component "github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/runtime/builtin"
)

// cloudTables are what is built in.
var cloudTables = builtin.Tables()

// makeCloud makes a component of one of the types, named "one", within a limit that
// a call may be bound to.
func makeCloud[T any](t *testing.T, kind string, rows []component.Row[T], typ string, metadata map[string]any) (T, error) {
	t.Helper()
	table, err := component.NewTable(kind, rows...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	return table.New(ctx, component.Env{AppID: "app"}, component.Config{
		Name: "one", Type: typ, Path: kind + ".one", Metadata: metadata, Warn: func(p decode.Problem) { t.Errorf("a warning: %v", p) },
	})
}

// cloud is makeCloud for one that has to be made.
func cloud[T any](t *testing.T, kind string, rows []component.Row[T], typ string, metadata map[string]any) T {
	t.Helper()
	made, err := makeCloud(t, kind, rows, typ, metadata)
	if err != nil {
		t.Fatalf("%s/%s: %v", kind, typ, err)
	}
	return made
}

// with is a copy of settings with others beside them, or in their place.
func with(metadata map[string]any, more ...string) map[string]any {
	all := maps.Clone(metadata)
	for i := 0; i < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}

// says fails when err is none, does not say all of want, or holds what is hidden.
func says(t *testing.T, what string, err error, hidden string, want ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	t.Logf("%s: %v", what, err)
	for _, w := range want {
		if !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(w)) {
			t.Errorf("%s: %v: does not say %q", what, err, w)
		}
	}
	if hidden != "" && strings.Contains(err.Error(), hidden) {
		t.Errorf("%s: the error holds the secret: %v", what, err)
	}
}
