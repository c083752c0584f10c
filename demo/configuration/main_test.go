package main

import (
	"context"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/demo/internal/ottavotest"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
)

// The demo prints what its README says.
func TestDemo(t *testing.T) {
	rt := runtimetest.Start(t, ottavotest.DefaultConfig(t))
	ottavotest.Prints(t, "configuration", func(ctx context.Context, out *log.Logger) error {
		return run(ctx, rt.Addr(t, rt.Config.Runtime.Listener), out)
	})
}

// With -watch it tells what an editor saves into the file.
func TestWatch(t *testing.T) {
	text := ottavotest.CodeBlocks(t, "demo/configuration/README.md", "```yaml")
	if len(text) != 1 {
		t.Fatalf("README.md has %d blocks of YAML, want 1", len(text))
	}
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte("before: it is there\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const setting = "{path: "
	config := ottavotest.DefaultConfig(t)
	_, rest, ok := strings.Cut(config, setting)
	old, _, found := strings.Cut(rest, ",")
	if !ok || !found {
		t.Fatal("configs/default.yaml has no path of a configuration store")
	}
	rt := runtimetest.Start(t, strings.ReplaceAll(config, setting+old, setting+file))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	printed := make(lines, 10)
	ended := make(chan error, 1)
	go func() { ended <- watch(ctx, rt.Addr(t, rt.Config.Runtime.Listener), log.New(printed, "", 0)) }()
	want := func(wants ...string) {
		t.Helper()
		for _, want := range wants {
			select {
			case got := <-printed:
				if got != want+"\n" {
					t.Fatalf("it printed %q, want %q", got, want)
				}
			case err := <-ended:
				t.Fatal(err)
			}
		}
	}
	want(`before = "it is there"`)
	if err := os.WriteFile(file, []byte("before: it is there\n"+text[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	want(`greeting = "good evening"`, `limits = "{\"requests\":10}"`)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// lines passes on what is printed, line by line.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}
