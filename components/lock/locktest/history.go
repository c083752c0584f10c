package locktest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// HistoryOptions say how a history is made.
type HistoryOptions struct {
	// Clients is how many callers there are; 0 is 6.
	Clients int
	// Calls is how many calls each makes; 0 is 60.
	Calls int
	// Resources is how many resources they want; 0 is 3.
	Resources int
	// Expire is for how long a lock is taken, and for half of the calls twice so
	// long; 0 is 100 ms.
	Expire time.Duration
	// Timeout is how long a call may take; 0 is a second.
	Timeout time.Duration
	// Spurious says that TryLock may be refused though nobody holds the resource,
	// and that what was refused may be granted later, until it expires, without
	// anybody knowing: so it is where a majority of servers decides that need not
	// answer. Two owners who know of their grants are still one too many.
	Spurious bool
	// Faults is called once, beside the callers: it may pause, cut and restart
	// what it wants, as long as done is open.
	Faults func(done <-chan struct{})
}

// History lets callers take, renew and give back locks through lockers, which
// all see the same locks, and checks that what they saw can be explained by one
// lock at a time for each resource. Calls that fail may have happened or not; too
// many of them make a history that says little, so how many there were is logged
// and returned.
func History(t *testing.T, lockers []lock.Locker, o HistoryOptions) (calls, failed int) {
	t.Helper()
	setDefault(&o.Clients, 6)
	setDefault(&o.Calls, 60)
	setDefault(&o.Resources, 3)
	setDefault(&o.Expire, 100*time.Millisecond)
	setDefault(&o.Timeout, time.Second)
	h := &history{t: t, opts: o, began: time.Now(), names: time.Now().UnixNano()}
	done, faulty := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(faulty)
		if o.Faults != nil {
			o.Faults(done)
		}
	}()
	var wg sync.WaitGroup
	for i := range o.Clients {
		wg.Go(func() { h.client(i, lockers[i%len(lockers)]) })
	}
	wg.Wait()
	close(done)
	<-faulty
	model := lockModel()
	switch porcupine.CheckOperationsTimeout(model, h.ops, 20*time.Second) {
	case porcupine.Illegal:
		t.Errorf("no order of the %d calls explains what they returned (%d failed)", len(h.ops), h.failed)
		for _, op := range h.ops {
			t.Log(describe(op))
		}
	case porcupine.Unknown:
		t.Logf("whether the %d calls make sense (%d failed) could not be found out in time", len(h.ops), h.failed)
	case porcupine.Ok:
		t.Logf("%d calls make sense, %d of them failed", len(h.ops), h.failed)
	}
	return len(h.ops), h.failed
}

func setDefault[T int | time.Duration](v *T, value T) {
	if *v == 0 {
		*v = value
	}
}

// testHistory is a history without faults.
func testHistory(s *suite) {
	expire := s.opts.Expire
	if s.opts.NoRenew {
		s.Skip("SKIP: Renew is not supported")
	}
	lockers := s.lockers(2)
	testserver.OnceOf(s, func(int) error {
		calls, failed := History(s.T, lockers, HistoryOptions{Expire: min(expire, time.Second), Timeout: testserver.Patience, Spurious: s.opts.Spurious})
		switch {
		case failed > 0 && s.opts.Spurious:
			return fmt.Errorf("%d of %d calls failed", failed, calls)
		case calls == 0 || failed > 0:
			s.Errorf("%d of %d calls failed", failed, calls)
		}
		return nil
	})
}

// history collects calls.
type history struct {
	t     *testing.T
	opts  HistoryOptions
	began time.Time
	names int64

	mu     sync.Mutex
	ops    []porcupine.Operation
	failed int
}

type method uint8

const (
	tryLock method = iota
	unlock
	renew
)

// input is a call. Times are nanoseconds since the history began.
type input struct {
	method    method
	resource  string
	owner     string
	expire    int64
	call, end int64 // when it was made and had returned
}

// output is what it returned.
type output struct {
	unknown bool // it failed
	got     bool // of tryLock
	status  lock.Status
}

// client makes calls one after the other.
func (h *history) client(id int, l lock.Locker) {
	owner, resource := "", ""
	for n := range h.opts.Calls {
		in := input{method: tryLock, expire: int64(h.opts.Expire) * (1 + int64(n%2))}
		switch p := rand.IntN(10); {
		case owner == "" || p < 3: // another attempt, as another owner
			owner = fmt.Sprintf("client %d attempt %d", id, n)
			resource = fmt.Sprintf("history %d/%d", h.names, rand.IntN(h.opts.Resources))
		case p < 6:
			in.method = renew
		case p < 8:
			in.method = unlock
		default:
			pause(h.t.Context(), rand.N(h.opts.Expire/2))
		}
		in.owner, in.resource = owner, resource
		out := h.call(l, &in)
		if out.unknown {
			owner = ""
		}
		h.record(id, in, out)
	}
}

func (h *history) call(l lock.Locker, in *input) (out output) {
	ctx, cancel := context.WithTimeout(h.t.Context(), h.opts.Timeout)
	defer cancel()
	in.call = int64(time.Since(h.began))
	var err error
	switch in.method {
	case tryLock:
		var g *lock.Grant
		g, err = l.TryLock(ctx, in.resource, in.owner, time.Duration(in.expire))
		out.got = g != nil
	case unlock:
		out.status, err = l.Unlock(ctx, in.resource, in.owner)
	case renew:
		out.status, err = l.Renew(ctx, in.resource, in.owner, time.Duration(in.expire))
	}
	in.end = int64(time.Since(h.began))
	out.unknown = err != nil
	return out
}

func (h *history) record(id int, in input, out output) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if out.unknown {
		h.failed++
	}
	if h.opts.Spurious && in.method == tryLock && !out.got {
		out.unknown = true
	}
	op := porcupine.Operation{ClientId: id, Input: in, Call: in.call, Output: out, Return: in.end}
	if out.unknown { // it may happen yet
		op.Return = math.MaxInt64
	}
	h.ops = append(h.ops, op)
}

func describe(op porcupine.Operation) string {
	in, out := op.Input.(input), op.Output.(output)
	at := fmt.Sprintf("%s: %8.1f to %8.1f ms, %s:", in.resource, float64(in.call)/1e6, float64(in.end)/1e6, in.owner)
	switch {
	case out.unknown:
		return fmt.Sprint(at, " ", [...]string{"TryLock", "Unlock", "Renew"}[in.method], ": failed")
	case in.method == tryLock:
		return fmt.Sprintf("%s TryLock for %s: %v", at, time.Duration(in.expire), out.got)
	case in.method == unlock:
		return fmt.Sprintf("%s Unlock: %s", at, out.status)
	}
	return fmt.Sprintf("%s Renew for %s: %s", at, time.Duration(in.expire), out.status)
}

// held is the state of one resource: nobody's, or somebody's until at least end.
type held struct {
	owner string // "": nobody's
	end   int64
}

// lockModel says what a lock may do. It may free itself at any moment from its end
// on, which the next call finds out.
func lockModel() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
			byResource := map[string][]porcupine.Operation{}
			for _, op := range ops {
				r := op.Input.(input).resource
				byResource[r] = append(byResource[r], op)
			}
			var parts [][]porcupine.Operation
			for _, part := range byResource {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() []any { return []any{held{}} },
		Step: func(state, in, out any) []any {
			return step(state.(held), in.(input), out.(output))
		},
		Equal: func(a, b any) bool { return a == b },
	}
	return m.ToModel()
}

// step returns the states that may follow s when the call in returned out; none
// when it cannot have.
func step(s held, in input, out output) []any {
	before := []held{s}
	late := out.unknown && in.method == tryLock // it may have been granted at any time
	if s.owner != "" && (late || !out.unknown && in.end >= s.end) {
		before = append(before, held{}) // it may have expired by then
	}
	var after []any
	add := func(h held) {
		for _, a := range after {
			if a == any(h) {
				return
			}
		}
		after = append(after, h)
	}
	for _, b := range before {
		for _, o := range outcomes(out, in.method) {
			if next, ok := apply(b, in, o); ok {
				add(next)
			}
		}
		if out.unknown {
			add(b) // or it never happened
		}
	}
	return after
}

// outcomes are what a call may have returned that failed to tell.
func outcomes(out output, m method) []output {
	if !out.unknown {
		return []output{out}
	}
	if m == tryLock {
		return []output{{got: true}}
	}
	return []output{{status: lock.Done}}
}

func apply(s held, in input, out output) (next held, ok bool) {
	if in.method == tryLock {
		if out.got {
			return held{in.owner, in.call + in.expire}, s.owner == ""
		}
		return s, s.owner != ""
	}
	switch out.status {
	case lock.NotLocked:
		return s, s.owner == ""
	case lock.NotTheOwner:
		return s, s.owner != "" && s.owner != in.owner
	}
	if s.owner != in.owner {
		return s, false
	}
	if in.method == unlock {
		return held{}, true
	}
	return held{in.owner, in.call + in.expire}, true
}
