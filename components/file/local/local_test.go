package local_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/file"
	"github.com/ottavo-runtime/ottavo/components/file/filetest"
	"github.com/ottavo-runtime/ottavo/components/file/local"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, root string) file.Store {
	t.Helper()
	s, err := local.New(t.Context(), components.Env{}, components.Config{Name: "files", Path: "runtime.file.files", Metadata: map[string]any{"root": root}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSuite(t *testing.T) {
	matrix.Backend(t, "file", local.Type)
	root := t.TempDir()
	filetest.Run(t, filetest.Options{New: func(t *testing.T) file.Store { return open(t, root) }})
}

func put(t testing.TB, s file.Store, name, content string, metadata map[string]string) error {
	t.Helper()
	return s.Put(t.Context(), name, metadata, strings.NewReader(content))
}

func content(t testing.TB, s file.Store, name string) string {
	t.Helper()
	r, err := s.Get(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// leftovers fails if the store's folder for unfinished files is not empty.
func leftovers(t testing.TB, root string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, ".ottavo-tmp"))
	if err != nil || len(entries) > 0 {
		t.Errorf("unfinished files: %v, %v", entries, err)
	}
}

func TestCannotLeaveRoot(t *testing.T) {
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(outside, "root")
	s := open(t, root)
	for name, to := range map[string]string{"link": secret, "dir": outside, "up": "../secret", "loop": "loop", "in": "real"} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"../secret", "a/../../secret", "link", "dir/secret", "up", "loop", "..", "dir/new"} {
		if r, err := s.Get(t.Context(), name, nil); !errors.Is(err, file.ErrInvalid) && !errors.Is(err, file.ErrNotFound) {
			if err == nil {
				_ = r.Close()
			}
			t.Errorf("Get(%q): %v", name, err)
		}
		if err := put(t, s, name, "overwritten", nil); !errors.Is(err, file.ErrInvalid) {
			t.Errorf("Put(%q): %v, want ErrInvalid", name, err)
		}
		if _, err := s.Stat(t.Context(), name, nil); err == nil {
			t.Errorf("Stat(%q) told something", name)
		}
		if name == "link" || name == "up" || name == "loop" {
			continue // a link itself may be deleted
		}
		if err := s.Delete(t.Context(), name, nil); err == nil {
			t.Errorf("Delete(%q) did it", name)
		}
	}
	for _, dir := range []string{"..", "dir", "../root2"} {
		if l, err := s.List(t.Context(), dir, nil, file.Page{}); err == nil && len(l.Files) > 0 {
			t.Errorf("List(%q): %+v", dir, l)
		}
	}
	if got, err := os.ReadFile(secret); err != nil || string(got) != "secret" {
		t.Errorf("the file outside: %q, %v", got, err)
	}
	if l, err := s.List(t.Context(), "", nil, file.Page{}); err != nil || len(l.Files) != 0 {
		t.Errorf("links that lead out are listed: %+v, %v", l, err)
	}
	// An absolute name is one below the root.
	if err := put(t, s, "/real", "inside", nil); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(root, "real")); err != nil || string(got) != "inside" {
		t.Errorf("%q, %v", got, err)
	}
	if got := content(t, s, "in"); got != "inside" {
		t.Errorf("through a link that stays inside: %q", got)
	}
	leftovers(t, root)
}

func TestFileModeAndFlags(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	flags := func(f int) map[string]string { return map[string]string{"FileFlag": strconv.Itoa(f)} }
	tests := []struct {
		name, content string
		metadata      map[string]string
		err           error
		want          string
	}{
		{"a", "1", map[string]string{"FileMode": "384"}, nil, "1"},
		{"a", "2", nil, nil, "2"},
		{"a", "3", flags(os.O_CREATE | os.O_APPEND), nil, "23"},
		{"a", "4", flags(os.O_CREATE | os.O_EXCL), file.ErrExists, "23"},
		{"a", "5", flags(os.O_RDWR), nil, "5"},
		{"b", "6", flags(os.O_RDWR), file.ErrNotFound, ""},
		{"b", "7", flags(os.O_CREATE | os.O_EXCL), nil, "7"},
		{"b", "8", map[string]string{"FileMode": "rw"}, file.ErrInvalid, "7"},
		{"b", "8", map[string]string{"FileMode": "512"}, file.ErrInvalid, "7"},
		{"b", "8", map[string]string{"FileFlag": "-1"}, file.ErrInvalid, "7"},
	}
	for i, tt := range tests {
		if err := put(t, s, tt.name, tt.content, tt.metadata); !errors.Is(err, tt.err) {
			t.Errorf("%d: Put: %v, want %v", i, err, tt.err)
		}
		if tt.want == "" {
			continue
		}
		if got := content(t, s, tt.name); got != tt.want {
			t.Errorf("%d: content %q, want %q", i, got, tt.want)
		}
	}
	info, err := s.Stat(t.Context(), "a", nil)
	if err != nil || info.Metadata["FileMode"][0] != "384" || info.Metadata["IsDir"][0] != "false" {
		t.Errorf("Stat: %+v, %v", info, err)
	}
	leftovers(t, root)
}

func TestFolders(t *testing.T) {
	s := open(t, t.TempDir())
	if err := put(t, s, "d/f", "x", nil); err != nil {
		t.Fatal(err)
	}
	if err := put(t, s, "d", "x", nil); !errors.Is(err, file.ErrInvalid) {
		t.Errorf("Put over a folder: %v", err)
	}
	if err := put(t, s, "d/f/g", "x", nil); !errors.Is(err, file.ErrInvalid) {
		t.Errorf("Put below a file: %v", err)
	}
	if _, err := s.Get(t.Context(), "d", nil); !errors.Is(err, file.ErrInvalid) {
		t.Errorf("Get of a folder: %v", err)
	}
	if err := s.Delete(t.Context(), "d", nil); !errors.Is(err, file.ErrInvalid) {
		t.Errorf("Delete of a folder: %v", err)
	}
	info, err := s.Stat(t.Context(), "d", nil)
	if err != nil || info.Metadata["IsDir"][0] != "true" {
		t.Errorf("Stat of a folder: %+v, %v", info, err)
	}
	if err := put(t, s, ".ottavo-tmp/x", "x", nil); !errors.Is(err, file.ErrInvalid) {
		t.Errorf("Put into the store's own folder: %v", err)
	}
}

func TestPipeDoesNotHang(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	if err := syscall.Mkfifo(filepath.Join(root, "pipe"), 0o600); err != nil {
		t.Skipf("SKIP: no pipes in this file system: %v", err)
	}
	if _, err := s.Get(t.Context(), "pipe", nil); !errors.Is(err, file.ErrInvalid) {
		t.Errorf("Get: %v, want ErrInvalid", err)
	}
}

func TestUnfinishedFilesAreTidied(t *testing.T) {
	root := t.TempDir()
	temp := filepath.Join(root, ".ottavo-tmp")
	if err := os.MkdirAll(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-48 * time.Hour)
	for _, name := range []string{"old", "young"} {
		if err := os.WriteFile(filepath.Join(temp, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(filepath.Join(temp, "old"), long, long); err != nil {
		t.Fatal(err)
	}
	open(t, root)
	if _, err := os.Stat(filepath.Join(temp, "old")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("old: %v", err)
	}
	if _, err := os.Stat(filepath.Join(temp, "young")); err != nil {
		t.Errorf("young: %v", err)
	}
}

func TestDefaultRoot(t *testing.T) {
	dir := t.TempDir()
	s, err := local.New(t.Context(), components.Env{DataDir: dir}, components.Config{Name: "file_demo", Path: "file.file_demo"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := put(t, s, "x", "1", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "files", "file_demo", "x")); err != nil {
		t.Error(err)
	}
	if _, err := local.New(t.Context(), components.Env{DataDir: dir}, components.Config{Name: "../x", Path: "file.x"}); err == nil || !strings.Contains(err.Error(), "file.x.metadata.root") {
		t.Errorf("a component called ../x: %v", err)
	}
}

func TestRootCannotBeMade(t *testing.T) {
	f := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(f, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := local.New(t.Context(), components.Env{}, components.Config{Name: "n", Path: "file.n", Metadata: map[string]any{"root": f + "/below"}})
	if err == nil || !strings.Contains(err.Error(), "file.n.metadata.root") {
		t.Errorf("%v", err)
	}
}

// TestFolderGoesAndComesBack: health says so, and nothing has to be restarted.
func TestFolderGoesAndComesBack(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	s := open(t, root)
	c := s.(components.Checker)
	if err := c.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(root, root+".gone"); err != nil {
		t.Fatal(err)
	}
	if err := c.Check(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Check without the folder: %v", err)
	}
	if err := os.Rename(root+".gone", root); err != nil {
		t.Fatal(err)
	}
	if err := c.Check(t.Context()); err != nil {
		t.Errorf("Check with the folder back: %v", err)
	}
	if err := put(t, s, "x", "1", nil); err != nil {
		t.Error(err)
	}
}

// TestDiskFull puts files into a file system of 1 MiB.
func TestDiskFull(t *testing.T) {
	root := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", root).CombinedOutput(); err != nil {
		t.Skipf("SKIP: a small file system cannot be mounted here: %v %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", root).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
	s := open(t, root)
	if err := put(t, s, "f", "old", nil); err != nil {
		t.Fatal(err)
	}
	err := s.Put(t.Context(), "f", nil, strings.NewReader(strings.Repeat("x", 2<<20)))
	if !errors.Is(err, file.ErrFull) || strings.Contains(err.Error(), ".ottavo-tmp") {
		t.Errorf("Put: %v, want ErrFull", err)
	}
	if got := content(t, s, "f"); got != "old" {
		t.Errorf("content %q", got)
	}
	leftovers(t, root)
	c := s.(components.Checker)
	if err := c.Check(t.Context()); err != nil {
		t.Errorf("Check, with the rest of the failed put removed: %v", err)
	}
	var names []string
	for i := 0; err != nil && i < 1000; i++ { // until nothing goes in any more
		name := fmt.Sprint("fill", i)
		if ferr := put(t, s, name, strings.Repeat("x", 4096), nil); ferr != nil {
			break
		}
		names = append(names, name)
	}
	if err := c.Check(t.Context()); !errors.Is(err, file.ErrFull) {
		t.Errorf("Check: %v, want ErrFull", err)
	}
	for _, name := range names {
		if err := s.Delete(t.Context(), name, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Check(t.Context()); err != nil {
		t.Errorf("Check with room again: %v", err)
	}
	if err := put(t, s, "f", "new", nil); err != nil {
		t.Errorf("Put with room again: %v", err)
	}
}

// TestKilledWhileWriting: a process that dies leaves the old content.
func TestKilledWhileWriting(t *testing.T) {
	if root := os.Getenv("OTTAVO_FILE_CRASH"); root != "" {
		s := open(t, root)
		_ = s.Put(context.Background(), "f", nil, io.MultiReader(strings.NewReader(strings.Repeat("n", 1<<20)), killer{}))
		return
	}
	root := t.TempDir()
	s := open(t, root)
	if err := put(t, s, "f", "old", nil); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWhileWriting$")
	cmd.Env = append(os.Environ(), "OTTAVO_FILE_CRASH="+root)
	if err := cmd.Run(); err == nil {
		t.Fatal("the process did not die")
	}
	if got := content(t, s, "f"); got != "old" {
		t.Errorf("%d bytes after the crash", len(got))
	}
	if l, err := s.List(t.Context(), "", nil, file.Page{}); err != nil || len(l.Files) != 1 {
		t.Errorf("after the crash: %+v, %v", l, err)
	}
}

type killer struct{}

func (killer) Read([]byte) (int, error) {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func FuzzNames(f *testing.F) {
	for _, name := range []string{"a", "../a", "/etc/passwd", "a/../..", "./a", "a//b", ".ottavo-tmp/x", "a\x00"} {
		f.Add(name)
	}
	base := f.TempDir()
	s := open(f, filepath.Join(base, "root"))
	f.Fuzz(func(t *testing.T, name string) {
		if err := put(t, s, name, "x", nil); err != nil {
			return
		}
		if got := content(t, s, name); got != "x" {
			t.Errorf("%q holds %q", name, got)
		}
		if err := s.Delete(t.Context(), name, nil); err != nil {
			t.Errorf("Delete(%q): %v", name, err)
		}
		if entries, err := os.ReadDir(base); err != nil || len(entries) != 1 {
			t.Fatalf("something was written outside of the root: %v, %v", entries, err)
		}
	})
}
