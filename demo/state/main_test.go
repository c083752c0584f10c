package main

import (
	"context"
	"errors"
	"io"
	"log"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/demo/internal/ottavotest"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

const memory = "    memory: {type: in-memory}"

// The demo prints what its README says, with every store.
func TestDemo(t *testing.T) {
	want := ottavotest.CodeBlocks(t, "demo/state/README.md", "```")
	if len(want) != 1 {
		t.Fatalf("README.md has %d blocks of output, want 1", len(want))
	}
	line := ottavotest.CodeBlocks(t, "demo/state/README.md", "```yaml")
	if len(line) != 1 {
		t.Fatalf("README.md has %d blocks of YAML, want 1", len(line))
	}
	for _, store := range []string{"state_demo", "memory", "redis"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			file := ottavotest.DefaultConfig(t)
			if store == "redis" {
				server := testserver.Redis(t)
				file = ottavotest.DefaultConfig(t, memory, strings.ReplaceAll(line[0], "127.0.0.1:6379", server.Addr)+memory)
			}
			rt := runtimetest.Start(t, file)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			address := rt.Addr(t, rt.Config.Runtime.Listener)
			for range 2 { // it can be run again
				var out strings.Builder
				if err := run(ctx, address, store, log.New(&out, "", 0)); err != nil {
					t.Fatalf("%v\nafter\n%s", err, &out)
				}
				if out.String() != want[0] {
					t.Errorf("printed\n%swant, as in README.md\n%s", &out, want[0])
				}
			}
		})
	}
}

// What goes wrong is an error that names the store, and those that there are.
func TestUnknownStore(t *testing.T) {
	rt := runtimetest.Start(t, ottavotest.DefaultConfig(t))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := run(ctx, rt.Addr(t, rt.Config.Runtime.Listener), "nowhere", log.New(io.Discard, "", 0))
	e, ok := errors.AsType[*ottavo.Error](err)
	if !ok || !strings.Contains(e.Message, "nowhere") || !strings.Contains(e.Details["configured"], "state_demo") {
		t.Errorf("%v, want an error that names the store and those that there are", err)
	}
}
