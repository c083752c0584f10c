package filetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components/file"
	"github.com/ottavo-runtime/ottavo/components/internal/readtest"
)

func testPutGetDelete(s *suite) {
	name := s.name("a.txt")
	s.wantGone(name)
	s.put(name, []byte("hello"))
	if got := s.get(name); string(got) != "hello" {
		s.Errorf("Get: %q", got)
	}
	if err := s.store.Delete(s.ctx, name, nil); err != nil {
		s.Fatal(err)
	}
	s.wantGone(name)
}

func testContents(s *suite) {
	random := func(n int) []byte {
		b := make([]byte, n)
		r := rand.New(rand.NewPCG(1, uint64(n)))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	for i, content := range [][]byte{{}, {0}, []byte("\r\n--x\r\n"), random(4096), random(102400), random(102401)} {
		name := s.name(fmt.Sprint(i))
		s.put(name, content)
		if got := s.get(name); !bytes.Equal(got, content) {
			s.Errorf("content %d: %d bytes came back as %d bytes, or others", i, len(content), len(got))
		}
	}
	// One that no store wants to hold in memory: its size is not told beforehand.
	name, want, got := s.name("big"), sha256.New(), sha256.New()
	r := io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{}), s.opts.BigSize), want)
	if err := s.store.Put(s.ctx, name, s.metadata(s.opts.BigSize), struct{ io.Reader }{r}); err != nil {
		s.Fatalf("Put of %d bytes: %v", s.opts.BigSize, err)
	}
	f, err := s.store.Get(s.ctx, name, nil)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if n, err := io.Copy(got, f); err != nil || n != s.opts.BigSize {
		s.Fatalf("reading the big file: %d bytes, %v", n, err)
	}
	if !bytes.Equal(want.Sum(nil), got.Sum(nil)) {
		s.Error("the big file came back with another content")
	}
}

func testNames(s *suite) {
	for _, of := range []string{"a b", "ä/ö/ü", "x+y=z&w", "100%", "#?;,@:", "a/b/c/d/e.tar.gz", "文件", "...", ".hidden", `quote"s'`} {
		name := s.name(of)
		s.put(name, []byte(of))
		if got := s.get(name); string(got) != of {
			s.Errorf("%q holds %q", name, got)
		}
		if err := s.store.Delete(s.ctx, name, nil); err != nil {
			s.Errorf("Delete(%q): %v", name, err)
		}
	}
}

func testInvalidNames(s *suite) {
	for _, name := range []string{"", s.full("a\x00b"), s.full(strings.Repeat("x", 2000))} {
		r := &countingReader{}
		if err := s.store.Put(s.ctx, name, nil, r); !errors.Is(err, file.ErrInvalid) {
			s.Errorf("Put(%q): %v, want ErrInvalid", name, err)
		}
		if r.n > 0 {
			s.Errorf("Put(%q) has read the content first", name)
		}
		if _, err := s.store.Get(s.ctx, name, nil); !errors.Is(err, file.ErrInvalid) {
			s.Errorf("Get(%q): %v, want ErrInvalid", name, err)
		}
		if _, err := s.store.Stat(s.ctx, name, nil); !errors.Is(err, file.ErrInvalid) {
			s.Errorf("Stat(%q): %v, want ErrInvalid", name, err)
		}
		if err := s.store.Delete(s.ctx, name, nil); !errors.Is(err, file.ErrInvalid) {
			s.Errorf("Delete(%q): %v, want ErrInvalid", name, err)
		}
	}
	if _, err := s.store.List(s.ctx, s.name(""), nil, file.Page{Size: -1}); !errors.Is(err, file.ErrInvalid) {
		s.Errorf("List with a negative page size: %v, want ErrInvalid", err)
	}
}

type countingReader struct{ n int }

func (r *countingReader) Read([]byte) (int, error) { r.n++; return 0, io.EOF }

func testMissing(s *suite) {
	name := s.name("no/such/file")
	s.wantGone(name)
	err := s.store.Delete(s.ctx, name, nil)
	if s.opts.DeletesSilently && err == nil {
		return
	}
	if !errors.Is(err, file.ErrNotFound) {
		s.Errorf("Delete: %v, want ErrNotFound", err)
	}
}

func testReplace(s *suite) {
	name := s.name("f")
	s.put(name, bytes.Repeat([]byte("long"), 1000))
	s.put(name, []byte("short"))
	if got := s.get(name); string(got) != "short" {
		s.Errorf("after replacing: %d bytes", len(got))
	}
}

func testStat(s *suite) {
	name := s.name("f")
	before := time.Now().Add(-5 * time.Second)
	s.put(name, []byte("12345"))
	info, err := s.store.Stat(s.ctx, name, nil)
	if err != nil {
		s.Fatal(err)
	}
	if info.Name != name || info.Size != 5 {
		s.Errorf("Stat: %+v", info)
	}
	if info.LastModified.Before(before) || info.LastModified.After(time.Now().Add(5*time.Second)) {
		s.Errorf("LastModified %v is not now", info.LastModified)
	}
}

func testList(s *suite) {
	// Each of them stands elsewhere when folders are sorted apart.
	want := []string{"d-x", "d/1", "d/2/deep", "d0", "é"}
	for _, of := range want {
		s.put(s.name(of), []byte(of))
	}
	s.put(s.full(s.folder+"-not-in-it"), nil)
	for i := range want {
		want[i] = s.folder + "/" + want[i]
	}
	if got := s.list(s.name(""), 0); !slices.Equal(got, want) {
		s.Errorf("List:\n%q, want\n%q", got, want)
	}
	l, err := s.store.List(s.ctx, s.name("d/"), nil, file.Page{})
	if err != nil {
		s.Fatal(err)
	}
	if len(l.Files) != 2 || l.Truncated || l.Files[0].Size != 3 || l.Files[0].LastModified.IsZero() {
		s.Errorf("List of d: %+v", l)
	}
	// What a list names can be opened.
	if got := s.get(s.full(l.Files[1].Name)); string(got) != "d/2/deep" {
		s.Errorf("%q holds %q", l.Files[1].Name, got)
	}
}

func testListPages(s *suite) {
	var want []string
	for i := range 7 {
		for _, sep := range []string{"-", "/", "0"} {
			of := fmt.Sprintf("f%d%sx", i, sep)
			s.put(s.name(of), []byte(of))
			want = append(want, s.folder+"/"+of)
		}
	}
	for _, size := range []int{1, 2, 5, 20, 21, 100} {
		if got := s.list(s.name(""), size); !slices.Equal(got, want) {
			s.Errorf("pages of %d:\n%q, want\n%q", size, got, want)
		}
	}
}

func testListEmpty(s *suite) {
	l, err := s.store.List(s.ctx, s.name("nothing/here/"), nil, file.Page{})
	if err != nil || len(l.Files) != 0 || l.Truncated {
		s.Errorf("List of a folder that is not there: %+v, %v", l, err)
	}
}

func testFailingReader(s *suite) {
	broken := errors.New("the client went away")
	for _, size := range []int{0, 10, 200 << 10, int(s.opts.BigSize)} {
		name := s.name(fmt.Sprint("f", size))
		if err := s.store.Put(s.ctx, name, s.metadata(-1), readtest.Failing(size, broken)); !errors.Is(err, broken) {
			s.Errorf("Put that breaks after %d bytes: %v, want the reader's error", size, err)
		}
		s.wantGone(name)
		s.put(name, []byte("old"))
		if err := s.store.Put(s.ctx, name, s.metadata(-1), readtest.Failing(size, broken)); !errors.Is(err, broken) {
			s.Errorf("Put over another that breaks after %d bytes: %v, want the reader's error", size, err)
		}
		if got := s.get(name); string(got) != "old" {
			s.Errorf("a put that broke after %d bytes left %d bytes", size, len(got))
		}
	}
	if names := s.list(s.name(""), 0); len(names) != 4 {
		s.Errorf("failed puts left something: %q", names)
	}
}

func testCancelledPut(s *suite) {
	name := s.name("f")
	s.put(name, []byte("old"))
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	err := s.store.Put(ctx, name, s.metadata(-1), readtest.Cancelling(300<<10, cancel))
	if !errors.Is(err, context.Canceled) {
		s.Errorf("Put: %v, want context.Canceled", err)
	}
	if got := s.get(name); string(got) != "old" {
		s.Errorf("a cancelled put left %d bytes", len(got))
	}
	if names := s.list(s.name(""), 0); len(names) != 1 {
		s.Errorf("a cancelled put left something: %q", names)
	}
}

func testCancelledContext(s *suite) {
	name := s.name("f")
	s.put(name, bytes.Repeat([]byte("x"), 1<<20))
	ctx, cancel := context.WithCancel(s.ctx)
	r, err := s.store.Get(ctx, name, nil)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	cancel()
	if _, err := io.Copy(io.Discard, r); err == nil {
		// What had arrived may be read; then it must be all of it, which it can
		// only be in a store that buffers a megabyte.
		s.Error("reading goes on after the context has ended")
	}
	if err := s.store.Put(ctx, name, s.metadata(1), strings.NewReader("y")); !errors.Is(err, context.Canceled) {
		s.Errorf("Put: %v, want context.Canceled", err)
	}
	if _, err := s.store.Get(ctx, name, nil); !errors.Is(err, context.Canceled) {
		s.Errorf("Get: %v, want context.Canceled", err)
	}
	if _, err := s.store.Stat(ctx, name, nil); !errors.Is(err, context.Canceled) {
		s.Errorf("Stat: %v, want context.Canceled", err)
	}
	if _, err := s.store.List(ctx, s.name(""), nil, file.Page{}); !errors.Is(err, context.Canceled) {
		s.Errorf("List: %v, want context.Canceled", err)
	}
	if err := s.store.Delete(ctx, name, nil); !errors.Is(err, context.Canceled) {
		s.Errorf("Delete: %v, want context.Canceled", err)
	}
}

// testSlowReader: a file is one content, although it is replaced while it is read.
func testSlowReader(s *suite) {
	name := s.name("f")
	old := bytes.Repeat([]byte("o"), 3<<20)
	s.put(name, old)
	r, err := s.store.Get(s.ctx, name, nil)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	first := make([]byte, 10)
	if _, err := io.ReadFull(r, first); err != nil {
		s.Fatal(err)
	}
	s.put(name, bytes.Repeat([]byte("n"), 3<<20))
	rest, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(append(first, rest...), old) {
		s.Error("a file that was replaced while it was read came as a mixture")
	}
}

func testConcurrentPuts(s *suite) {
	name := s.name("f")
	s.put(name, bytes.Repeat([]byte{0}, 1))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 5 {
				content := bytes.Repeat([]byte{byte(i + 1)}, 100_000*(i+1))
				if err := s.store.Put(s.ctx, name, s.metadata(int64(len(content))), bytes.NewReader(content)); err != nil {
					s.Errorf("Put: %v", err)
				}
			}
		})
		wg.Go(func() {
			for range 10 {
				r, err := s.store.Get(s.ctx, name, nil)
				if err != nil {
					s.Errorf("Get: %v", err)
					return
				}
				data, err := io.ReadAll(r)
				_ = r.Close()
				if err != nil || len(data) == 0 {
					s.Errorf("reading: %d bytes, %v", len(data), err)
					return
				}
				if b := data[0]; b > 0 && len(data) != 100_000*int(b) || bytes.Count(data, data[:1]) != len(data) {
					s.Errorf("a mixture of two puts: %d bytes, the first is %d", len(data), b)
				}
			}
		})
	}
	wg.Wait()
}

func testClosed(s *suite) {
	name := s.name("f")
	s.put(name, []byte("x"))
	for range 2 {
		if err := s.store.Close(); err != nil {
			s.Fatal(err)
		}
	}
	if err := s.store.Put(s.ctx, name, s.metadata(1), strings.NewReader("y")); !errors.Is(err, file.ErrClosed) {
		s.Errorf("Put: %v, want ErrClosed", err)
	}
	if _, err := s.store.Get(s.ctx, name, nil); !errors.Is(err, file.ErrClosed) {
		s.Errorf("Get: %v, want ErrClosed", err)
	}
	if _, err := s.store.Stat(s.ctx, name, nil); !errors.Is(err, file.ErrClosed) {
		s.Errorf("Stat: %v, want ErrClosed", err)
	}
	if _, err := s.store.List(s.ctx, s.name(""), nil, file.Page{}); !errors.Is(err, file.ErrClosed) {
		s.Errorf("List: %v, want ErrClosed", err)
	}
	if err := s.store.Delete(s.ctx, name, nil); !errors.Is(err, file.ErrClosed) {
		s.Errorf("Delete: %v, want ErrClosed", err)
	}
}
