package statetest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/components/state"
)

func testOneWinner(s *suite) {
	k := s.key("k")
	s.set(k, "start")
	for round := range 20 {
		etag := s.get(k).ETag
		winner := s.race(8, func(i int) error {
			return s.store.Write(s.ctx, state.Op{Key: k, Value: fmt.Appendf(nil, "%d/%d", round, i), ETag: etag, HasETag: true})
		})
		s.want(k, fmt.Sprintf("%d/%d", round, winner))
	}
}

func testOneCreator(s *suite) {
	for round := range 20 {
		k := s.key(strconv.Itoa(round))
		winner := s.race(8, func(i int) error {
			return s.store.Write(s.ctx, state.Op{Key: k, Value: []byte(strconv.Itoa(i)), Options: state.Options{Concurrency: state.FirstWrite}})
		})
		s.want(k, strconv.Itoa(winner))
	}
}

// race runs n writers at once, asserts that exactly one succeeds and all others
// fail with a mismatch, and returns the winner's number.
func (s *suite) race(n int, write func(i int) error) int {
	s.Helper()
	var wg sync.WaitGroup
	start := make(chan struct{})
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = write(i)
		})
	}
	close(start)
	wg.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			s.Fatalf("writers %d and %d both won", winner, i)
		case err == nil:
			winner = i
		case !errors.Is(err, state.ErrETagMismatch):
			s.Fatalf("writer %d: %v", i, err)
		}
	}
	if winner < 0 {
		s.Fatal("no writer won")
	}
	return winner
}

// testIncrements adds to one counter from many goroutines by read, compare, write.
func testIncrements(s *suite) {
	const workers, each = 8, 25
	k := s.key("counter")
	s.set(k, "0")
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for done := 0; done < each; {
				item, err := s.store.Get(s.ctx, state.Get{Key: k})
				if err != nil || item == nil {
					s.Errorf("Get: %v, %v", item, err)
					return
				}
				n, _ := strconv.Atoi(string(item.Value))
				err = s.store.Write(s.ctx, state.Op{Key: k, Value: []byte(strconv.Itoa(n + 1)), ETag: item.ETag, HasETag: true})
				switch {
				case err == nil:
					done++
				case !errors.Is(err, state.ErrETagMismatch):
					s.Errorf("Write: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	s.want(k, strconv.Itoa(workers*each))
}

// testHistory lets readers and writers meet on one key and checks that what
// was read fits to some order of the operations: a reader sees a value that a
// write began to store before the read ended, and never one that another write
// had replaced before the read began.
func testHistory(s *suite) {
	const workers, each = 6, 60
	type event struct {
		start, end int64
		value      string
		write      bool
	}
	k := s.key("k")
	var clock atomic.Int64
	histories := make([][]event, workers)
	s.set(k, "initial")
	initial := event{start: clock.Add(1), end: clock.Add(1), value: "initial", write: true}

	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				e := event{start: clock.Add(1), write: (w+i)%3 == 0}
				if e.write {
					e.value = fmt.Sprintf("%d/%d", w, i)
					if err := s.store.Write(s.ctx, state.Op{Key: k, Value: []byte(e.value)}); err != nil {
						s.Errorf("Write: %v", err)
						return
					}
				} else {
					item, err := s.store.Get(s.ctx, state.Get{Key: k})
					if err != nil || item == nil {
						s.Errorf("Get: %v, %v", item, err)
						return
					}
					e.value = string(item.Value)
				}
				e.end = clock.Add(1)
				histories[w] = append(histories[w], e)
			}
		})
	}
	wg.Wait()

	writes := []event{initial}
	var reads []event
	for _, h := range histories {
		for _, e := range h {
			if e.write {
				writes = append(writes, e)
			} else {
				reads = append(reads, e)
			}
		}
	}
	byValue := map[string]event{}
	for _, w := range writes {
		byValue[w.value] = w
	}
	for _, r := range reads {
		w, ok := byValue[r.value]
		if !ok || w.start > r.end {
			s.Fatalf("a read returned %q, which nobody had written", r.value)
		}
		for _, later := range writes {
			if w.end < later.start && later.end < r.start {
				s.Fatalf("a read returned %q after %q had replaced it", r.value, later.value)
			}
		}
	}
}

// testTransactTransfers moves amounts between keys; nobody ever sees a sum
// that is not the whole.
func testTransactTransfers(s *suite) {
	tx := s.store.(state.Transactor)
	const accounts, workers, each, total = 3, 4, 15, 300
	keys := make([]string, accounts)
	for i := range keys {
		keys[i] = s.key("{a}" + strconv.Itoa(i))
		s.set(keys[i], strconv.Itoa(total/accounts))
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for done, n := 0, 0; done < each; n++ {
				from, to := keys[(w+n)%accounts], keys[(w+n+1)%accounts]
				a, err1 := s.store.Get(s.ctx, state.Get{Key: from})
				b, err2 := s.store.Get(s.ctx, state.Get{Key: to})
				if err1 != nil || err2 != nil || a == nil || b == nil {
					s.Errorf("Get: %v, %v", err1, err2)
					return
				}
				x, _ := strconv.Atoi(string(a.Value))
				y, _ := strconv.Atoi(string(b.Value))
				err := tx.Transact(s.ctx, []state.Op{
					{Key: from, Value: []byte(strconv.Itoa(x - 1)), ETag: a.ETag, HasETag: true},
					{Key: to, Value: []byte(strconv.Itoa(y + 1)), ETag: b.ETag, HasETag: true},
				})
				switch {
				case err == nil:
					done++
				case !errors.Is(err, state.ErrETagMismatch):
					s.Errorf("Transact: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, k := range keys {
		n, err := strconv.Atoi(string(s.get(k).Value))
		if err != nil {
			s.Fatal(err)
		}
		sum += n
	}
	if sum != total {
		s.Fatalf("the accounts hold %d, want %d", sum, total)
	}
}

// pause lets d pass: at once in fake time.
func (s *suite) pause(d time.Duration) {
	s.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
		s.Fatal(s.ctx.Err())
	}
}
