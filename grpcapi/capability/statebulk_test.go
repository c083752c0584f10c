package capability_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

// counting counts the reads that are under way at once.
type counting struct {
	state.Store
	now, most atomic.Int64
}

func (c *counting) Get(ctx context.Context, req state.Get) (*state.Item, error) {
	n := c.now.Add(1)
	defer c.now.Add(-1)
	for {
		most := c.most.Load()
		if n <= most || c.most.CompareAndSwap(most, n) {
			break
		}
	}
	time.Sleep(time.Second) // in a bubble
	return c.Store.Get(ctx, req)
}

func TestBulkGetParallelism(t *testing.T) {
	gets := make([]state.Get, 200)
	for i := range gets {
		gets[i].Key = strconv.Itoa(i)
	}
	for parallelism, want := range map[int]struct {
		most    int64
		seconds int
	}{-5: {1, 200}, 0: {1, 200}, 1: {1, 200}, 7: {7, 29}, 64: {64, 4}, 1 << 30: {64, 4}} {
		synctest.Test(t, func(t *testing.T) {
			c := &counting{Store: newStore(t)}
			start := time.Now()
			results, err := oneStore(t, c).BulkGet(t.Context(), "s", slices.Clone(gets), parallelism)
			if err != nil {
				t.Fatal(err)
			}
			if c.most.Load() != want.most || time.Since(start) != time.Duration(want.seconds)*time.Second {
				t.Errorf("parallelism %d: %d at once, %v in all; want %d, %ds",
					parallelism, c.most.Load(), time.Since(start), want.most, want.seconds)
			}
			for i, r := range results {
				if r.Key != gets[i].Key {
					t.Fatalf("result %d is of key %q", i, r.Key)
				}
			}
		})
	}
}

func TestBulkGetEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		c := &counting{Store: newStore(t)}
		start := time.Now()
		_, err := oneStore(t, c).BulkGet(ctx, "s", slices.Repeat([]state.Get{{Key: "k"}}, 100), 4)
		wantError(t, err, capability.Deadline)
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestBulkGetErrorOfOneKey(t *testing.T) {
	inner := newStore(t)
	fail := func(key string) error {
		if key == "p||b" {
			return errors.New("unreadable")
		}
		return nil
	}
	for name, store := range map[string]state.Store{"single": failing{inner, fail}, "bulk": bulkGetting{failing{inner, fail}}} {
		t.Run(name, func(t *testing.T) {
			s := oneStore(t, store)
			save(t, s, "a", "c")
			results, err := s.BulkGet(t.Context(), "s", []state.Get{{Key: "a"}, {Key: "b"}, {Key: "c"}}, 3)
			if err != nil {
				t.Fatal(err)
			}
			if results[0].Err != nil || results[2].Err != nil || results[0].Item == nil {
				t.Errorf("results %+v", results)
			}
			if e := wantError(t, results[1].Err, capability.Internal); e.Key != "b" || results[1].Item != nil {
				t.Errorf("result %+v", results[1])
			}
		})
	}
}

// bulkGetting is failing with a BulkGet.
type bulkGetting struct{ failing }

func (b bulkGetting) BulkGet(ctx context.Context, reqs []state.Get) ([]state.Result, error) {
	out := make([]state.Result, len(reqs))
	for i, r := range reqs {
		out[i].Item, out[i].Err = b.Get(ctx, r)
	}
	return out, nil
}

// bulkAs is a store whose BulkGet answers as told.
type bulkAs struct {
	state.Store
	results []state.Result
	err     error
}

func (b bulkAs) BulkGet(context.Context, []state.Get) ([]state.Result, error) {
	return b.results, b.err
}

func TestBulkGetOfTheStore(t *testing.T) {
	inner := newStore(t)
	gets := func() []state.Get { return []state.Get{{Key: "k"}} }

	s := oneStore(t, bulkAs{Store: inner, err: state.ErrNotSupported})
	save(t, s, "k")
	if r, err := s.BulkGet(t.Context(), "s", gets(), 1); err != nil || r[0].Item == nil {
		t.Errorf("a store without bulk reads is not read singly: %v, %v", r, err)
	}
	_, err := oneStore(t, bulkAs{Store: inner, err: errors.New("down")}).BulkGet(t.Context(), "s", gets(), 1)
	wantError(t, err, capability.Internal)
	_, err = oneStore(t, bulkAs{Store: inner}).BulkGet(t.Context(), "s", gets(), 1)
	wantError(t, err, capability.Internal) // too few results
}

// A panic in a parallel read arrives where the server's recovery is.
func TestBulkGetPanic(t *testing.T) {
	s := oneStore(t, failing{newStore(t), func(key string) error {
		if key == "p||bad" {
			panic("defect of a store")
		}
		return nil
	}})
	for _, parallelism := range []int{1, 8} {
		func() {
			defer func() {
				if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), "defect of a store") {
					t.Errorf("parallelism %d: recovered %v", parallelism, p)
				}
			}()
			_, err := s.BulkGet(t.Context(), "s", append(slices.Repeat([]state.Get{{Key: "k"}}, 50), state.Get{Key: "bad"}), parallelism)
			t.Errorf("parallelism %d: no panic, error %v", parallelism, err)
		}()
	}
}
