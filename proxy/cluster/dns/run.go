package dns

import (
	"container/heap"
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
)

// result is what became of looking up a name.
type result struct {
	name  *name
	addrs []netip.Addr
	ttl   time.Duration
	err   error
}

// Run looks the names up until ctx ends, and then returns promptly. It calls
// update, in its own goroutine, with the hosts whenever they have changed from
// what Hosts returned before: the first time when each name has been looked up
// with success or without, or after 5 s; changes that come within a tenth of a
// second may be told of together. The list must not be changed. Run is called
// once.
func (w *Watcher) Run(ctx context.Context, update func([]config.Host)) {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	start := time.Now()
	waiting := make(queue, 0, len(w.names))
	for _, n := range w.names {
		n.due = start
		waiting = append(waiting, n)
	}
	var (
		first    = len(w.names)              // so many names have not been looked up once
		told     = false                     // there was a first result
		since    time.Time                   // when the first change not told of yet was; zero: there is none
		busy     int                         // lookups on their way
		finished = make(chan result, atOnce) // has room for all of them
		timer    = time.NewTimer(0)
	)
	defer timer.Stop()
	for {
		now := time.Now()
		for busy < atOnce && len(waiting) > 0 && !waiting[0].due.After(now) {
			n := heap.Pop(&waiting).(*name)
			busy++
			wg.Go(func() {
				r := result{name: n}
				r.addrs, r.ttl, r.err = w.lookup.Lookup(ctx, n.text, w.options.Family)
				finished <- r
			})
		}

		// Tell, or find out when to.
		var wake time.Time
		switch {
		case !told && first > 0 && now.Before(start.Add(firstWait)):
			wake = start.Add(firstWait)
		case !told || !since.IsZero() && (busy == 0 || now.Sub(since) >= settle):
			w.publish(update)
			since = time.Time{}
			if !told {
				told = true
				close(w.ready)
			}
		case !since.IsZero():
			wake = since.Add(settle)
		}
		if busy < atOnce && len(waiting) > 0 && (wake.IsZero() || waiting[0].due.Before(wake)) {
			wake = waiting[0].due
		}
		var tick <-chan time.Time
		if !wake.IsZero() {
			timer.Reset(time.Until(wake))
			tick = timer.C
		}
		select {
		case <-ctx.Done():
			return
		case <-tick:
		case r := <-finished:
			if ctx.Err() != nil {
				return
			}
			busy--
			if !r.name.done {
				r.name.done = true
				first--
			}
			if w.note(r) && since.IsZero() {
				since = time.Now()
			}
			heap.Push(&waiting, r.name)
		}
	}
}

// publish tells of the hosts if they have changed.
func (w *Watcher) publish(update func([]config.Host)) {
	list, found := w.expand()
	w.mu.Lock()
	same := slices.EqualFunc(list, w.current, func(a, b config.Host) bool { return a.Address == b.Address && a.Hostname == b.Hostname })
	w.found = found
	if !same {
		w.current = list
	}
	w.mu.Unlock()
	if !same {
		update(list)
	}
}

// note takes in a result, and reports whether the name has other addresses now.
func (w *Watcher) note(r result) bool {
	n, log := r.name, w.options.Log
	if r.err == nil && len(r.addrs) == 0 {
		r.err = &NotFoundError{Name: n.text, Exists: true, Family: w.options.Family}
	}
	if r.err != nil {
		n.failures++
		n.due = time.Now().Add(w.pause(n.failures))
		now := silent
		if _, ok := errors.AsType[*NotFoundError](r.err); ok {
			now = unknown
		}
		if n.trouble != now {
			log.Warn("a name of hosts cannot be looked up; the addresses known before stay in use", "name", n.text, "addresses", len(n.addrs), "error", r.err)
		}
		n.trouble = now
		return false
	}
	n.due = time.Now().Add(w.rest(r.ttl))
	if n.trouble != fine {
		log.Info("a name of hosts can be looked up again", "name", n.text, "addresses", len(r.addrs), "failures", n.failures)
	}
	n.trouble, n.failures = fine, 0
	addrs := unique(slices.Clone(r.addrs))
	if slices.Equal(addrs, n.addrs) {
		return false
	}
	log.Info("a name of hosts stands for other addresses", "name", n.text, "addresses", len(addrs), "before", len(n.addrs))
	n.addrs = addrs
	return true
}

// rest returns the time until the next lookup after a success. Not all names are
// looked up at once: up to a tenth of it is left to chance.
func (w *Watcher) rest(ttl time.Duration) time.Duration {
	if !w.options.RespectTTL {
		return w.options.RefreshRate - spread(w.options.RefreshRate/10)
	}
	// Later, not earlier: before its time a caching server gives the same answer.
	d := min(max(ttl, minTTL), longestTTL)
	return d + spread(d/10)
}

// pause returns the time until the next lookup after some failures in a row.
func (w *Watcher) pause(failures int) time.Duration {
	d := min(w.options.RefreshRate, defaultRate)
	limit := max(w.options.RefreshRate, longestPause)
	for range failures - 1 {
		if d *= 2; d >= limit {
			d = limit
			break
		}
	}
	return d - spread(d/10)
}

// spread returns a random time of up to d.
func spread(d time.Duration) time.Duration { return rand.N(d + 1) }

// queue holds the names that wait to be looked up; the first is the one that is
// due next.
type queue []*name

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(n any)        { *q = append(*q, n.(*name)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	n := (*q)[last]
	*q = (*q)[:last]
	return n
}
