package statetest

import (
	"errors"
	"time"

	"github.com/ottavo-runtime/ottavo/components/state"
)

func (s *suite) transactor() state.Transactor {
	s.Helper()
	return s.store.(state.Transactor)
}

func (s *suite) transact(ops ...state.Op) {
	s.Helper()
	if err := s.transactor().Transact(s.ctx, ops); err != nil {
		s.Fatalf("Transact: %v", err)
	}
}

func (s *suite) transactErr(want error, ops ...state.Op) {
	s.Helper()
	if err := s.transactor().Transact(s.ctx, ops); !errors.Is(err, want) {
		s.Fatalf("Transact: error %v, want %v", err, want)
	}
}

// The keys of one transaction carry a {tag}, so that a cluster has them together.
func testTransactAtomic(s *suite) {
	a, b, c := s.key("{t}a"), s.key("{t}b"), s.key("{t}c")
	s.set(a, "a1")
	s.set(b, "b1")
	etag := s.get(a).ETag
	bad := state.Op{Key: b, Value: []byte("b2"), ETag: s.opts.ForeignETag, HasETag: true}
	exists := state.Op{Key: b, Value: []byte("b2"), Options: state.Options{Concurrency: state.FirstWrite}}
	missing := state.Op{Key: s.key("{t}no"), Delete: true, ETag: etag, HasETag: true}
	ttl := time.Hour
	if !s.store.Features().TTL {
		ttl = 0
	}
	for _, failing := range []state.Op{bad, exists, missing} {
		good := []state.Op{
			{Key: a, Value: []byte("a2"), ETag: etag, HasETag: true},
			{Key: c, Value: []byte("c2"), TTL: ttl},
			{Key: b, Delete: true},
		}
		s.transactErr(state.ErrETagMismatch, failing, good[0], good[1])
		s.transactErr(state.ErrETagMismatch, good[0], failing, good[1])
		s.transactErr(state.ErrETagMismatch, good[0], good[1], failing)
	}
	s.transactErr(state.ErrETagMismatch, state.Op{Key: b, Delete: true}, state.Op{Key: a, Delete: true}, missing)
	if got := s.want(a, "a1").ETag; got != etag {
		s.Errorf("failed transactions changed an etag from %q to %q", etag, got)
	}
	s.want(b, "b1")
	s.wantMissing(c)
}

func testTransactMixed(s *suite) {
	a, b, c := s.key("{t}a"), s.key("{t}b"), s.key("{t}c")
	s.set(a, "a1")
	s.set(b, "b1")
	s.transact(
		state.Op{Key: a, Value: []byte("a2")},
		state.Op{Key: b, Delete: true},
		state.Op{Key: c, Value: []byte("")},
		state.Op{Key: s.key("{t}never"), Delete: true},
	)
	s.want(a, "a2")
	s.wantMissing(b)
	s.want(c, "")
	if s.store.Features().ETag {
		s.transact(
			state.Op{Key: a, Value: []byte("a3"), ETag: s.get(a).ETag, HasETag: true},
			state.Op{Key: c, Delete: true, ETag: s.get(c).ETag, HasETag: true},
			state.Op{Key: b, Value: []byte("b3"), Options: state.Options{Concurrency: state.FirstWrite}},
		)
		s.want(a, "a3")
		s.want(b, "b3")
		s.wantMissing(c)
	}
	s.transact()
}

func testTransactSameKey(s *suite) {
	k, o := s.key("{t}k"), s.key("{t}o")
	s.transact(state.Op{Key: k, Value: []byte("1")}, state.Op{Key: k, Value: []byte("2")}, state.Op{Key: k, Value: []byte("3")})
	s.want(k, "3")
	s.transact(state.Op{Key: k, Value: []byte("4")}, state.Op{Key: k, Delete: true})
	s.wantMissing(k)
	s.transact(state.Op{Key: k, Delete: true}, state.Op{Key: k, Value: []byte("5")})
	s.want(k, "5")
	if !s.store.Features().ETag {
		return
	}
	// Every operation sees what those before it did.
	first := state.Options{Concurrency: state.FirstWrite}
	etag := s.get(k).ETag
	s.transactErr(state.ErrETagMismatch,
		state.Op{Key: k, Value: []byte("6"), ETag: etag, HasETag: true},
		state.Op{Key: k, Value: []byte("7"), ETag: etag, HasETag: true})
	s.want(k, "5")
	s.transactErr(state.ErrETagMismatch, state.Op{Key: o, Value: []byte("1"), Options: first}, state.Op{Key: o, Value: []byte("2"), Options: first})
	s.wantMissing(o)
	s.transactErr(state.ErrETagMismatch, state.Op{Key: k, Delete: true}, state.Op{Key: k, Value: []byte("8"), ETag: etag, HasETag: true})
	s.want(k, "5")
	s.transact(state.Op{Key: k, Delete: true, ETag: etag, HasETag: true}, state.Op{Key: k, Value: []byte("9"), Options: first})
	s.want(k, "9")
}

func testTransactInvalid(s *suite) {
	k := s.key("{t}k")
	s.transactErr(state.ErrInvalid, state.Op{Key: k, Value: []byte("v")}, state.Op{Value: []byte("v")})
	s.wantMissing(k)
	if s.store.Features().ETag {
		s.transactErr(state.ErrETagInvalid, state.Op{Key: k, Value: []byte("v")}, state.Op{Key: k, Value: []byte("v"), ETag: "no etag", HasETag: true})
		s.wantMissing(k)
	}
}
