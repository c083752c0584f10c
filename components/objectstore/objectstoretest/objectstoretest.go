package objectstoretest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components/objectstore"
)

// Options say what to test.
type Options struct {
	// New makes a store. It is called once per test; stores may share their
	// data, since every test uses keys of its own. The suite closes the store.
	New func(t *testing.T) objectstore.Store
	// Bucket is there already.
	Bucket string
	// Versioned says that the bucket keeps versions.
	Versioned bool
	// MinPart is the smallest size of a part that is not the last, in bytes; 0 is 1.
	MinPart int
	// BigSize is the size in bytes of the big object; 0 is 12 MiB.
	BigSize int64
	// Lacks says what the server that is tested against lacks although the backend
	// has it, and why: "versions", "conditions", "cache control", "content type", "pages with a
	// delimiter", "pages of parts", or one of the abilities by the name it has in need.
	Lacks map[string]string
}

// Run tests the store that o makes.
func Run(t *testing.T, o Options) {
	t.Helper()
	if o.BigSize == 0 {
		o.BigSize = 12 << 20
	}
	o.MinPart = max(o.MinPart, 1)
	tests := []struct {
		name string
		fn   func(*suite)
	}{
		{"PutGetDelete", testPutGetDelete},
		{"Contents", testContents},
		{"Keys", testKeys},
		{"Invalid", testInvalid},
		{"Missing", testMissing},
		{"Fields", testFields},
		{"Ranges", testRanges},
		{"Conditions", testConditions},
		{"ContentLength", testContentLength},
		{"FailingReader", testFailingReader},
		{"CancelledPut", testCancelledPut},
		{"CancelledContext", testCancelledContext},
		{"ConcurrentPuts", testConcurrentPuts},
		{"Copy", testCopy},
		{"DeleteMany", testDeleteMany},
		{"List", testList},
		{"ListPages", testListPages},
		{"Tags", testTags},
		{"Rules", testRules},
		{"Upload", testUpload},
		{"UploadErrors", testUploadErrors},
		{"UploadLists", testUploadLists},
		{"CopyPart", testCopyPart},
		{"Versions", testVersions},
		{"Append", testAppend},
		{"SignURL", testSignURL},
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
	store  objectstore.Store
	opts   Options
	prefix string
}

func newSuite(t *testing.T, o Options) *suite {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTime)
	t.Cleanup(cancel)
	s := &suite{T: t, ctx: ctx, store: o.New(t), opts: o, prefix: rand.Text() + "/"}
	t.Cleanup(func() {
		if err := s.store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// need returns the store as an ability, or skips the test.
func need[T any](s *suite, what string) T {
	s.Helper()
	a, ok := s.store.(T)
	if !ok {
		s.Skipf("SKIP: the store does not declare %s", what)
	}
	s.lacks(what)
	return a
}

// lacks skips the test when the server lacks what it is about.
func (s *suite) lacks(what string) {
	s.Helper()
	if why := s.opts.Lacks[what]; why != "" {
		s.Skipf("SKIP: %s: %s", what, why)
	}
}

func (s *suite) ref(of string) objectstore.Ref {
	return objectstore.Ref{Bucket: s.opts.Bucket, Key: s.prefix + of}
}

func (s *suite) put(of string, content []byte) *objectstore.PutResult {
	s.Helper()
	r := s.ref(of)
	out, err := s.store.Put(s.ctx, &objectstore.PutRequest{Bucket: r.Bucket, Key: r.Key}, bytes.NewReader(content))
	if err != nil {
		s.Fatalf("Put(%q): %v", r.Key, err)
	}
	return out
}

func (s *suite) get(req *objectstore.GetRequest) ([]byte, *objectstore.GetResult) {
	s.Helper()
	out, err := s.store.Get(s.ctx, req)
	if err != nil {
		s.Fatalf("Get(%+v): %v", req.Ref, err)
	}
	data, err := io.ReadAll(out.Body)
	if cerr := out.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		s.Fatalf("reading %+v: %v", req.Ref, err)
	}
	return data, out
}

func (s *suite) content(of string) string {
	s.Helper()
	data, _ := s.get(&objectstore.GetRequest{Ref: s.ref(of)})
	return string(data)
}

// wantGone fails unless there is no such object.
func (s *suite) wantGone(ref objectstore.Ref) {
	s.Helper()
	if out, err := s.store.Get(s.ctx, &objectstore.GetRequest{Ref: ref}); !errors.Is(err, objectstore.ErrNotFound) {
		if err == nil {
			_ = out.Body.Close()
		}
		s.Errorf("Get(%+v): %v, want ErrNotFound", ref, err)
	}
	if _, err := s.store.Head(s.ctx, &objectstore.HeadRequest{Ref: ref}); !errors.Is(err, objectstore.ErrNotFound) {
		s.Errorf("Head(%+v): %v, want ErrNotFound", ref, err)
	}
}

func (s *suite) wantErr(what string, err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Errorf("%s: %v, want %q", what, err, want)
	}
}

// keys returns the keys below the test's prefix, without it.
func (s *suite) keys() []string {
	s.Helper()
	out, err := s.store.List(s.ctx, &objectstore.ListRequest{Bucket: s.opts.Bucket, Prefix: s.prefix})
	if err != nil {
		s.Fatalf("List: %v", err)
	}
	var keys []string
	for _, o := range out.Objects {
		keys = append(keys, o.Key[len(s.prefix):])
	}
	return keys
}
