package statetest

import (
	"fmt"
	"time"

	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// lives asserts that k is there and says when it ends: ttl, and a little, after it was
// written, which was not before from and not after to.
func (s *suite) lives(k, value string, ttl time.Duration, from, to time.Time) {
	s.Helper()
	began := time.Now()
	item := s.want(k, value)
	if s.opts.NoExpiry {
		return
	}
	slack := 2 * time.Millisecond // a server that counts in milliseconds, on another clock's edge
	if !s.opts.FakeTime {
		slack = 2 * time.Second
		to = to.Add(time.Since(began)) // a store may reckon the end from what is left, when it has heard that
	}
	if end := item.ExpiresAt; end.Before(from.Add(ttl-slack)) || end.After(to.Add(ttl+slack)) {
		s.Errorf("key %q written with TTL %s at %s or later expires at %s", k, ttl, from, end)
	}
}

// writeLives writes op and asserts lives.
func (s *suite) writeLives(op state.Op) {
	s.Helper()
	from := time.Now()
	s.write(op)
	s.lives(op.Key, string(op.Value), op.TTL, from, time.Now())
}

func testTTL(s *suite) {
	k := s.key("k")
	if s.opts.FakeTime {
		start := time.Now()
		s.write(state.Op{Key: k, Value: []byte("v"), TTL: time.Hour})
		s.set(s.key("stays"), "v")
		s.lives(k, "v", time.Hour, start, start)
		s.pause(time.Hour - time.Nanosecond)
		s.lives(k, "v", time.Hour, start, start)
		s.pause(time.Nanosecond)
		s.wantMissing(k)
		s.pause(1000 * time.Hour)
		s.wantMissing(k)
		s.want(s.key("stays"), "v")
		return
	}
	start := time.Now()
	s.write(state.Op{Key: s.key("long"), Value: []byte("v"), TTL: time.Hour})
	written := time.Now()
	s.lives(s.key("long"), "v", time.Hour, start, written)
	short := s.ttl(50 * time.Millisecond)
	s.write(state.Op{Key: k, Value: []byte("v"), TTL: short})
	s.write(state.Op{Key: s.key("nano"), Value: []byte("v"), TTL: time.Nanosecond})
	s.eventually(testserver.Patience, "the item expires", func() bool { return s.get(k) == nil })
	if passed := time.Since(start); passed < short-s.opts.TTLUnit {
		s.Errorf("the item with a TTL of %s expired after %s", short, passed)
	}
	s.eventually(testserver.Patience, "the shortest TTL expires", func() bool { return s.get(s.key("nano")) == nil })
	s.lives(s.key("long"), "v", time.Hour, start, written)
}

func testTTLCleared(s *suite) {
	k := s.key("k")
	s.write(state.Op{Key: k, Value: []byte("one"), TTL: 300 * time.Millisecond})
	s.set(k, "two")
	if item := s.want(k, "two"); !item.ExpiresAt.IsZero() {
		s.Errorf("a write without a TTL left the end at %s", item.ExpiresAt)
	}
	s.pause(s.ttl(300*time.Millisecond) + s.opts.TTLUnit + 200*time.Millisecond)
	s.want(k, "two")

	if s.store.Features().ETag {
		etag := s.want(k, "two").ETag
		from := time.Now()
		s.writeLives(state.Op{Key: k, Value: []byte("three"), TTL: time.Hour, ETag: etag, HasETag: true})
		s.wantErr(state.Op{Key: k, Value: []byte("x"), ETag: s.opts.ForeignETag, HasETag: true}, state.ErrETagMismatch)
		s.lives(k, "three", time.Hour, from, time.Now())
		s.write(state.Op{Key: k, Value: []byte("four"), ETag: s.get(k).ETag, HasETag: true})
		if item := s.want(k, "four"); !item.ExpiresAt.IsZero() {
			s.Errorf("a write with an etag, without a TTL left the end at %s", item.ExpiresAt)
		}
	}
}

func testTTLReplaced(s *suite) {
	k := s.key("k")
	s.write(state.Op{Key: k, Value: []byte("one"), TTL: 200 * time.Millisecond})
	s.writeLives(state.Op{Key: k, Value: []byte("two"), TTL: time.Hour})
	s.pause(s.ttl(200*time.Millisecond) + s.opts.TTLUnit + 200*time.Millisecond)
	s.want(k, "two")
	s.write(state.Op{Key: k, Value: []byte("three"), TTL: 100 * time.Millisecond})
	if s.opts.FakeTime {
		s.pause(s.ttl(100 * time.Millisecond))
		s.wantMissing(k)
		return
	}
	s.eventually(testserver.Patience, "the shorter TTL holds", func() bool { return s.get(k) == nil })
}

func testTTLRecreate(s *suite) {
	k := s.key("k")
	first := state.Options{Concurrency: state.FirstWrite}
	etag := ""
	for ttl := 300 * time.Millisecond; etag == ""; ttl *= 2 {
		from := time.Now()
		s.write(state.Op{Key: k, Value: []byte("one"), TTL: ttl, Options: first})
		if item := s.get(k); item != nil {
			etag = item.ETag
		} else if left := time.Until(from.Add(ttl)); left > s.opts.TTLUnit {
			s.Fatalf("the item with a TTL of %s is gone, %s before its end", ttl, left)
		}
	}
	s.eventually(testserver.Patience, "the item expires", func() bool { return s.get(k) == nil })
	s.wantErr(state.Op{Key: k, Value: []byte("two"), ETag: etag, HasETag: true}, state.ErrETagMismatch)
	s.wantErr(state.Op{Key: k, Delete: true, ETag: etag, HasETag: true}, state.ErrETagMismatch)
	s.write(state.Op{Key: k, Delete: true})
	s.write(state.Op{Key: k, Value: []byte("two"), Options: first})
	if item := s.want(k, "two"); !item.ExpiresAt.IsZero() {
		s.Errorf("the item made anew expires at %s", item.ExpiresAt)
	}
}

func testTTLTransactAndBulk(s *suite) {
	a, b := s.key("{x}a"), s.key("{x}b")
	ops := []state.Op{{Key: a, Value: []byte("1"), TTL: 200 * time.Millisecond}, {Key: b, Value: []byte("2")}}
	check := func(what string) {
		s.Helper()
		s.want(b, "2")
		s.eventually(testserver.Patience, what+": the item expires", func() bool { return s.get(a) == nil })
		s.want(b, "2")
	}
	if tx, ok := s.store.(state.Transactor); ok {
		if err := tx.Transact(s.ctx, ops); err != nil {
			s.Fatal(err)
		}
		check("Transact")
	}
	if bw, ok := s.store.(state.BulkWriter); ok {
		for _, err := range bw.BulkWrite(s.ctx, ops) {
			if err != nil {
				s.Fatal(err)
			}
		}
		check("BulkWrite")
	}
	if bg, ok := s.store.(state.BulkGetter); ok {
		s.write(state.Op{Key: a, Value: []byte("1"), TTL: time.Hour})
		s.set(b, "2")
		res, err := bg.BulkGet(s.ctx, []state.Get{{Key: a}, {Key: b}})
		if err != nil || res[0].Item == nil || res[1].Item == nil {
			s.Fatalf("BulkGet: %v, %v", res, err)
		}
		if !s.opts.NoExpiry && res[0].Item.ExpiresAt.IsZero() || !res[1].Item.ExpiresAt.IsZero() {
			s.Errorf("BulkGet: ends %s and %s, want one and none", res[0].Item.ExpiresAt, res[1].Item.ExpiresAt)
		}
	}
}

// testTTLMany lets many items expire, in an order that is not that of writing.
func testTTLMany(s *suite) {
	n, unit := 600, time.Second
	switch {
	case s.opts.FakeTime:
	case s.opts.TTLUnit > 0:
		n, unit = 100, 100*time.Microsecond // they all end at the same time
	default:
		unit = 100 * time.Microsecond
	}
	key := func(i int) string { return s.key(fmt.Sprintf("%04d", i)) }
	for i := range n {
		s.write(state.Op{Key: key(i), Value: []byte("v"), TTL: time.Duration(1+(i*7919)%n) * unit})
	}
	s.set(s.key("stays"), "v")
	if s.opts.FakeTime {
		s.pause(time.Duration(n) * unit)
		for i := range n {
			s.wantMissing(key(i))
		}
	} else {
		for i := range n {
			s.eventually(testserver.Patience, "all items expire", func() bool { return s.get(key(i)) == nil })
		}
	}
	s.want(s.key("stays"), "v")
}
