package memory

import (
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/statetest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_ state.BulkGetter = (*Store)(nil)
	_ state.BulkWriter = (*Store)(nil)
	_ state.Transactor = (*Store)(nil)
)

func newStore(tb testing.TB) *Store {
	tb.Helper()
	s, err := New(tb.Context(), components.Env{}, components.Config{Name: "test", Type: Type, Path: "state.test"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s.(*Store)
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "state", "in-memory")
	statetest.Run(t, statetest.Options{
		New:      func(t *testing.T) state.Store { return newStore(t) },
		FakeTime: true,
	})
}

func (s *Store) size() (items, expiries int, sweeping bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.items), len(s.expiries), s.sweeping
}

func TestSweeperGivesMemoryBackAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		write := func(op state.Op) {
			t.Helper()
			if err := s.Write(t.Context(), op); err != nil {
				t.Fatal(err)
			}
		}
		write(state.Op{Key: "stays"})
		if _, _, sweeping := s.size(); sweeping {
			t.Fatal("the sweeper runs without an item with a TTL")
		}
		for round := range 3 {
			for i := range 1000 {
				write(state.Op{Key: strconv.Itoa(i), TTL: time.Duration(i+1) * time.Minute})
			}
			// An item that ends sooner than all others is swept when it ends.
			write(state.Op{Key: "soon", TTL: time.Second})
			time.Sleep(time.Second + sweepPause)
			synctest.Wait()
			if items, expiries, sweeping := s.size(); items != 1001 || expiries != 1000 || !sweeping {
				t.Fatalf("round %d, after a second: %d items, %d expiries, sweeping %t", round, items, expiries, sweeping)
			}
			time.Sleep(1001 * time.Minute)
			synctest.Wait()
			if items, expiries, sweeping := s.size(); items != 1 || expiries != 0 || sweeping {
				t.Fatalf("round %d, at the end: %d items, %d expiries, sweeping %t", round, items, expiries, sweeping)
			}
		}
	})
}

func TestRewritingLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		for range 1000 {
			if err := s.Write(t.Context(), state.Op{Key: "k", TTL: 24 * time.Hour}); err != nil {
				t.Fatal(err)
			}
		}
		if items, expiries, _ := s.size(); items != 1 || expiries != 1 {
			t.Fatalf("%d items, %d expiries, want one each", items, expiries)
		}
		if err := s.Write(t.Context(), state.Op{Key: "k"}); err != nil {
			t.Fatal(err)
		}
		if _, expiries, _ := s.size(); expiries != 0 {
			t.Fatalf("%d expiries after the TTL was cleared", expiries)
		}
		time.Sleep(25 * time.Hour)
		synctest.Wait()
		if items, _, sweeping := s.size(); items != 1 || sweeping {
			t.Fatalf("%d items, sweeping %t", items, sweeping)
		}
	})
}

// An etag that was valid once does not become valid again by removing the key.
func TestETagsDoNotComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		seen := map[string]bool{}
		for i := range 30 {
			ops := []state.Op{{Key: "k"}, {Key: "k", TTL: time.Second}}
			for _, op := range ops[:1+i%2] {
				if err := s.Write(t.Context(), op); err != nil {
					t.Fatal(err)
				}
				item, err := s.Get(t.Context(), state.Get{Key: "k"})
				if err != nil || item == nil {
					t.Fatal(item, err)
				}
				if seen[item.ETag] {
					t.Fatalf("round %d: etag %q came back", i, item.ETag)
				}
				seen[item.ETag] = true
			}
			if i%3 == 0 {
				time.Sleep(2 * time.Second)
			} else if err := s.Write(t.Context(), state.Op{Key: "k", Delete: true}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestUnknownMetadataIsNoError(t *testing.T) {
	s, err := New(t.Context(), components.Env{}, components.Config{Metadata: map[string]any{"keyPrefix": "none"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkGet(b *testing.B) { benchmark(b, false) }
func BenchmarkSet(b *testing.B) { benchmark(b, true) }

func benchmark(b *testing.B, write bool) {
	s := newStore(b)
	keys := make([]string, 1024)
	value := make([]byte, 1024)
	for i := range keys {
		keys[i] = fmt.Sprintf("app||key-%d", i)
		if err := s.Write(b.Context(), state.Op{Key: keys[i], Value: value}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			var err error
			if write {
				err = s.Write(b.Context(), state.Op{Key: keys[i%len(keys)], Value: value})
			} else {
				_, err = s.Get(b.Context(), state.Get{Key: keys[i%len(keys)]})
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
