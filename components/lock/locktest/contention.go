package locktest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// lockers returns n of them: all the same when every one has locks of its own.
func (s *suite) lockers(n int) []lock.Locker {
	s.Helper()
	all := []lock.Locker{s.locker}
	for len(all) < n && !s.opts.Single {
		all = append(all, s.another())
	}
	return all
}

func testOneWinner(s *suite) {
	lockers := s.lockers(2)
	for round := range 10 {
		r := s.resource(fmt.Sprint(round))
		var winners atomic.Int64
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range 16 {
			wg.Go(func() {
				<-start
				g, err := lockers[i%len(lockers)].TryLock(s.ctx, r, fmt.Sprint(i), long)
				if err != nil {
					s.Errorf("TryLock under contention: %v: that somebody else has it is no error", err)
				}
				if g != nil {
					winners.Add(1)
				}
			})
		}
		close(start)
		wg.Wait()
		if n := winners.Load(); n != 1 {
			s.Fatalf("round %d: %d winners", round, n)
		}
	}
}

// contender takes a resource again and again and notes how long it waited.
type contender struct {
	owner   string
	got     int
	longest time.Duration
}

// contend lets contenders take a resource until each has had it often enough;
// inside is called by the one who holds it.
func (s *suite) contend(contenders, often int, inside func()) []*contender {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, testserver.Patience)
	defer cancel()
	r, lockers := s.resource("r"), s.lockers(2)
	all := make([]*contender, contenders)
	var wg sync.WaitGroup
	for i := range all {
		c := &contender{owner: fmt.Sprint("contender ", i)}
		all[i] = c
		wg.Go(func() {
			l := lockers[i%len(lockers)]
			since := time.Now()
			for c.got < often {
				g, err := l.TryLock(ctx, r, c.owner, long)
				if err != nil {
					s.Errorf("%s: TryLock: %v, after %d times", c.owner, err, c.got)
					return
				}
				if g == nil {
					pause(ctx, time.Millisecond+rand.N(4*time.Millisecond))
					continue
				}
				c.longest = max(c.longest, time.Since(since))
				inside()
				if status, err := l.Unlock(ctx, r, c.owner); err != nil || status != lock.Done {
					s.Errorf("%s: Unlock: %v, %v", c.owner, status, err)
					return
				}
				c.got++
				since = time.Now()
			}
		})
	}
	wg.Wait()
	return all
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func testMutualExclusion(s *suite) {
	unguarded, busy := 0, atomic.Int32{}
	s.contend(8, 5, func() {
		if busy.Add(1) != 1 {
			s.Error("two owners are inside")
		}
		unguarded++ // the race detector sees it if the lock does not order the owners
		busy.Add(-1)
	})
	if unguarded != 40 && !s.Failed() {
		s.Errorf("%d times inside, want 40", unguarded)
	}
}

// Everybody gets the lock as long as holders give it back: who waits longest does
// not wait for ever, though nobody stands in a queue.
func testNobodyStarves(s *suite) {
	began := time.Now()
	all := s.contend(6, 8, func() { pause(s.ctx, time.Millisecond) })
	total, longest := time.Since(began), time.Duration(0)
	for _, c := range all {
		longest = max(longest, c.longest)
		if c.got != 8 {
			s.Errorf("%s got the lock %d times, want 8", c.owner, c.got)
		}
	}
	s.Logf("48 grants to 6 owners in %s; the longest wait was %s", total.Round(time.Millisecond), longest.Round(time.Millisecond))
}
