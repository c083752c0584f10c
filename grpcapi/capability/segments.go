package capability

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components/sequencer"
)

const (
	// segmentSize is how many ids are taken at once, if nothing else is configured.
	segmentSize = 10000
	// segmentLow is the part of a segment, one in so many, with which the next
	// segment is taken.
	segmentLow = 10
	// segmentKeys is for how many keys there are segments at a time; segmentIdle
	// is how long one may lie unused. What is left of those that are dropped is
	// lost: a gap.
	segmentKeys = 10000
	segmentIdle = 10 * time.Minute
	// fetchTime bounds the taking of a segment; after one that failed while there
	// were ids left, fetchPause passes before the next.
	fetchTime  = 5 * time.Second
	fetchPause = 100 * time.Millisecond
)

// segments are ranges of ids that were taken from one component, per key.
type segments struct {
	q         *sequence
	segmenter sequencer.Segmenter
	size      int64

	mu    sync.Mutex
	keys  map[string]*list.Element
	order list.List // of *keySegments, the one that was used last in front
}

// span is a range of ids, both ends in it; none when from is greater.
type span struct{ from, to int64 }

func (s span) left() int64 { return s.to - s.from + 1 }

// keySegments are the ids of one key.
type keySegments struct {
	key  string
	used time.Time // guarded by segments.mu

	mu       sync.Mutex
	live     span
	next     span
	waiting  int64  // callers who find no id
	fetching *fetch // nil: none is under way
	retry    time.Time
}

// fetch is the taking of a segment, which all who wait for it share.
type fetch struct {
	done chan struct{}
	err  error // once done is closed
}

func newSegments(q *sequence, g sequencer.Segmenter, size int64) *segments {
	if size <= 0 {
		size = segmentSize
	}
	return &segments{q: q, segmenter: g, size: size, keys: make(map[string]*list.Element)}
}

// next returns an id of key, mostly without asking the component.
func (s *segments) next(ctx context.Context, key string) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	k := s.entry(key)
	for {
		id, wait := s.take(ctx, k)
		if wait == nil {
			return id, nil
		}
		select {
		case <-wait.done:
		case <-ctx.Done():
		}
		k.mu.Lock()
		k.waiting--
		k.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if wait.err != nil {
			Repanic(wait.err)
			return 0, wait.err
		}
	}
}

// take returns an id, or what to wait for; then the caller counts as waiting.
func (s *segments) take(ctx context.Context, k *keySegments) (int64, *fetch) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.live.left() <= 0 {
		k.live, k.next = k.next, span{1, 0}
	}
	empty := k.live.left() <= 0
	low := k.live.left() <= s.size/segmentLow && k.next.left() <= 0
	if empty {
		k.waiting++
	}
	if k.fetching == nil && (empty || low && time.Now().After(k.retry)) {
		k.fetching = &fetch{done: make(chan struct{})}
		go s.fetch(context.WithoutCancel(ctx), k, k.fetching, max(s.size, k.waiting))
	}
	if empty {
		return 0, k.fetching
	}
	k.live.from++
	return k.live.from - 1, nil
}

// fetch takes a segment. It is nobody's own: who began it may go away.
func (s *segments) fetch(ctx context.Context, k *keySegments, f *fetch, size int64) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	var got span
	err := Guard(func() (err error) { got, err = s.segment(ctx, k.key, size); return err })
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("no ids within %s: %w", fetchTime, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fetching = nil
	if err != nil {
		f.err, k.retry = err, time.Now().Add(fetchPause)
	} else {
		k.next = got
	}
	close(f.done)
}

// segment asks the component, until the ids are as great as they have to be.
func (s *segments) segment(ctx context.Context, key string, size int64) (span, error) {
	than, guarded := s.q.biggerThan[key]
	for try := 0; ; try++ {
		from, to, err := s.segmenter.Segment(ctx, key, size)
		if err == nil && to < from {
			err = fmt.Errorf("the sequencer made the ids %d to %d", from, to)
		}
		if err != nil {
			return span{}, err
		}
		if !guarded || to > than {
			if guarded {
				from = max(from, than+1)
			}
			return span{from, to}, nil
		}
		if err := s.q.raiseAgain(ctx, key, to, than, try); err != nil {
			return span{}, err
		}
	}
}

// entry returns the segments of key, and drops others that are too many or idle.
func (s *segments) entry(key string) *keySegments {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.keys[key]; e != nil {
		k := e.Value.(*keySegments)
		k.used = now
		s.order.MoveToFront(e)
		return k
	}
	for oldest := s.order.Back(); oldest != nil; oldest = s.order.Back() {
		k := oldest.Value.(*keySegments)
		if len(s.keys) < segmentKeys && now.Sub(k.used) < segmentIdle {
			break
		}
		s.order.Remove(oldest)
		delete(s.keys, k.key)
	}
	k := &keySegments{key: key, used: now, live: span{1, 0}, next: span{1, 0}}
	s.keys[key] = s.order.PushFront(k)
	return k
}
