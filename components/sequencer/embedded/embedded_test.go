package embedded

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/components/sequencer/sequencertest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func tryNew(t *testing.T, dir string, metadata map[string]any) (sequencer.Sequencer, error) {
	t.Helper()
	return New(t.Context(), components.Env{DataDir: dir}, components.Config{Name: "a/../b", Type: Type, Path: "sequencer.test", Metadata: metadata})
}

func newSequencer(t *testing.T, dir string) sequencer.Sequencer {
	t.Helper()
	s, err := tryNew(t, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "sequencer", Type)
	sequencertest.Run(t, sequencertest.Options{
		New:    func(t *testing.T) sequencer.Sequencer { return newSequencer(t, t.TempDir()) },
		Single: true, Ids: 400,
	})
}

// Numbers are in the file as soon as they are given out: what a copy of it, made
// while it is in use, holds is what a crash would leave.
func TestSurvives(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sequencer", "a%2F..%2Fb.db")
	last := int64(0)
	for round := range 4 {
		s := newSequencer(t, dir)
		for range 3 {
			id, err := s.Next(t.Context(), "k")
			if err != nil || id != last+1 {
				t.Fatalf("round %d: id %d, %v, after %d", round, id, err, last)
			}
			last = id
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if round%2 == 1 {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	s := newSequencer(t, dir)
	if _, err := tryNew(t, dir, nil); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a file that is in use: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{text: "set another path", dir: "set another path", filepath.Join(text, "below"): "folder"} {
		_, err := tryNew(t, "", map[string]any{"path": path})
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want the path and %q", path, err, want)
		}
	}
	if _, err := tryNew(t, "", nil); err == nil || !strings.Contains(err.Error(), "sequencer.test.metadata.path") {
		t.Errorf("without a path: %v", err)
	}
}

func TestFileIsGone(t *testing.T) {
	dir := t.TempDir()
	s := newSequencer(t, dir).(*sequencer.Counted)
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Raise(t.Context(), "k", math.MaxInt64); err != nil {
		t.Error(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "sequencer")); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("the file is gone: %v", err)
	}
}

// TestFileIsDestroyed: a file that something else destroys while it is open is an
// error, again and again, and neither the end of the process nor of who waits.
func TestFileIsDestroyed(t *testing.T) {
	dir := t.TempDir()
	s := newSequencer(t, dir).(*sequencer.Counted)
	if err := s.Raise(t.Context(), "k", 5); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "sequencer", "*.db"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Truncate(files[0], 0); err != nil {
		t.Fatal(err)
	}
	for i := range int64(3) {
		if err := s.Raise(t.Context(), "k", 10+i); err == nil || !strings.Contains(err.Error(), files[0]) {
			t.Errorf("Raise: %v, want an error that names the file", err)
		}
		if err := s.Check(t.Context()); err == nil {
			t.Error("it counts as well")
		}
	}
	if err := s.Close(); err == nil {
		t.Error("Close: no error")
	}
}
