package lb

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// memory is how long a sample counts: after this time, 1/e of what it counted
// at first. It is 5% after three times as long.
const memory = 10 * time.Second

// history is what is known of the answers of a host. A sample has a weight,
// which is 1 at first and decays with time.
type history struct {
	mu sync.Mutex
	at int64 // when the weights were what they are; Unix nanoseconds
	// Sums of weights: of all answers, of those that count for the latency, and
	// of errors; latency is the sum of weight times seconds.
	all, timed     float64
	client, server float64
	latency        float64
}

// faded returns what is left at now of a weight at h.at.
func (h *history) faded(now int64) float64 {
	if now <= h.at {
		return 1
	}
	x := float64(h.at-now) / float64(memory)
	if x > -1e-3 {
		return 1 + x + x*x/2 // the same to nine digits, in no time
	}
	return math.Exp(x)
}

// estimate is what is to be expected of a host.
type estimate struct {
	latency        float64 // seconds
	client, server float64 // parts of the answers that are errors
}

// estimate returns what is to be expected at now. usual is the latency to be
// expected of a host of which nothing is known: it counts like one sample, so
// that a host that was not asked for long is forgiven.
func (h *history) estimate(now int64, usual float64) estimate {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.estimateLocked(now, usual)
}

func (h *history) estimateLocked(now int64, usual float64) estimate {
	f := h.faded(now)
	all := h.all*f + 1
	return estimate{
		latency: (h.latency*f + usual) / (h.timed*f + 1),
		client:  h.client * f / all, server: h.server * f / all,
	}
}

// add takes note of an answer, or of none. An error counts for the latency only
// if it took longer than what is to be expected: a host that fails fast is not
// a fast host.
func (h *history) add(now int64, o Outcome, usual float64) {
	took := o.Duration.Seconds()
	v := judge(o)
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.faded(now)
	h.at = max(h.at, now)
	h.all *= f
	h.timed *= f
	h.client *= f
	h.server *= f
	h.latency *= f
	switch v {
	case clientError:
		h.client++
	case serverError:
		h.server++
	}
	if v != abandoned {
		h.all++
	}
	if v == success || took > h.estimateLocked(now, usual).latency {
		h.timed++
		h.latency += took
	}
}

// verdict is what an outcome says about the host.
type verdict int

const (
	success     verdict = iota
	clientError         // the host blames the caller
	serverError
	abandoned // the caller went away
	silent    // no answer was due
)

func judge(o Outcome) verdict {
	switch {
	case o.Err != nil:
		if e, ok := errors.AsType[*stream.Error](o.Err); ok && (e.Kind == stream.Canceled || e.Side == stream.Downstream) {
			return abandoned
		}
		return serverError
	case o.Status == 0:
		return silent
	case o.Status == 499:
		return abandoned
	case o.Status >= 500:
		return serverError
	case o.Status >= 400:
		return clientError
	}
	return success
}

// average is the latency of all hosts of a cluster, which is what a new one is
// supposed to have.
type average struct {
	mu      sync.Mutex
	history history
	seconds atomic.Uint64 // math.Float64bits; 0 is not known
}

func (a *average) add(now int64, o Outcome) {
	if judge(o) != success {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.history.add(now, o, 0)
	a.seconds.Store(math.Float64bits(a.history.latency / a.history.timed))
}

// or returns the average, or other while nothing is known.
func (a *average) or(other float64) float64 {
	if bits := a.seconds.Load(); bits != 0 {
		return math.Float64frombits(bits)
	}
	return other
}
