package capability_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/components/sequencer/memory"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

// spySequencer counts what it is asked for, and answers late or with an error.
type spySequencer struct {
	*memory.Sequencer

	mu       sync.Mutex
	keys     map[string]bool
	nexts    int
	segments []int64 // sizes
	delay    time.Duration
	err      error
}

func (s *spySequencer) note(key string, size int64) error {
	s.mu.Lock()
	s.keys[key] = true
	if size == 0 {
		s.nexts++
	} else {
		s.segments = append(s.segments, size)
	}
	delay, err := s.delay, s.err
	s.mu.Unlock()
	if delay > 0 {
		time.Sleep(delay) // in a bubble only
	}
	return err
}

func (s *spySequencer) set(delay time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay, s.err = delay, err
}

// asked returns how often it was asked for single ids and for segments.
func (s *spySequencer) asked() (nexts, segments int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nexts, len(s.segments)
}

func (s *spySequencer) Next(ctx context.Context, key string) (int64, error) {
	if err := s.note(key, 0); err != nil {
		return 0, err
	}
	return s.Sequencer.Next(ctx, key)
}

func (s *spySequencer) Segment(ctx context.Context, key string, size int64) (from, to int64, err error) {
	if err := s.note(key, size); err != nil {
		return 0, 0, err
	}
	return s.Sequencer.Segment(ctx, key, size)
}

func newSpySequencer(t *testing.T) *spySequencer {
	t.Helper()
	s, err := memory.New(t.Context(), components.Env{}, components.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return &spySequencer{Sequencer: s.(*memory.Sequencer), keys: map[string]bool{}}
}

// plain hides every optional ability of a sequencer.
type plain struct{ sequencer.Sequencer }

// sequencerOf returns a Sequencer with that component as "s", for the application "App".
func sequencerOf(t *testing.T, c capability.SequencerStore, keyPrefix string) *capability.Sequencer {
	t.Helper()
	var err error
	if c.Prefix, err = capability.ParseKeyPrefix(keyPrefix, capability.PrefixAppID, "App", "s"); err != nil {
		t.Fatal(err)
	}
	return capability.NewSequencer(map[string]capability.SequencerStore{"s": c})
}

func nextID(t *testing.T, s *capability.Sequencer, key string, increment capability.Increment) int64 {
	t.Helper()
	id, err := s.Next(t.Context(), "s", key, increment)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestSequencerKeys(t *testing.T) {
	for prefix, want := range map[string]string{
		"": "sequencer|||App||K", "none": "sequencer|||K", "name": "sequencer|||s||K", "Mine": "sequencer|||mine||K",
	} {
		spy := newSpySequencer(t)
		s := sequencerOf(t, capability.SequencerStore{Sequencer: spy}, prefix)
		nextID(t, s, "K", capability.Weak)
		nextID(t, s, "K", capability.Strong)
		if len(spy.keys) != 1 || !spy.keys[want] {
			t.Errorf("keyPrefix %q: keys %v, want %q", prefix, spy.keys, want)
		}
	}
}

func TestSequencerRequests(t *testing.T) {
	s := sequencerOf(t, capability.SequencerStore{Sequencer: newSpySequencer(t)}, "")
	var none *capability.Sequencer
	for _, tt := range []struct {
		s          *capability.Sequencer
		store, key string
		increment  capability.Increment
		kind       capability.Kind
	}{
		{none, "s", "", 7, capability.NotConfigured},
		{s, "x", "", 7, capability.InvalidArgument},
		{s, "x", "k", 7, capability.Unknown},
		{s, "x", "a||b", 0, capability.IllegalKey},
		{s, "x", "k", 0, capability.UnknownComponent},
	} {
		_, err := tt.s.Next(t.Context(), tt.store, tt.key, tt.increment)
		wantError(t, err, tt.kind)
	}
}

// Weak ids come from segments: the backend is asked once for thousands, and again
// before they are used up.
func TestSegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spy := newSpySequencer(t)
		s := sequencerOf(t, capability.SequencerStore{Sequencer: spy}, "")
		for want := int64(1); want <= 25000; want++ {
			switch want {
			case 9000, 19000:
				synctest.Wait()
				if _, segments := spy.asked(); segments != int(want/9000) {
					t.Fatalf("before %d: %d segments", want, segments)
				}
			case 9002, 19003:
				synctest.Wait()
				if _, segments := spy.asked(); segments != 1+int(want/9000) {
					t.Fatalf("at %d: %d segments, the next should have been taken", want, segments)
				}
			}
			if id := nextID(t, s, "k", capability.Weak); id != want {
				t.Fatalf("id %d, want %d", id, want)
			}
		}
		if nexts, segments := spy.asked(); nexts != 0 || segments != 3 || spy.segments[0] != 10000 {
			t.Errorf("%d single ids, segments of %v", nexts, spy.segments)
		}
		if id := nextID(t, s, "k", capability.Strong); id <= 30000 {
			t.Errorf("the strong id is %d", id)
		}
		if id := nextID(t, s, "k", capability.Weak); id != 25001 {
			t.Errorf("the weak id after it is %d", id)
		}
		if id := nextID(t, s, "other", capability.Weak); id != 1 {
			t.Errorf("the first id of another key is %d", id)
		}
	})
}

// A backend that is slow holds nobody up while there are ids left; one that is
// down is noticed when there are none, and no sooner than that.
func TestSegmentsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spy := newSpySequencer(t)
		s := sequencerOf(t, capability.SequencerStore{Sequencer: spy, Segments: capability.Segments{Size: 100}}, "")
		nextID(t, s, "k", capability.Weak)
		spy.set(time.Second, nil)
		began := time.Now()
		for range 99 {
			nextID(t, s, "k", capability.Weak)
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("it took %s", d)
		}
		if id := nextID(t, s, "k", capability.Weak); id != 101 || time.Since(began) != time.Second {
			t.Errorf("id %d after %s", id, time.Since(began))
		}
		spy.set(0, errors.New("on fire"))
		for range 99 {
			nextID(t, s, "k", capability.Weak)
		}
		synctest.Wait()
		if _, segments := spy.asked(); segments != 3 {
			t.Errorf("%d segments were asked for, want no try in quick succession", segments)
		}
		_, err := s.Next(t.Context(), "s", "k", capability.Weak)
		wantError(t, err, capability.Internal)
		spy.set(0, nil)
		if id := nextID(t, s, "k", capability.Weak); id != 201 {
			t.Errorf("id %d when it is there again", id)
		}
		spy.set(time.Hour, nil) // it ignores its context, but the caller does not wait
		for range 99 {
			nextID(t, s, "k", capability.Weak)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = s.Next(ctx, "s", "k", capability.Weak)
		wantError(t, err, capability.Deadline)
		time.Sleep(2 * time.Hour)
	})
}

func TestSegmentsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spy := newSpySequencer(t)
		spy.set(time.Second, nil)
		s := sequencerOf(t, capability.SequencerStore{Sequencer: spy, Segments: capability.Segments{Size: 2}}, "")
		began := time.Now()
		var mu sync.Mutex
		seen := map[int64]bool{}
		var wg sync.WaitGroup
		for range 500 {
			wg.Go(func() {
				id := nextID(t, s, "k", capability.Weak)
				mu.Lock()
				defer mu.Unlock()
				if seen[id] {
					t.Errorf("%d was given out twice", id)
				}
				seen[id] = true
			})
		}
		wg.Wait()
		if len(seen) != 500 || time.Since(began) > 3*time.Second {
			t.Errorf("%d ids after %s: each small segment was waited for", len(seen), time.Since(began))
		}
	})
}

func TestSegmentsOff(t *testing.T) {
	for name, c := range map[string]capability.SequencerStore{
		"off": {Segments: capability.Segments{Off: true}}, "one at a time": {Segments: capability.Segments{Size: 1}},
	} {
		spy := newSpySequencer(t)
		c.Sequencer = spy
		s := sequencerOf(t, c, "")
		for range 5 {
			nextID(t, s, "k", capability.Weak)
		}
		if nexts, segments := spy.asked(); nexts != 5 || segments != 0 {
			t.Errorf("%s: %d single ids, %d segments", name, nexts, segments)
		}
	}
	spy := newSpySequencer(t)
	s := sequencerOf(t, capability.SequencerStore{Sequencer: plain{spy}}, "")
	if nextID(t, s, "k", capability.Weak); spy.nexts != 1 {
		t.Error("a sequencer without segments was not asked")
	}
}

// Two components have segments of their own, also under the same stored key.
func TestSegmentsOfTwoStores(t *testing.T) {
	a, b := newSpySequencer(t), newSpySequencer(t)
	s := capability.NewSequencer(map[string]capability.SequencerStore{"a": {Sequencer: a}, "b": {Sequencer: b}})
	for want := range int64(5) {
		for _, store := range []string{"a", "b"} {
			if id, err := s.Next(t.Context(), store, "k", capability.Weak); err != nil || id != want+1 {
				t.Errorf("%s: %d, %v", store, id, err)
			}
		}
	}
}

// Segments of keys that nobody asks for are dropped, by time and by number; their
// ids are lost and never come back.
func TestSegmentsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spy := newSpySequencer(t)
		s := sequencerOf(t, capability.SequencerStore{Sequencer: spy, Segments: capability.Segments{Size: 10}}, "")
		nextID(t, s, "idle", capability.Weak)
		time.Sleep(11 * time.Minute)
		nextID(t, s, "other", capability.Weak)
		if id := nextID(t, s, "idle", capability.Weak); id != 11 {
			t.Errorf("after it was idle: %d", id)
		}
		for i := range 10000 {
			nextID(t, s, fmt.Sprint(i), capability.Weak)
		}
		if id := nextID(t, s, "idle", capability.Weak); id != 21 {
			t.Errorf("after many other keys: %d", id)
		}
		if id := nextID(t, s, "9999", capability.Weak); id != 2 {
			t.Errorf("of a key that is in use: %d", id)
		}
	})
}

func TestBiggerThan(t *testing.T) {
	store := capability.SequencerStore{BiggerThan: map[string]int64{
		"k": 100, "sequencer|||App||literal": 200, "sequencer|||App||k": 50, "elsewhere||x": 300,
	}}
	for _, increment := range []capability.Increment{capability.Weak, capability.Strong} {
		spy := newSpySequencer(t)
		store.Sequencer = spy
		s := sequencerOf(t, store, "")
		if err := s.Raise(t.Context()); err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]int64{"k": 101, "literal": 201, "free": 1} {
			if id := nextID(t, s, key, increment); id != want {
				t.Errorf("increment %d, key %q: %d, want %d", increment, key, id, want)
			}
		}
		if id, err := spy.Sequencer.Next(t.Context(), "elsewhere||x"); err != nil || id != 301 {
			t.Errorf("a literal key of another prefix: %d, %v", id, err)
		}

		// A backend that has lost its data is raised again.
		lost := newSpySequencer(t)
		store.Sequencer = lost
		if id := nextID(t, sequencerOf(t, store, ""), "k", increment); id != 101 {
			t.Errorf("increment %d: %d from a backend that was not raised", increment, id)
		}
	}

	// One that cannot be raised must be high enough by itself.
	spy := newSpySequencer(t)
	store.Sequencer = plain{spy}
	store.BiggerThan = map[string]int64{"k": 3}
	s := sequencerOf(t, store, "")
	if err := s.Raise(t.Context()); err == nil {
		t.Error("no error")
	}
	_, err := s.Next(t.Context(), "s", "k", capability.Strong)
	wantError(t, err, capability.Internal)
	if err := spy.Raise(t.Context(), "sequencer|||App||k", 10); err != nil {
		t.Fatal(err)
	}
	if err := s.Raise(t.Context()); err != nil {
		t.Error(err)
	}
}

func BenchmarkWeak(b *testing.B) {
	m, err := memory.New(b.Context(), components.Env{}, components.Config{})
	if err != nil {
		b.Fatal(err)
	}
	s := capability.NewSequencer(map[string]capability.SequencerStore{"s": {Sequencer: m}})
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Next(b.Context(), "s", "k", capability.Weak); err != nil {
				b.Error(err)
			}
		}
	})
}
