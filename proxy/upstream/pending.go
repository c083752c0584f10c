package upstream

import (
	"fmt"
	"sync/atomic"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Pending counts requests that wait for a connection, and limits them. It is
// safe for concurrent use; a nil *Pending has no limit and counts nothing.
type Pending struct {
	most     int64
	waiting  atomic.Int64
	refusals atomic.Int64
}

// NewPending makes a limit of most requests, which is at least 1.
func NewPending(most int) *Pending { return &Pending{most: int64(most)} }

// Waiting returns how many requests wait now.
func (p *Pending) Waiting() int {
	if p == nil {
		return 0
	}
	return int(p.waiting.Load())
}

// Refused returns how many requests were refused.
func (p *Pending) Refused() int64 {
	if p == nil {
		return 0
	}
	return p.refusals.Load()
}

// enter counts a request as waiting; leave must follow. An error refuses it.
func (p *Pending) enter(name string) error {
	if p == nil {
		return nil
	}
	if p.waiting.Add(1) > p.most {
		p.waiting.Add(-1)
		p.refusals.Add(1)
		return &stream.Error{
			Kind: stream.Overload, Retry: true, Op: name,
			Err: fmt.Errorf("max_pending_requests reached: %d requests wait for a connection", p.most),
		}
	}
	return nil
}

func (p *Pending) leave() {
	if p != nil {
		p.waiting.Add(-1)
	}
}
