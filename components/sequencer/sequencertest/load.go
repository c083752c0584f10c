package sequencertest

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components/sequencer"
)

// Load notes ids and when they were taken.
type Load struct {
	t       *testing.T
	ordered bool
	began   time.Time

	mu    sync.Mutex
	taken []taken
}

type taken struct {
	id         int64
	call, done time.Duration
}

// NewLoad makes one. ordered says that a call that begins after another has ended
// must get the greater id, whoever makes it.
func NewLoad(t *testing.T, ordered bool) *Load {
	return &Load{t: t, ordered: ordered, began: time.Now()}
}

// Take takes n ids of key from q; the test fails if it cannot.
func (l *Load) Take(q sequencer.Sequencer, key string, n int) {
	for range n {
		if err := l.Try(l.t.Context(), func(ctx context.Context) (int64, error) { return q.Next(ctx, key) }); err != nil {
			l.t.Errorf("Next: %v", err)
			return
		}
	}
}

// Try takes an id in any way; a failure is returned, and is none of the load's.
func (l *Load) Try(ctx context.Context, next func(context.Context) (int64, error)) error {
	call := time.Since(l.began)
	id, err := next(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = append(l.taken, taken{id, call, time.Since(l.began)})
	return nil
}

// Count returns how many ids were taken.
func (l *Load) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.taken)
}

// Check fails the test if an id was given out twice, or out of order, and returns
// all of them, sorted.
func (l *Load) Check() []int64 {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	return check(l.t, l.taken, l.ordered)
}

type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

func check(t reporter, all []taken, ordered bool) []int64 {
	t.Helper()
	ids := make([]int64, len(all))
	for i, a := range sortedBy(all, func(a taken) int64 { return a.id }) {
		ids[i] = a.id
		if a.id <= 0 {
			t.Errorf("id %d", a.id)
		}
		if i > 0 && ids[i-1] == a.id {
			t.Errorf("id %d was given out twice", a.id)
		}
	}
	if !ordered {
		return ids
	}
	// Going through the calls as they began, no id may be less than one whose call
	// had ended by then.
	ended := sortedBy(all, func(a taken) int64 { return int64(a.done) })
	greatest, e := int64(0), 0
	for _, a := range sortedBy(all, func(a taken) int64 { return int64(a.call) }) {
		for ; e < len(ended) && ended[e].done < a.call; e++ {
			greatest = max(greatest, ended[e].id)
		}
		if a.id < greatest {
			t.Errorf("id %d was given to a call that began at %s, after %d had been given out", a.id, a.call, greatest)
		}
	}
	return ids
}

func sortedBy(all []taken, by func(taken) int64) []taken {
	return slices.SortedFunc(slices.Values(all), func(a, b taken) int { return cmp.Compare(by(a), by(b)) })
}
