package statetest

import (
	"github.com/ottavo-runtime/ottavo/components/state"
)

func testETag(s *suite) {
	k := s.key("k")
	s.wantErr(state.Op{Key: k, Value: []byte("v"), ETag: s.opts.ForeignETag, HasETag: true}, state.ErrETagMismatch)
	s.wantErr(state.Op{Key: k, Delete: true, ETag: s.opts.ForeignETag, HasETag: true}, state.ErrETagMismatch)
	s.wantMissing(k)

	s.set(k, "one")
	first := s.want(k, "one").ETag
	if again := s.want(k, "one").ETag; again != first {
		s.Fatalf("reading changed the etag from %q to %q", first, again)
	}
	s.wantErr(state.Op{Key: k, Value: []byte("v"), ETag: s.opts.ForeignETag, HasETag: true}, state.ErrETagMismatch)
	s.write(state.Op{Key: k, Value: []byte("two"), ETag: first, HasETag: true})
	second := s.want(k, "two").ETag
	if second == first {
		s.Fatalf("a write left the etag at %q", first)
	}
	s.wantErr(state.Op{Key: k, Value: []byte("v"), ETag: first, HasETag: true}, state.ErrETagMismatch)
	s.wantErr(state.Op{Key: k, Delete: true, ETag: first, HasETag: true}, state.ErrETagMismatch)
	s.want(k, "two")
	s.write(state.Op{Key: k, Delete: true, ETag: second, HasETag: true})
	s.wantMissing(k)

	for _, bad := range []string{"", "not an etag of any store", "-1"} {
		s.set(k, "v")
		s.wantErr(state.Op{Key: k, Value: []byte("w"), ETag: bad, HasETag: true}, state.ErrETagInvalid)
		s.wantErr(state.Op{Key: k, Delete: true, ETag: bad, HasETag: true}, state.ErrETagInvalid)
		s.want(k, "v")
	}
}

func testETagChanges(s *suite) {
	k := s.key("k")
	seen := map[string]bool{}
	for i := range 20 {
		s.set(k, "same value")
		etag := s.want(k, "same value").ETag
		if seen[etag] {
			s.Fatalf("write %d got the etag %q again", i, etag)
		}
		seen[etag] = true
	}
}

func testFirstWrite(s *suite) {
	first := state.Options{Concurrency: state.FirstWrite}
	k := s.key("k")
	s.write(state.Op{Key: k, Value: []byte("one"), Options: first})
	etag := s.want(k, "one").ETag
	s.wantErr(state.Op{Key: k, Value: []byte("two"), Options: first}, state.ErrETagMismatch)
	s.wantErr(state.Op{Key: k, Value: []byte("two"), Options: first, ETag: s.opts.ForeignETag, HasETag: true}, state.ErrETagMismatch)
	s.want(k, "one")
	s.write(state.Op{Key: k, Value: []byte("two"), Options: first, ETag: etag, HasETag: true})
	s.want(k, "two")
	s.write(state.Op{Key: k, Delete: true, Options: first})
	s.wantMissing(k)
	s.write(state.Op{Key: k, Value: []byte("three"), Options: first})
	s.want(k, "three")

	plain := s.key("plain") // made without first-write, still protected from one
	s.set(plain, "one")
	s.wantErr(state.Op{Key: plain, Value: []byte("two"), Options: first}, state.ErrETagMismatch)
	s.want(plain, "one")
	s.set(k, "a plain write after a first-write succeeds")
}

func testLastWrite(s *suite) {
	last := state.Options{Concurrency: state.LastWrite}
	k := s.key("k")
	s.write(state.Op{Key: k, Value: []byte("one"), Options: last})
	s.write(state.Op{Key: k, Value: []byte("two"), Options: last})
	s.want(k, "two")
	s.wantErr(state.Op{Key: k, Value: []byte("three"), Options: last, ETag: s.opts.ForeignETag, HasETag: true}, state.ErrETagMismatch)
	s.want(k, "two")
	s.write(state.Op{Key: k, Value: []byte("first"), Delete: true, Options: last})
	s.write(state.Op{Key: k, Value: []byte("four"), Options: state.Options{Concurrency: state.FirstWrite}})
	s.write(state.Op{Key: k, Value: []byte("five"), Options: last})
	s.want(k, "five")
}
