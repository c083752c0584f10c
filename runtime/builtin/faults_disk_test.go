package builtin_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// smallDisk is a file system of two megabytes.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("SKIP: a file system of its own cannot be had (it takes root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// TestFaultsDiskFull: the components that keep files, on a disk that is full. What
// does not fit is not there afterwards, not in part either; what was there stays,
// health says what is full, and all works again when there is room.
func TestFaultsDiskFull(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	p := newPatient(t, fmt.Sprintf(`
runtime:
  listen: 127.0.0.1:0
  actuator: {listen: "127.0.0.1:0"}
  app: {app_id: app}
  state: {one: {type: embedded, metadata: {path: %[1]s/state.db}}, beside: {type: in-memory}}
  sequencer: {one: {type: embedded, metadata: {path: %[1]s/ids.db}}}
  config_store: {one: {type: local.file, metadata: {path: %[1]s/configuration.yaml, create: true}}}
  file: {one: {type: local, metadata: {root: %[1]s/files}}}
  oss: {one: {type: local, metadata: {root: %[1]s/objects}}}
`, dir))
	kinds := []string{"state", "configuration", "file", "objectstore"} // of a sequencer nothing can be read
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for _, kind := range kinds {
		if err := faultKinds[kind].save(ctx, p.cc, "one", "before"); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
	}
	if err := nextID(ctx, p.cc, "one"); err != nil {
		t.Fatal(err)
	}
	p.up(testserver.Patience)

	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)
	big := strings.Repeat("x", 1<<20)
	for _, kind := range kinds {
		err := faultKinds[kind].save(ctx, p.cc, "one", big)
		t.Logf("%s: %v", kind, err)
		if code := status.Code(err); code != faultKinds[kind].writeCode() && (kind != "configuration" || code != codes.Unknown) {
			t.Errorf("%s: %v, want %s", kind, err, faultKinds[kind].writeCode())
		}
		if err != nil && !strings.Contains(err.Error(), "full") && !strings.Contains(err.Error(), "no space left") {
			t.Errorf("%s: %v: does not say what is full", kind, err)
		}
		if got, err := faultKinds[kind].load(ctx, p.cc, "one"); err != nil || got != "before" {
			t.Errorf("%s: what was there before is now %.20q, %v", kind, got, err)
		}
	}
	p.down(testserver.Patience, "file", "objectstore")

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		eventually(t, testserver.Patience, kind+" writes again", func(ctx context.Context) error { return faultKinds[kind].save(ctx, p.cc, "one", "after") })
		if got, err := faultKinds[kind].load(ctx, p.cc, "one"); err != nil || got != "after" {
			t.Errorf("%s: %.20q, %v, want what was written last", kind, got, err)
		}
	}
	eventually(t, testserver.Patience, "numbers are counted again", func(ctx context.Context) error { return nextID(ctx, p.cc, "one") })
	p.up(testserver.Patience)
}

// fill writes until nothing fits any more.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it is full
	piece := make([]byte, 4096)
	for {
		if _, err := f.Write(piece); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
