package local_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
	"github.com/ottavo-runtime/ottavo/components/objectstore/local"
	"github.com/ottavo-runtime/ottavo/components/objectstore/objectstoretest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const bucket = "bucket"

func open(t testing.TB, root string, versioning bool) objectstore.Store {
	t.Helper()
	s, err := local.New(t.Context(), components.Env{}, components.Config{
		Name: "objects", Path: "runtime.oss.objects", Metadata: map[string]any{"root": root, "versioning": versioning},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// withBucket makes a folder in which the bucket exists.
func withBucket(t testing.TB, versioning bool) string {
	t.Helper()
	root := t.TempDir()
	s := open(t, root, versioning)
	put(t, s, "first", "x")
	return root
}

func put(t testing.TB, s objectstore.Store, key, content string) {
	t.Helper()
	if _, err := s.Put(t.Context(), &objectstore.PutRequest{Bucket: bucket, Key: key}, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
}

func content(t testing.TB, s objectstore.Store, key string) string {
	t.Helper()
	out, err := s.Get(t.Context(), &objectstore.GetRequest{Ref: objectstore.Ref{Bucket: bucket, Key: key}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Body.Close() }()
	data, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestSuite(t *testing.T) {
	matrix.Backend(t, "objectstore", local.Type)
	for _, versioning := range []bool{false, true} {
		t.Run(fmt.Sprintf("versioning=%v", versioning), func(t *testing.T) {
			root := withBucket(t, versioning)
			objectstoretest.Run(t, objectstoretest.Options{
				New:    func(t *testing.T) objectstore.Store { return open(t, root, versioning) },
				Bucket: bucket, Versioned: versioning,
			})
			leftovers(t, root)
		})
	}
}

// leftovers fails if something unfinished lies around.
func leftovers(t testing.TB, root string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, "tmp"))
	if err != nil || len(entries) > 0 {
		t.Errorf("unfinished files: %v, %v", entries, err)
	}
}

func TestDeleteLeavesNothing(t *testing.T) {
	root := t.TempDir()
	s := open(t, root, false)
	put(t, s, "a/b/c", "x")
	if _, err := s.Delete(t.Context(), &objectstore.DeleteRequest{Ref: objectstore.Ref{Bucket: bucket, Key: "a/b/c"}}); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Join(root, "buckets", bucket)); err != nil || len(entries) > 0 {
		t.Errorf("in the bucket: %v, %v", entries, err)
	}
}

func TestKeysThatAreOddAsFiles(t *testing.T) {
	root := t.TempDir()
	s := open(t, filepath.Join(root, "root"), false)
	keys := []string{"/", "//", "/a", "a/", "a//b", ".", "..", "../../x", "a/../b", "x,o", "x,d/y", "%2F", "a%", "con", "a\nb", `a\b`, "a", "a/b"}
	for _, key := range keys {
		put(t, s, key, key)
	}
	for _, key := range keys {
		if got := content(t, s, key); got != key {
			t.Errorf("%q holds %q", key, got)
		}
	}
	out, err := s.List(t.Context(), &objectstore.ListRequest{Bucket: bucket})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range out.Objects {
		got = append(got, o.Key)
	}
	if want := slices.Sorted(slices.Values(keys)); !slices.Equal(got, want) {
		t.Errorf("List:\n%q, want\n%q", got, want)
	}
	if entries, err := os.ReadDir(root); err != nil || len(entries) != 1 {
		t.Errorf("outside of the root: %v, %v", entries, err)
	}
}

func TestRefusals(t *testing.T) {
	s := open(t, t.TempDir(), false)
	for name, req := range map[string]*objectstore.PutRequest{
		"encryption": {Bucket: bucket, Key: "k", Encryption: "AES256"},
		"signed URL": {Bucket: bucket, Key: "k", SignedURL: "http://x/y"},
	} {
		if _, err := s.Put(t.Context(), req, strings.NewReader("x")); !errors.Is(err, objectstore.ErrNotSupported) {
			t.Errorf("%s: %v, want ErrNotSupported", name, err)
		}
	}
	if _, err := s.Put(t.Context(), &objectstore.PutRequest{Bucket: bucket, Key: "k", ACL: "everybody"}, strings.NewReader("x")); !errors.Is(err, objectstore.ErrInvalid) {
		t.Errorf("unknown rule: %v", err)
	}
}

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
	s := open(t, root, false)
	put(t, s, "k", "old")
	_, err := s.Put(t.Context(), &objectstore.PutRequest{Bucket: bucket, Key: "k"}, strings.NewReader(strings.Repeat("x", 2<<20)))
	if !errors.Is(err, objectstore.ErrFull) {
		t.Errorf("Put: %v, want ErrFull", err)
	}
	_, err = s.(objectstore.Appender).Append(t.Context(), &objectstore.AppendRequest{Bucket: bucket, Key: "a"}, strings.NewReader(strings.Repeat("x", 2<<20)))
	if !errors.Is(err, objectstore.ErrFull) {
		t.Errorf("Append: %v, want ErrFull", err)
	}
	if got := content(t, s, "k"); got != "old" {
		t.Errorf("content %q", got)
	}
	leftovers(t, root)
	put(t, s, "k", "new")
	if err := s.(components.Checker).Check(t.Context()); err != nil {
		t.Errorf("Check with room: %v", err)
	}
	if err := os.WriteFile(filepath.Join(root, "filler"), make([]byte, 2<<20), 0o600); err == nil {
		t.Fatal("the file system is not full")
	}
	if err := s.(components.Checker).Check(t.Context()); !errors.Is(err, objectstore.ErrFull) {
		t.Errorf("Check: %v, want ErrFull", err)
	}
	if err := os.Remove(filepath.Join(root, "filler")); err != nil {
		t.Fatal(err)
	}
	put(t, s, "k", "newer")
}

// TestKilledWhileWriting: a process that dies leaves the old content.
func TestKilledWhileWriting(t *testing.T) {
	if root := os.Getenv("OTTAVO_OBJECTS_CRASH"); root != "" {
		s := open(t, root, false)
		dying := io.MultiReader(strings.NewReader(strings.Repeat("n", 1<<20)), killer{})
		_, _ = s.Put(context.Background(), &objectstore.PutRequest{Bucket: bucket, Key: "k"}, dying)
		return
	}
	root := t.TempDir()
	s := open(t, root, false)
	put(t, s, "k", "old")
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWhileWriting$")
	cmd.Env = append(os.Environ(), "OTTAVO_OBJECTS_CRASH="+root)
	if err := cmd.Run(); err == nil {
		t.Fatal("the process did not die")
	}
	if got := content(t, s, "k"); got != "old" {
		t.Errorf("%d bytes after the crash", len(got))
	}
}

type killer struct{}

func (killer) Read([]byte) (int, error) {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// TestVersioningTurnedOff: versions that were kept stay.
func TestVersioningTurnedOff(t *testing.T) {
	root := t.TempDir()
	s := open(t, root, true)
	put(t, s, "k", "kept")
	_ = s.Close()
	s = open(t, root, false)
	put(t, s, "k", "null 1")
	put(t, s, "k", "null 2")
	out, err := s.(objectstore.Versioner).ListVersions(t.Context(), &objectstore.ListVersionsRequest{Bucket: bucket})
	if err != nil || len(out.Versions) != 2 || out.Versions[0].VersionID != "null" {
		t.Fatalf("%+v, %v", out, err)
	}
	if _, err := s.Delete(t.Context(), &objectstore.DeleteRequest{Ref: objectstore.Ref{Bucket: bucket, Key: "k"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Head(t.Context(), &objectstore.HeadRequest{Ref: objectstore.Ref{Bucket: bucket, Key: "k"}}); !errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("Head after Delete: %v", err)
	}
	if _, err := s.Head(t.Context(), &objectstore.HeadRequest{Ref: objectstore.Ref{Bucket: bucket, Key: "k", VersionID: out.Versions[1].VersionID}}); err != nil {
		t.Errorf("the version that was kept: %v", err)
	}
}

func FuzzKeys(f *testing.F) {
	for _, key := range []string{"a", "../a", "/", "a,o", "%41", "a//b/"} {
		f.Add(key)
	}
	base := f.TempDir()
	s := open(f, filepath.Join(base, "root"), false)
	f.Fuzz(func(t *testing.T, key string) {
		if _, err := s.Put(t.Context(), &objectstore.PutRequest{Bucket: bucket, Key: key}, strings.NewReader(key)); err != nil {
			return
		}
		if got := content(t, s, key); got != key {
			t.Errorf("%q holds %q", key, got)
		}
		out, err := s.List(t.Context(), &objectstore.ListRequest{Bucket: bucket, Prefix: key, MaxKeys: 1})
		if err != nil || len(out.Objects) != 1 || out.Objects[0].Key != key {
			t.Errorf("List of %q: %+v, %v", key, out, err)
		}
		if _, err := s.Delete(t.Context(), &objectstore.DeleteRequest{Ref: objectstore.Ref{Bucket: bucket, Key: key}}); err != nil {
			t.Errorf("Delete(%q): %v", key, err)
		}
		if entries, err := os.ReadDir(base); err != nil || len(entries) != 1 {
			t.Fatalf("something was written outside of the root: %v, %v", entries, err)
		}
	})
}
