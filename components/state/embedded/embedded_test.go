package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/statetest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(crashChildEnv); path != "" {
		crashChild(path)
	}
	goleak.VerifyTestMain(m)
}

var (
	_ state.BulkGetter   = (*Store)(nil)
	_ state.BulkWriter   = (*Store)(nil)
	_ state.Transactor   = (*Store)(nil)
	_ components.Checker = (*Store)(nil)
)

func openStore(tb testing.TB, path string, options bolt.Options) *Store {
	tb.Helper()
	s, err := open(tb.Context(), path, options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func tempStore(tb testing.TB) *Store {
	tb.Helper()
	return openStore(tb, filepath.Join(tb.TempDir(), "test.db"), bolt.Options{})
}

func set(tb testing.TB, s *Store, op state.Op) {
	tb.Helper()
	if err := s.Write(tb.Context(), op); err != nil {
		tb.Fatal(err)
	}
}

func get(tb testing.TB, s *Store, key string) *state.Item {
	tb.Helper()
	item, err := s.Get(tb.Context(), state.Get{Key: key})
	if err != nil {
		tb.Fatal(err)
	}
	return item
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "state", "embedded")
	statetest.Run(t, statetest.Options{
		New:      func(t *testing.T) state.Store { return tempStore(t) },
		FakeTime: true,
	})
}

func TestDataSurvivesReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s := openStore(t, path, bolt.Options{})
	set(t, s, state.Op{Key: "k", Value: []byte("one")})
	set(t, s, state.Op{Key: "k", Value: []byte("two")})
	set(t, s, state.Op{Key: "ttl", Value: []byte("v"), TTL: time.Hour})
	for range 5 {
		set(t, s, state.Op{Key: "gone"})
	}
	gone := get(t, s, "gone").ETag
	set(t, s, state.Op{Key: "gone", Delete: true})
	before, ttl := get(t, s, "k"), get(t, s, "ttl")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = openStore(t, path, bolt.Options{})
	after := get(t, s, "k")
	if after == nil || string(after.Value) != "two" || after.ETag != before.ETag {
		t.Fatalf("after reopening: %+v, want %+v", after, before)
	}
	if got := get(t, s, "ttl"); got == nil || !got.ExpiresAt.Equal(ttl.ExpiresAt) {
		t.Fatalf("after reopening: %+v, want %+v", got, ttl)
	}
	set(t, s, state.Op{Key: "gone"})
	if err := s.Write(t.Context(), state.Op{Key: "gone", ETag: gone, HasETag: true}); !errors.Is(err, state.ErrETagMismatch) {
		t.Fatalf("an etag from before the deletion: error %v, want a mismatch", err)
	}
}

// count returns how many keys the bucket has in the file.
func (s *Store) count(tb testing.TB, bucket []byte) (n int) {
	tb.Helper()
	err := s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucket).ForEach(func(k, v []byte) error { n++; return nil })
	})
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func TestExpiredItemsLeaveTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "test.db")
		s := openStore(t, path, bolt.Options{})
		ops := []state.Op{{Key: "stays"}}
		for i := range 3 * sweepOps {
			ops = append(ops, state.Op{Key: fmt.Sprint(i), TTL: time.Hour})
		}
		for _, err := range s.BulkWrite(t.Context(), ops) {
			if err != nil {
				t.Fatal(err)
			}
		}
		for range 100 { // rewriting leaves no index entries behind
			set(t, s, state.Op{Key: "0", TTL: time.Hour})
			time.Sleep(time.Nanosecond)
		}
		if n := s.count(t, bucketExpiry); n != 3*sweepOps {
			t.Fatalf("%d entries in the expiry index, want %d", n, 3*sweepOps)
		}
		// A store that is opened later goes on with it.
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * time.Minute)
		s = openStore(t, path, bolt.Options{})
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if items, index := s.count(t, bucketItems), s.count(t, bucketExpiry); items != 1 || index != 0 {
			t.Fatalf("%d items and %d index entries, want 1 and 0", items, index)
		}
	})
}

func TestReadersDoNotWaitForWriters(t *testing.T) {
	s := tempStore(t)
	set(t, s, state.Op{Key: "k", Value: []byte("old")})
	tx, err := s.db.Begin(true) // a commit that takes its time
	if err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() { written <- s.Write(t.Context(), state.Op{Key: "k", Value: []byte("new")}) }()
	for range 100 {
		if item := get(t, s, "k"); string(item.Value) != "old" {
			t.Fatalf("read %q before it was committed", item.Value)
		}
	}
	if _, err := s.BulkGet(t.Context(), []state.Get{{Key: "k"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if item := get(t, s, "k"); string(item.Value) != "new" {
		t.Fatalf("read %q after the write", item.Value)
	}
}

func TestCallersWhoGaveUpChangeNothing(t *testing.T) {
	s := tempStore(t)
	tx, err := s.db.Begin(true) // the writer is held up
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	const callers = 2 * queueSize // more than the queue holds
	errs := make(chan error, callers)
	counted := &countingContext{Context: ctx}
	for i := range callers {
		go func() { errs <- s.Write(counted, state.Op{Key: fmt.Sprint(i), Value: []byte("v")}) }()
	}
	counted.await(callers + queueSize)
	cancel()
	for range callers {
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v, want context.Canceled", err)
		}
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	set(t, s, state.Op{Key: "last"})
	if n := s.count(t, bucketItems); n != 1 {
		t.Fatalf("%d items were written by callers who gave up", n-1)
	}
}

func TestManyWritersShareCommits(t *testing.T) {
	s := tempStore(t)
	tx, err := s.db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	before := txID(t, s)
	const writers = queueSize / 2
	ctx := &countingContext{Context: t.Context()}
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			if err := s.Write(ctx, state.Op{Key: fmt.Sprint(i), Value: []byte("v")}); err != nil {
				t.Error(err)
			}
		})
	}
	ctx.await(2 * writers) // all are in the queue or with the writer, who waits
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if commits := txID(t, s) - before; commits > 2 {
		t.Fatalf("%d commits for %d writers that waited together, want at most 2", commits, writers)
	}
}

// countingContext counts the calls of Done: submit calls it once before a
// request is in the queue, and once when it is.
type countingContext struct {
	context.Context
	calls atomic.Int64
}

func (c *countingContext) Done() <-chan struct{} {
	c.calls.Add(1)
	return c.Context.Done()
}

func (c *countingContext) await(n int64) {
	for c.calls.Load() < n {
		runtime.Gosched()
	}
}

// txID returns bbolt's number of the last commit.
func txID(tb testing.TB, s *Store) (id int) {
	tb.Helper()
	if err := s.db.View(func(tx *bolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		tb.Fatal(err)
	}
	return id
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	held := filepath.Join(dir, "held.db")
	openStore(t, held, bolt.Options{})
	notOurs := filepath.Join(dir, "text.db")
	if err := os.WriteFile(notOurs, bytes.Repeat([]byte("no database\n"), 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	future := filepath.Join(dir, "future.db")
	db, err := bolt.Open(future, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket(bucketMeta)
		if err != nil {
			return err
		}
		return b.Put(keyFormat, []byte{9})
	})
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	forbidden := filepath.Join(dir, "forbidden")
	if err := os.Mkdir(forbidden, 0o500); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, path string
		want       []string
	}{
		{"held", held, []string{"held by another process", "`path`"}},
		{"folder is a file", filepath.Join(notOurs, "x.db"), []string{"folder", "not a directory"}},
		{"path is a folder", dir, []string{"is a directory"}},
		{"not ours", notOurs, []string{"not a state file or is damaged", "move it away"}},
		{"newer layout", future, []string{"version [9]", "knows version 1"}},
		{"no permission", filepath.Join(forbidden, "x.db"), []string{"permission denied", "read and write"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "no permission" && os.Getuid() == 0 {
				t.Skip("SKIP: root may write everywhere")
			}
			start := time.Now()
			s, err := open(t.Context(), tt.path, bolt.Options{})
			if err == nil {
				t.Fatal(errors.Join(errors.New("no error"), s.Close()))
			}
			for _, want := range append(tt.want, tt.path) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if d := time.Since(start); d > 30*time.Second {
				t.Errorf("it took %s", d)
			}
		})
	}
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("SKIP: cannot mount a small file system (needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	fullDisk(t, openStore(t, filepath.Join(dir, "test.db"), bolt.Options{}), "no space left")
}

func TestFullFile(t *testing.T) {
	fullDisk(t, openStore(t, filepath.Join(t.TempDir(), "test.db"), bolt.Options{MaxSize: 17 << 20, InitialMmapSize: 1}), "maximum size")
}

// fullDisk fills s until it says text, and checks that what it had acknowledged
// is there, that reading still works, and that writing does once there is room.
func fullDisk(t *testing.T, s *Store, text string) {
	t.Helper()
	value := bytes.Repeat([]byte("x"), 64<<10)
	n := 0
	for ; ; n++ {
		err := s.Write(t.Context(), state.Op{Key: fmt.Sprint(n), Value: value})
		if err == nil && n < 1000 {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), s.path) {
			t.Fatalf("after %d writes: error %v, want %q and the file's name", n, err, text)
		}
		break
	}
	if err := s.Check(t.Context()); err != nil && !strings.Contains(err.Error(), text) {
		t.Errorf("Check: %v", err)
	}
	for i := range n {
		if item := get(t, s, fmt.Sprint(i)); item == nil || !bytes.Equal(item.Value, value) {
			t.Fatalf("acknowledged item %d of %d is not there", i, n)
		}
	}
	if get(t, s, fmt.Sprint(n)) != nil {
		t.Fatal("a write that failed left its item")
	}
	// Deleting makes room inside the file. It needs a little room itself, so
	// some of it may fail.
	deleted := 0
	for i := range n / 2 {
		if s.Write(t.Context(), state.Op{Key: fmt.Sprint(i), Delete: true}) == nil {
			deleted++
		}
	}
	t.Logf("%d writes until the disk was full, then %d of %d deletions", n, deleted, n/2)
	set(t, s, state.Op{Key: "again", Value: []byte("works")})
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestCheck(t *testing.T) {
	s := tempStore(t)
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.w.failed.Store(true) // as after a failed commit: Check tries one
	if err := s.Check(t.Context()); err != nil || s.w.failed.Load() {
		t.Fatalf("Check: %v, still failed: %t", err, s.w.failed.Load())
	}
	if err := os.Rename(s.path, s.path+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), s.path) {
		t.Fatalf("Check of a file that was taken away: %v", err)
	}
	if err := os.WriteFile(s.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "another file") {
		t.Fatalf("Check of a file that was replaced: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.path+".moved", s.path); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); !errors.Is(err, state.ErrClosed) {
		t.Fatalf("Check after Close: %v", err)
	}
}

func TestLongKeysAreRefused(t *testing.T) {
	s := tempStore(t)
	set(t, s, state.Op{Key: strings.Repeat("k", maxKey), TTL: time.Hour})
	for _, key := range []string{strings.Repeat("k", maxKey+1)} {
		if err := s.Write(t.Context(), state.Op{Key: key}); !errors.Is(err, state.ErrInvalid) {
			t.Errorf("key of %d bytes: %v", len(key), err)
		}
		if get(t, s, key) != nil {
			t.Errorf("key of %d bytes exists", len(key))
		}
	}
}

func TestFileStaysInItsFolder(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"orders", "../../etc/passwd", "..", ".", "", "a/b", "a%2fb", "a\x00b", "日本", "A.b-c_d", ".hidden", "/abs"} {
		dir := t.TempDir()
		s, err := New(t.Context(), components.Env{DataDir: dir}, components.Config{Name: name, Type: Type})
		if err != nil {
			t.Fatalf("name %q: %v", name, err)
		}
		path := s.(*Store).path
		if filepath.Dir(path) != filepath.Join(dir, "state") {
			t.Errorf("name %q leads to %s", name, path)
		}
		if other, dup := seen[filepath.Base(path)]; dup {
			t.Errorf("names %q and %q share %s", name, other, path)
		}
		seen[filepath.Base(path)] = name
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "down", "x.db")
	s, err := New(t.Context(), components.Env{}, components.Config{Name: "x", Metadata: map[string]any{"path": path}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v: want a file that only its owner can read", info, err)
	}
	_, err = New(t.Context(), components.Env{}, components.Config{Name: "x", Path: "runtime.state.x"})
	if err == nil || !strings.Contains(err.Error(), "runtime.state.x.metadata.path") {
		t.Fatalf("without a folder: %v", err)
	}
}

func BenchmarkGet(b *testing.B) {
	s := tempStore(b)
	value := make([]byte, 1024)
	set(b, s, state.Op{Key: "app||key", Value: value})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Get(b.Context(), state.Get{Key: "app||key"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSet(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := tempStore(b)
			value := make([]byte, 1024)
			b.ReportAllocs()
			b.SetParallelism(max(1, writers/2))
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if err := s.Write(b.Context(), state.Op{Key: fmt.Sprintf("key-%d", i%1000), Value: value}); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
