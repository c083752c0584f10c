package cluster

import (
	"sync/atomic"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// counters count what a cluster's limits limit, and what they refused.
type counters struct {
	requests atomic.Int64 // in flight; counted only where a limit needs it
	retries  atomic.Int64 // in flight
	refused  atomic.Int64
	skipped  atomic.Int64 // retries that were not made
	// closed counts connections to hosts that have ended, by cause.
	closed [conn.CauseCount]atomic.Int64
}

// Closed returns how many connections for requests to the cluster's hosts have
// ended so far, by cause.
func (c *Cluster) Closed() (n [conn.CauseCount]int64) {
	for cause := range n {
		n[cause] = c.counters.closed[cause].Load()
	}
	return n
}

// Limits tells how a cluster stands with its circuit breakers.
type Limits struct {
	// Requests in flight (0 where nothing limits them), Pending requests that
	// wait for a connection, and Retries in flight.
	Requests, Pending, Retries int
	// Refused counts requests refused by max_requests, RefusedPending those by
	// max_pending_requests, and SkippedRetries the retries not made.
	Refused, RefusedPending, SkippedRetries int64
}

// Limits returns how the cluster stands with its circuit breakers.
func (c *Cluster) Limits() Limits {
	return Limits{
		Requests: int(c.counters.requests.Load()), Pending: c.pending.Waiting(), Retries: int(c.counters.retries.Load()),
		Refused: c.counters.refused.Load(), RefusedPending: c.pending.Refused(), SkippedRetries: c.counters.skipped.Load(),
	}
}

// counts reports whether requests in flight are counted.
func (c *Cluster) counts() bool { return c.limit.MaxRequests > 0 || c.limit.RetryBudget != nil }

// enter counts a request in, or refuses it. leave must follow.
func (c *Cluster) enter() error {
	if !c.counts() {
		return nil
	}
	if n := c.counters.requests.Add(1); c.limit.MaxRequests > 0 && n > int64(c.limit.MaxRequests) {
		c.leave()
		c.counters.refused.Add(1)
		return &stream.Error{Kind: stream.Overload, Retry: true, Op: "cluster " + c.cfg.Name + ": max_requests reached"}
	}
	return nil
}

func (c *Cluster) leave() {
	if c.counts() {
		c.counters.requests.Add(-1)
	}
}

// BeginRetry reports whether one more retry may be made now. If so, done is to
// be called when it is over.
func (c *Cluster) BeginRetry() (done func(), ok bool) {
	n := c.counters.retries.Add(1)
	done = func() { c.counters.retries.Add(-1) }
	most := int64(c.limit.MaxRetries)
	if b := c.limit.RetryBudget; b != nil {
		// The request that is retried has left, its retry is to come.
		share := int64(b.Percent / 100 * float64(c.counters.requests.Load()+1))
		if share = max(share, int64(b.MinConcurrency)); most == 0 || share < most {
			most = share
		}
	} else if most == 0 {
		return done, true
	}
	if n > most {
		done()
		c.counters.skipped.Add(1)
		return nil, false
	}
	return done, true
}
