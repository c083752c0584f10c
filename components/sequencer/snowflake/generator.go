package snowflake

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components/sequencer"
)

// layout says how wide the parts of an id are.
type layout struct {
	timeBits, workerBits, seqBits uint
	start                         int64 // Unix time of the second 0
}

// generator makes the ids of one key.
type generator struct {
	layout
	worker int64
	now    func() time.Time

	mu     sync.Mutex
	second int64 // of the last id, Unix time
	seq    int64 // its count
	used   time.Time
}

// next makes an id. It waits for the clock, for at most patience.
func (g *generator) next(ctx context.Context, patience time.Duration) (int64, error) {
	began := g.now()
	for {
		id, wait, err := g.try()
		if err != nil || wait == 0 {
			return id, err
		}
		spent := g.now().Sub(began)
		if spent < 0 || spent+wait > patience {
			return 0, g.late(wait, patience)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return 0, ctx.Err()
		}
	}
}

// late says what was waited for in vain.
func (g *generator) late(wait, patience time.Duration) error {
	if wait > time.Second {
		return fmt.Errorf("the clock went back: it is %s behind the last id of this key, more than is waited for (reqTimeout %s): set it right, or wait", wait, patience)
	}
	return fmt.Errorf("all %d ids of this second are used up, and the next is %s away, more than is waited for (reqTimeout %s): ask later, or raise seqBits", 1<<g.seqBits, wait, patience)
}

// try makes an id, or says for how long there is none.
func (g *generator) try() (id int64, wait time.Duration, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	g.used = now
	second := now.Unix()
	switch {
	case second < g.second:
		return 0, time.Unix(g.second, 0).Sub(now), nil
	case second > g.second:
		g.second, g.seq = second, -1
	case g.seq+1 >= 1<<g.seqBits:
		return 0, time.Unix(second+1, 0).Sub(now), nil
	}
	since := second - g.start
	if since < 0 {
		return 0, 0, fmt.Errorf("it is %s, before startTime", now.UTC().Format(time.DateTime))
	}
	if since >= 1<<g.timeBits {
		return 0, 0, fmt.Errorf("%w: the time since startTime does not fit into %d bits (timeBits)", sequencer.ErrExhausted, g.timeBits)
	}
	g.seq++
	return since<<(g.workerBits+g.seqBits) | g.worker<<g.seqBits | g.seq, 0, nil
}

// last returns the second of the last id, and when it was asked for one.
func (g *generator) last() (second int64, used time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.second, g.used
}
