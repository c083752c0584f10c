package sequencer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
)

// Counter is one number per key, 0 where there is none yet. All methods are safe
// for concurrent use. They should heed ctx; one that does not must have an end of
// its own.
type Counter interface {
	// Add adds n, which is positive, in one step that no other process can get in
	// between, and returns the number that comes of it. When that would be too
	// great, it changes nothing and returns ErrExhausted.
	Add(ctx context.Context, key string, n int64) (int64, error)
	// Raise makes the number at least least.
	Raise(ctx context.Context, key string, least int64) error
	// Check tells whether the backend can serve.
	Check(ctx context.Context) error
	// Close releases everything; calls under way fail. It is called once.
	Close() error
}

const (
	// roundTime bounds one call of Add that many callers share.
	roundTime = 10 * time.Second
	// roundSize is how many callers share one.
	roundSize = 1024
)

// Counted is a Sequencer over a Counter. Callers who want the same key at the same
// time share one call of Add, so that a backend that knows no more than to compare
// and set is not asked once for each. Use Count. It implements Sequencer,
// Segmenter, Raiser and components.Checker.
type Counted struct {
	counter Counter
	life    context.Context // ends with Close
	end     context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	waiting map[string][]*caller // keys with a round under way; the callers of the next
}

var (
	_ Sequencer          = (*Counted)(nil)
	_ Segmenter          = (*Counted)(nil)
	_ Raiser             = (*Counted)(nil)
	_ components.Checker = (*Counted)(nil)
)

// caller waits for one id.
type caller struct {
	ctx  context.Context
	done chan answer // has room for one
}

type answer struct {
	id  int64
	err error
}

// Count makes a sequencer of c, which is its to close. ctx does not bound its life.
func Count(ctx context.Context, c Counter) *Counted {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	return &Counted{counter: c, life: life, end: end, waiting: make(map[string][]*caller)}
}

// Next implements Sequencer.
func (s *Counted) Next(ctx context.Context, key string) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := CheckKey(key); err != nil {
		return 0, err
	}
	c := &caller{ctx: ctx, done: make(chan answer, 1)}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return 0, ErrClosed
	}
	if others, busy := s.waiting[key]; busy {
		s.waiting[key] = append(others, c)
	} else {
		s.waiting[key] = nil
		s.running.Go(func() { s.rounds(key, []*caller{c}) }) //nolint:contextcheck // a round is nobody's own
	}
	s.mu.Unlock()
	select {
	case a := <-c.done:
		return a.id, a.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// rounds serves callers of key, and those who have come meanwhile, until there
// are none.
func (s *Counted) rounds(key string, callers []*caller) {
	for len(callers) > 0 {
		s.round(key, callers)
		s.mu.Lock()
		callers = s.waiting[key]
		if len(callers) == 0 {
			delete(s.waiting, key)
		} else {
			n := min(len(callers), roundSize)
			s.waiting[key] = append([]*caller(nil), callers[n:]...)
			callers = callers[:n]
		}
		s.mu.Unlock()
	}
}

// round takes as many ids as there are callers who still wait. They all came
// before it began, so that each id is greater than what was given out before.
func (s *Counted) round(key string, callers []*caller) {
	var live []*caller
	for _, c := range callers {
		if c.ctx.Err() == nil {
			live = append(live, c)
		}
	}
	if len(live) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(s.life, roundTime)
	defer cancel()
	n := int64(len(live))
	to, err := s.counter.Add(ctx, key, n)
	if err == nil && to < n {
		err = fmt.Errorf("the number of key %q is %d after %d were added to it: is something else stored there?", key, to, n)
	}
	if errors.Is(err, ErrExhausted) && n > 1 {
		for _, c := range live { // there may be some left
			s.round(key, []*caller{c})
		}
		return
	}
	err = s.explain(err)
	for i, c := range live {
		if err != nil {
			c.done <- answer{err: err}
		} else {
			c.done <- answer{id: to - n + 1 + int64(i)}
		}
	}
}

// Segment implements Segmenter.
func (s *Counted) Segment(ctx context.Context, key string, size int64) (from, to int64, err error) {
	if size < 1 {
		return 0, 0, fmt.Errorf("%w: a segment of %d ids", ErrInvalid, size)
	}
	var got int64
	err = s.do(ctx, key, func(ctx context.Context) (err error) {
		got, err = s.counter.Add(ctx, key, size)
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	return got - size + 1, got, nil
}

// Raise implements Raiser.
func (s *Counted) Raise(ctx context.Context, key string, than int64) error {
	return s.do(ctx, key, func(ctx context.Context) error { return s.counter.Raise(ctx, key, than) })
}

// Check implements components.Checker.
func (s *Counted) Check(ctx context.Context) error { return s.do(ctx, "-", s.counter.Check) }

// do makes a call in a goroutine of its own, so that the caller can leave.
func (s *Counted) do(ctx context.Context, key string, call func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := CheckKey(key); err != nil {
		return err
	}
	done := make(chan error, 1)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.running.Go(func() {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(s.life, cancel)() //nolint:contextcheck // ends with both
		done <- s.explain(call(ctx))
	})
	s.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// explain tells what fails because of Close.
func (s *Counted) explain(err error) error {
	if err != nil && s.life.Err() != nil {
		return ErrClosed
	}
	return err
}

// Close implements Sequencer. It waits until the counter has ended what it does.
func (s *Counted) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	s.end()
	var err error
	if first {
		err = s.counter.Close()
	}
	s.running.Wait()
	return err
}
