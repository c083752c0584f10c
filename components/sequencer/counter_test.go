package sequencer_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components/sequencer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// slow is a counter that takes its time, in a bubble, and heeds its context or not.
type slow struct {
	mu      sync.Mutex
	number  int64
	adds    []int64
	delay   time.Duration
	deaf    bool
	err     error
	closing int
}

func (s *slow) Add(ctx context.Context, _ string, n int64) (int64, error) {
	s.mu.Lock()
	s.adds = append(s.adds, n)
	delay, deaf := s.delay, s.deaf
	s.mu.Unlock()
	if deaf {
		time.Sleep(delay)
	} else {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.number > math.MaxInt64-n {
		return 0, sequencer.ErrExhausted
	}
	s.number += n
	return s.number, s.err
}

func (s *slow) Raise(ctx context.Context, key string, least int64) error {
	_, err := s.Add(ctx, key, least)
	return err
}

func (s *slow) Check(context.Context) error { return s.err }

func (s *slow) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing++
	return nil
}

// Those who come while a call is under way share the next one, and get ids that are
// greater than those of the call before.
func TestCallersShareCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &slow{delay: time.Second}
		q := sequencer.Count(t.Context(), c)
		ids := make(chan int64, 200)
		next := func() {
			id, err := q.Next(t.Context(), "k")
			if err != nil {
				t.Error(err)
			}
			ids <- id
		}
		go next()
		synctest.Wait()
		for range 99 {
			go next()
		}
		began := time.Now()
		seen := map[int64]bool{}
		for range 100 {
			seen[<-ids] = true
		}
		if len(seen) != 100 || !seen[1] || !seen[100] || len(c.adds) != 2 || c.adds[1] != 99 || time.Since(began) != 2*time.Second {
			t.Errorf("%d ids with the calls %v after %s", len(seen), c.adds, time.Since(began))
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Who leaves before the call takes no id of it; who leaves during it does not wait.
func TestCallersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &slow{delay: time.Second, deaf: true}
		q := sequencer.Count(t.Context(), c)
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if _, err := q.Next(short, "k"); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v", err)
				}
			})
		}
		if _, _, err := q.Segment(short, "k", 10); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		wg.Wait()
		if d := time.Since(began); d != 100*time.Millisecond {
			t.Errorf("they waited for %s", d)
		}
		id, err := q.Next(t.Context(), "k")
		if err != nil || id != 12 || len(c.adds) != 3 {
			t.Errorf("%d, %v, calls %v: want one id lost, and the segment", id, err, c.adds)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseDuringCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &slow{delay: time.Minute}
		q := sequencer.Count(t.Context(), c)
		errs := make(chan error, 3)
		go func() { _, err := q.Next(t.Context(), "k"); errs <- err }()
		go func() { _, _, err := q.Segment(t.Context(), "k", 5); errs <- err }()
		go func() { errs <- q.Raise(t.Context(), "k", 5) }()
		synctest.Wait()
		for range 2 {
			if err := q.Close(); err != nil {
				t.Error(err)
			}
		}
		for range cap(errs) {
			if err := <-errs; !errors.Is(err, sequencer.ErrClosed) {
				t.Errorf("%v, want ErrClosed", err)
			}
		}
		if c.closing != 1 {
			t.Errorf("the counter was closed %d times", c.closing)
		}
	})
}

// A backend that does not answer does not hold callers for ever who have no limit.
func TestNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := sequencer.Count(t.Context(), &slow{delay: time.Hour})
		began := time.Now()
		if _, err := q.Next(t.Context(), "k"); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 10*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
}

// What cannot be a sum is not given out, whatever the backend says.
func TestNonsense(t *testing.T) {
	q := sequencer.Count(t.Context(), &slow{number: -10})
	if id, err := q.Next(t.Context(), "k"); err == nil || !strings.Contains(err.Error(), "something else") {
		t.Errorf("%d, %v", id, err)
	}
	on := errors.New("on fire")
	q = sequencer.Count(t.Context(), &slow{err: on})
	if _, err := q.Next(t.Context(), "k"); !errors.Is(err, on) {
		t.Errorf("%v", err)
	}
	if err := q.Check(t.Context()); !errors.Is(err, on) {
		t.Errorf("%v", err)
	}
}
