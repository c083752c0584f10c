package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A load is a closed loop: Workers callers, each making its next call when the
// last one has returned. It ends after Warmup plus Duration, after MaxCalls, or
// with its context, whatever is first.
type load struct {
	Workers  int
	Warmup   time.Duration // calls that end in it are not recorded
	Duration time.Duration
	MaxCalls int64 // with those of the warm-up; 0 is maxCalls
}

// maxCalls bounds every load, whatever its time.
const maxCalls = 50_000_000

// A result is what one load measured.
type result struct {
	Calls      uint64        // recorded
	AllCalls   uint64        // with those of the warm-up
	Errors     uint64        // of all calls
	FirstError string        // "" without errors
	Elapsed    time.Duration // of the recorded part
	P50, P99   time.Duration
	Max        time.Duration
}

func (r result) perSecond() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Calls) / r.Elapsed.Seconds()
}

// run makes the load. newCall is asked once per worker for its call, which is
// used from that worker's goroutine only. A failed call is counted but not
// recorded; after a failure the worker rests for a moment, so that a dead server
// is not called in a tight loop.
func (l load) run(ctx context.Context, newCall func() func(context.Context) error) result {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	limit := l.MaxCalls
	if limit <= 0 || limit > maxCalls {
		limit = maxCalls
	}
	var made atomic.Int64
	type tally struct {
		histogram
		all, errors uint64
		firstError  error
		last        time.Time
	}
	tallies := make([]tally, l.Workers)
	begin := time.Now()
	recordFrom, end := begin.Add(l.Warmup), begin.Add(l.Warmup+l.Duration)
	var wg sync.WaitGroup
	for i := range tallies {
		t := &tallies[i]
		call := newCall()
		wg.Go(func() {
			start := time.Now()
			for ctx.Err() == nil && start.Before(end) && made.Add(1) <= limit {
				err := call(ctx)
				now := time.Now()
				t.all++
				switch {
				case err != nil:
					t.errors++
					if t.firstError == nil {
						t.firstError = err
					}
					pause(ctx, 10*time.Millisecond)
					now = time.Now()
				case now.After(recordFrom):
					t.record(now.Sub(start))
					t.last = now
				}
				start = now
			}
		})
	}
	wg.Wait()

	var sum histogram
	var r result
	var last time.Time
	for i := range tallies {
		t := &tallies[i]
		sum.merge(&t.histogram)
		r.AllCalls += t.all
		r.Errors += t.errors
		if r.FirstError == "" && t.firstError != nil {
			r.FirstError = t.firstError.Error()
		}
		if t.last.After(last) {
			last = t.last
		}
	}
	r.Calls, r.Max = sum.count, sum.max
	r.P50, r.P99 = sum.percentile(0.50), sum.percentile(0.99)
	if r.Calls > 0 {
		r.Elapsed = last.Sub(recordFrom)
	}
	return r
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
