package sequencertest

import (
	"context"
	"crypto/rand"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/ottavo-runtime/ottavo/components/sequencer"
)

// Options say what to test.
type Options struct {
	// New makes a sequencer. It is called once or more per test; all that one
	// test makes count together, unless Single. Every test uses keys of its own.
	// The suite closes the sequencer.
	New func(t *testing.T) sequencer.Sequencer
	// Single says that every sequencer counts on its own, or that there cannot be
	// two at a time.
	Single bool
	// Unordered says that ids are unique, and grow within one sequencer only.
	Unordered bool
	// Sparse says that ids do not begin with 1 and have gaps.
	Sparse bool
	// Ids is how many ids the tests of many take; 0 is 1000.
	Ids int
}

// Run tests the sequencers that o makes.
func Run(t *testing.T, o Options) {
	t.Helper()
	if o.Ids == 0 {
		o.Ids = 1000
	}
	for _, tt := range []struct {
		name string
		fn   func(*suite)
	}{
		{"Next", testNext},
		{"Keys", testKeys},
		{"InvalidRequests", testInvalid},
		{"CancelledContext", testCancelled},
		{"Closed", testClosed},
		{"Concurrent", testConcurrent},
		{"Shared", testShared},
		{"Survives", testSurvives},
		{"Segments", testSegments},
		{"SegmentsAndNext", testSegmentsAndNext},
		{"Raise", testRaise},
		{"Exhausted", testExhausted},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.fn(newSuite(t, o)) })
	}
}

// suite is one test's surroundings.
type suite struct {
	*testing.T
	ctx    context.Context
	seq    sequencer.Sequencer
	opts   Options
	prefix string
}

func newSuite(t *testing.T, o Options) *suite {
	t.Helper()
	s := &suite{T: t, ctx: t.Context(), opts: o, prefix: rand.Text() + "/"}
	s.seq = s.another()
	return s
}

// another makes a sequencer that is closed at the end of the test.
func (s *suite) another() sequencer.Sequencer {
	s.Helper()
	q := s.opts.New(s.T)
	s.Cleanup(func() {
		if err := q.Close(); err != nil {
			s.Errorf("Close: %v", err)
		}
	})
	return q
}

// sequencers returns two, or one when there cannot be two.
func (s *suite) sequencers() []sequencer.Sequencer {
	s.Helper()
	if s.opts.Single {
		return []sequencer.Sequencer{s.seq}
	}
	return []sequencer.Sequencer{s.seq, s.another()}
}

func (s *suite) key(name string) string { return s.prefix + name }

func (s *suite) next(key string) int64 {
	s.Helper()
	id, err := s.seq.Next(s.ctx, key)
	if err != nil {
		s.Fatalf("Next(%q): %v", key, err)
	}
	return id
}

// segmenter returns the ability, or skips the test.
func (s *suite) segmenter() sequencer.Segmenter {
	s.Helper()
	g, ok := s.seq.(sequencer.Segmenter)
	if !ok {
		s.Skip("SKIP: the sequencer has no segments")
	}
	return g
}

func (s *suite) raiser() sequencer.Raiser {
	s.Helper()
	r, ok := s.seq.(sequencer.Raiser)
	if !ok {
		s.Skip("SKIP: the sequencer cannot be raised")
	}
	return r
}

func (s *suite) raise(key string, than int64) {
	s.Helper()
	if err := s.raiser().Raise(s.ctx, key, than); err != nil {
		s.Fatalf("Raise(%q, %d): %v", key, than, err)
	}
}

// every calls all that the sequencer can do and hands each error over.
func (s *suite) every(ctx context.Context, key string, got func(call string, err error)) {
	_, err := s.seq.Next(ctx, key)
	got("Next", err)
	if g, ok := s.seq.(sequencer.Segmenter); ok {
		_, _, err := g.Segment(ctx, key, 10)
		got("Segment", err)
	}
	if r, ok := s.seq.(sequencer.Raiser); ok {
		got("Raise", r.Raise(ctx, key, 10))
	}
}

func testNext(s *suite) {
	k, last := s.key("k"), int64(0)
	for i := range int64(50) {
		id := s.next(k)
		if id <= last || !s.opts.Sparse && id != i+1 {
			s.Fatalf("id %d is %d, after %d", i+1, id, last)
		}
		last = id
	}
}

func testKeys(s *suite) {
	names := []string{
		"a", "A", "a||b", "sequencer|||app||a", "a:b", "a/b", "a/b/", "a/../b", "/x", "..", ".", " ", "a ", "{tag}x", "日本語🗝", "é", "%2F", "%252F", "%s%d", "*", "?#&", "a'b\"c`", strings.Repeat("k", 700),
	}
	for round := range 2 {
		for _, n := range names {
			if id := s.next(s.key(n)); !s.opts.Sparse && id != int64(round+1) {
				s.Errorf("key %q: id %d, want %d: it is counted together with another key", n, id, round+1)
			}
		}
	}
}

func testInvalid(s *suite) {
	s.every(s.ctx, "", func(call string, err error) {
		if !errors.Is(err, sequencer.ErrInvalid) {
			s.Errorf("%s of an empty key: %v, want ErrInvalid", call, err)
		}
	})
	if g, ok := s.seq.(sequencer.Segmenter); ok {
		for _, size := range []int64{0, -1} {
			if _, _, err := g.Segment(s.ctx, s.key("k"), size); !errors.Is(err, sequencer.ErrInvalid) {
				s.Errorf("a segment of %d: %v, want ErrInvalid", size, err)
			}
		}
	}
}

func testCancelled(s *suite) {
	cancelled, cancel := context.WithCancel(s.ctx)
	cancel()
	late, cancelLate := context.WithTimeout(s.ctx, 0)
	defer cancelLate()
	for _, tt := range []struct {
		ctx  context.Context
		want error
	}{{cancelled, context.Canceled}, {late, context.DeadlineExceeded}} {
		s.every(tt.ctx, s.key("k"), func(call string, err error) {
			if !errors.Is(err, tt.want) {
				s.Errorf("%s: %v, want %v", call, err, tt.want)
			}
		})
	}
	if id := s.next(s.key("k")); !s.opts.Sparse && id != 1 {
		s.Errorf("calls that were cancelled before they began took ids: the first is %d", id)
	}
}

func testClosed(s *suite) {
	s.next(s.key("k"))
	for range 2 {
		if err := s.seq.Close(); err != nil {
			s.Fatalf("Close: %v", err)
		}
		s.every(s.ctx, s.key("k"), func(call string, err error) {
			if !errors.Is(err, sequencer.ErrClosed) {
				s.Errorf("%s after Close: %v, want ErrClosed", call, err)
			}
		})
	}
	// Closing while others work: they succeed or are told, nobody hangs.
	other := s.another()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				if _, err := other.Next(s.ctx, s.key("k")); err != nil {
					if !errors.Is(err, sequencer.ErrClosed) {
						s.Errorf("Next during Close: %v, want ErrClosed", err)
					}
					return
				}
			}
		})
	}
	if err := other.Close(); err != nil {
		s.Errorf("Close under load: %v", err)
	}
	wg.Wait()
}

func testConcurrent(s *suite) {
	l := NewLoad(s.T, !s.opts.Unordered)
	var wg sync.WaitGroup
	const callers = 20
	for range callers {
		wg.Go(func() { l.Take(s.seq, s.key("k"), s.opts.Ids/callers) })
	}
	wg.Wait()
	ids := l.Check()
	if s.opts.Sparse {
		return
	}
	for i, id := range ids {
		if id != int64(i+1) {
			s.Fatalf("id %d is %d: there is a gap, though nobody left", i+1, id)
		}
	}
}

func testShared(s *suite) {
	if s.opts.Single {
		s.Skip("SKIP: every sequencer counts on its own")
	}
	l := NewLoad(s.T, !s.opts.Unordered)
	var wg sync.WaitGroup
	for _, q := range append(s.sequencers(), s.another()) {
		for range 3 {
			wg.Go(func() { l.Take(q, s.key("k"), s.opts.Ids/9) })
		}
	}
	wg.Wait()
	l.Check()
}

// What was given out stays so when nobody has the sequencer open any more.
func testSurvives(s *suite) {
	last := int64(0)
	for range 3 {
		id := s.next(s.key("k"))
		if id <= last {
			s.Fatalf("id %d after %d", id, last)
		}
		last = id
		if s.opts.Single {
			return
		}
		if err := s.seq.Close(); err != nil {
			s.Fatal(err)
		}
		s.seq = s.another()
	}
}

func testSegments(s *suite) {
	g := s.segmenter()
	k, last := s.key("k"), int64(0)
	for _, size := range []int64{1, 10, 10000, 1, 1_000_000} {
		from, to, err := g.Segment(s.ctx, k, size)
		if err != nil || from <= last || to < from || to-from+1 > size || !s.opts.Sparse && to-from+1 != size {
			s.Fatalf("a segment of %d: %d to %d, %v, after %d", size, from, to, err, last)
		}
		last = to
	}
	if id := s.next(k); id <= last {
		s.Errorf("id %d after a segment up to %d", id, last)
	}
}

func testSegmentsAndNext(s *suite) {
	s.segmenter()
	var mu sync.Mutex
	seen := map[int64]bool{}
	take := func(from, to int64) {
		mu.Lock()
		defer mu.Unlock()
		for id := from; id <= to; id++ {
			if seen[id] {
				s.Errorf("%d was given out twice", id)
				return
			}
			seen[id] = true
		}
	}
	all := s.sequencers()
	var wg sync.WaitGroup
	for i := range 8 {
		q := all[i%len(all)]
		wg.Go(func() {
			for range 15 {
				if i < 4 {
					from, to, err := q.(sequencer.Segmenter).Segment(s.ctx, s.key("k"), int64(7+i))
					if err != nil {
						s.Errorf("Segment: %v", err)
						return
					}
					take(from, to)
				} else {
					id, err := q.Next(s.ctx, s.key("k"))
					if err != nil {
						s.Errorf("Next: %v", err)
						return
					}
					take(id, id)
				}
			}
		})
	}
	wg.Wait()
}

func testRaise(s *suite) {
	s.raiser()
	k := s.key("k")
	s.raise(k, 1000)
	if id := s.next(k); id != 1001 && !(s.opts.Sparse && id > 1001) {
		s.Errorf("id %d, raised to 1000", id)
	}
	s.raise(k, 500)
	s.raise(k, -7)
	if id := s.next(k); id <= 1001 {
		s.Errorf("id %d after 1001: it was lowered", id)
	}
	if g, ok := s.seq.(sequencer.Segmenter); ok {
		s.raise(k, 5000)
		if from, _, err := g.Segment(s.ctx, k, 10); err != nil || from <= 5000 {
			s.Errorf("a segment from %d, %v", from, err)
		}
		s.raise(k, 5003)
		if id := s.next(k); id <= 5010 {
			s.Errorf("id %d after a segment up to 5010: it was lowered", id)
		}
	}
	s.raise(s.key("never"), 0)
	if id := s.next(s.key("never")); !s.opts.Sparse && id != 1 {
		s.Errorf("id %d, raised to 0", id)
	}
	// Beyond what fits into 32 bits, and into a float.
	for _, than := range []int64{math.MaxInt32, math.MaxUint32, 1<<53 + 1, 1 << 62} {
		s.raise(s.key("great"), than)
		for i := range int64(3) {
			if id := s.next(s.key("great")); id != than+1+i && !(s.opts.Sparse && id > than) {
				s.Errorf("id %d, raised to %d", id, than)
			}
		}
	}
}

func testExhausted(s *suite) {
	s.raiser()
	k := s.key("k")
	s.raise(k, math.MaxInt64-3)
	if g, ok := s.seq.(sequencer.Segmenter); ok {
		if from, to, err := g.Segment(s.ctx, k, 4); !errors.Is(err, sequencer.ErrExhausted) {
			s.Fatalf("a segment beyond the end: %d to %d, %v", from, to, err)
		}
	}
	for i := range int64(3) {
		if id := s.next(k); id != math.MaxInt64-2+i {
			s.Fatalf("id %d", id)
		}
	}
	for range 2 {
		if id, err := s.seq.Next(s.ctx, k); !errors.Is(err, sequencer.ErrExhausted) {
			s.Fatalf("after the last: %d, %v", id, err)
		}
	}
	// Many who come together still get what is left.
	k = s.key("together")
	s.raise(k, math.MaxInt64-5)
	results := make(chan error, 12)
	for range cap(results) {
		go func() {
			_, err := s.seq.Next(s.ctx, k)
			results <- err
		}()
	}
	got := 0
	for range cap(results) {
		if err := <-results; err == nil {
			got++
		} else if !errors.Is(err, sequencer.ErrExhausted) {
			s.Error(err)
		}
	}
	if got != 5 {
		s.Errorf("%d callers got ids, of which there were 5", got)
	}
}
