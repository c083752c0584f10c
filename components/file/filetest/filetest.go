package filetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components/file"
)

// Options say what to test.
type Options struct {
	// New makes a store. It is called once per test; stores may share their
	// data, since every test uses names of its own. The suite closes the store.
	New func(t *testing.T) file.Store
	// Bucket is what names begin with, in a store with buckets; "" elsewhere.
	Bucket string
	// BigSize is the size in bytes of the big file; 0 is 12 MiB.
	BigSize int64
	// DeletesSilently says that the backend cannot tell whether there was
	// anything to delete.
	DeletesSilently bool
	// Metadata goes with every put; for backends that need some. size is that
	// of the content, -1 when the test does not know it.
	Metadata func(size int64) map[string]string
}

// Run tests the store that o makes.
func Run(t *testing.T, o Options) {
	t.Helper()
	if o.BigSize == 0 {
		o.BigSize = 12 << 20
	}
	tests := []struct {
		name string
		fn   func(*suite)
	}{
		{"PutGetDelete", testPutGetDelete},
		{"Contents", testContents},
		{"Names", testNames},
		{"InvalidNames", testInvalidNames},
		{"Missing", testMissing},
		{"Replace", testReplace},
		{"Stat", testStat},
		{"List", testList},
		{"ListPages", testListPages},
		{"ListEmpty", testListEmpty},
		{"FailingReader", testFailingReader},
		{"CancelledPut", testCancelledPut},
		{"CancelledContext", testCancelledContext},
		{"SlowReader", testSlowReader},
		{"ConcurrentPuts", testConcurrentPuts},
		{"Closed", testClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.fn(newSuite(t, o)) })
	}
}

// testTime bounds one test.
const testTime = 4 * time.Minute

// suite is one test's surroundings. Its helpers end the test when something goes
// wrong that must not.
type suite struct {
	*testing.T
	ctx    context.Context
	store  file.Store
	opts   Options
	folder string // of this test, without the bucket
}

func newSuite(t *testing.T, o Options) *suite {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTime)
	t.Cleanup(cancel)
	s := &suite{T: t, ctx: ctx, store: o.New(t), opts: o, folder: rand.Text()}
	t.Cleanup(func() {
		if err := s.store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// name returns a name that only this test uses.
func (s *suite) name(of string) string { return s.full(s.folder + "/" + of) }

// full puts the bucket before a name as lists have it.
func (s *suite) full(name string) string {
	if s.opts.Bucket == "" {
		return name
	}
	return s.opts.Bucket + "/" + name
}

func (s *suite) metadata(size int64) map[string]string {
	if s.opts.Metadata == nil {
		return nil
	}
	return s.opts.Metadata(size)
}

func (s *suite) put(name string, content []byte) {
	s.Helper()
	if err := s.store.Put(s.ctx, name, s.metadata(int64(len(content))), bytes.NewReader(content)); err != nil {
		s.Fatalf("Put(%q): %v", name, err)
	}
}

func (s *suite) get(name string) []byte {
	s.Helper()
	r, err := s.store.Get(s.ctx, name, nil)
	if err != nil {
		s.Fatalf("Get(%q): %v", name, err)
	}
	data, err := io.ReadAll(r)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		s.Fatalf("reading %q: %v", name, err)
	}
	return data
}

// wantGone fails unless there is no such file.
func (s *suite) wantGone(name string) {
	s.Helper()
	if r, err := s.store.Get(s.ctx, name, nil); !errors.Is(err, file.ErrNotFound) {
		if err == nil {
			_ = r.Close()
		}
		s.Errorf("Get(%q): %v, want ErrNotFound", name, err)
	}
	if _, err := s.store.Stat(s.ctx, name, nil); !errors.Is(err, file.ErrNotFound) {
		s.Errorf("Stat(%q): %v, want ErrNotFound", name, err)
	}
}

// list returns the names in a folder, of all pages of the given size.
func (s *suite) list(folder string, size int) []string {
	s.Helper()
	var names []string
	page := file.Page{Size: size}
	for range 1000 {
		l, err := s.store.List(s.ctx, folder, nil, page)
		if err != nil {
			s.Fatalf("List(%q): %v", folder, err)
		}
		if size > 0 && len(l.Files) > size {
			s.Fatalf("List(%q) returned %d files, asked for %d at most", folder, len(l.Files), size)
		}
		for _, f := range l.Files {
			names = append(names, f.Name)
		}
		if !l.Truncated {
			return names
		}
		if l.Marker == "" || l.Marker == page.Marker {
			s.Fatalf("List(%q): there is more, but the marker %q does not lead on", folder, l.Marker)
		}
		page.Marker = l.Marker
	}
	s.Fatalf("List(%q) does not end", folder)
	return nil
}
