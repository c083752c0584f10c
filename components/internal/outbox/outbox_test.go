package outbox_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/outbox"
)

func open(t *testing.T, dir string, metadata map[string]any) (*outbox.Outbox, error) {
	t.Helper()
	return outbox.Open(components.Env{DataDir: dir}, components.Config{Name: "o", Path: "runtime.email.o", Metadata: metadata})
}

// Every message is a line of its own, also when many write and after a restart.
func TestLines(t *testing.T) {
	dir, ids := t.TempDir(), make(map[string]bool)
	for range 2 {
		o, err := open(t, dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		for range 50 {
			wg.Go(func() {
				id, err := o.Put(t.Context(), map[string]string{"text": "line\nline"})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				ids[id] = true
			})
		}
		wg.Wait()
		if err := errors.Join(o.Close(), o.Close()); err != nil {
			t.Error(err)
		}
		if _, err := o.Put(t.Context(), "x"); err == nil {
			t.Error("a closed outbox took a message")
		}
	}
	f, err := os.Open(filepath.Join(dir, "outbox", "o.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	lines := 0
	for s := bufio.NewScanner(f); s.Scan(); lines++ {
		var r struct {
			RequestID string            `json:"request_id"`
			Message   map[string]string `json:"message"`
		}
		if err := json.Unmarshal(s.Bytes(), &r); err != nil || !ids[r.RequestID] || r.Message["text"] != "line\nline" {
			t.Errorf("line %q: %v", s.Text(), err)
		}
		delete(ids, r.RequestID)
	}
	if lines != 100 || len(ids) != 0 {
		t.Errorf("%d lines, %d ids without one", lines, len(ids))
	}
}

func TestMistakes(t *testing.T) {
	if _, err := open(t, "", map[string]any{"file": "/dev/null/x/y"}); err == nil || !strings.Contains(err.Error(), "runtime.email.o.metadata.file") {
		t.Errorf("no folder: %v", err)
	}
	o, err := open(t, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.Put(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
	full, err := open(t, "", map[string]any{"file": "/dev/full"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = full.Close() })
	if _, err := full.Put(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("a full disk: %v", err)
	}
}
