package retry

import (
	"context"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/variable"
)

// Limits bound how many retries are under way at a time: a circuit breaker, or
// a budget. Its method is safe for concurrent use and does not block.
type Limits interface {
	// BeginRetry asks whether one more retry may begin. If ok, done is to be
	// called once, when that retry is over: it has failed, or its answer was
	// closed.
	BeginRetry() (done func(), ok bool)
}

// New returns a handler that answers requests with next, as often as the
// request's Policy.Retry says, each attempt within the request's TryTimeout.
// limits may be nil: there is no limit but the policy's. A request with neither
// passes as it is.
//
// When no further attempt is made, the caller gets the last answer as it is, or
// the last error, which says how many attempts there were.
func New(next stream.Handler, limits Limits) stream.Handler {
	h := &handler{next: next, limits: limits}
	h.exchanges.New = func() any { return newExchange(h) }
	return h
}

type handler struct {
	next      stream.Handler
	limits    Limits
	exchanges sync.Pool
}

// Handle implements stream.Handler.
func (h *handler) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	policy := policyOf(req)
	if policy == nil && req.TryTimeout <= 0 {
		return h.next.Handle(ctx, req)
	}
	x := h.exchanges.Get().(*exchange)
	x.begin(req, policy)
	return x.handle(ctx)
}

// policyOf returns when req is to be sent again; nil is never.
func policyOf(req *stream.Request) *stream.Retry {
	if req.Policy == nil || req.Policy.Retry == nil || req.Policy.Retry.Max <= 0 {
		return nil
	}
	return req.Policy.Retry
}

// disabled reports whether a filter has ruled out further attempts.
func disabled(req *stream.Request) bool {
	v, ok := req.Vars.Get(variable.DisableRetry)
	return ok && v == "true"
}

// wait waits for d, at most until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return stream.FromContext(ctx, "wait before a retry")
	}
	return nil
}
