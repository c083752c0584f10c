package retry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// DrainLimit is how many bytes of an answer that is not taken are thrown away,
// as far as they have come already, so that its connection can be kept.
const DrainLimit = 64 << 10

// exchange is one request with all its attempts. It is also the body of the
// answer in the end, whose Close is the end of the exchange.
type exchange struct {
	h      *handler
	req    *stream.Request // the caller's
	policy *stream.Retry   // nil: one attempt
	// try is the copy that the attempt at hand works with.
	try  stream.Request
	body body

	attempts int
	// expires is when the time for the attempt is over; zero if the whole
	// exchange has no more than that.
	expires time.Time
	// safe: none of the attempts can have been acted on twice.
	safe bool
	// why is why there was no further attempt though the policy asked for one.
	why string
	// done ends the count of the retry under way; nil if there is none.
	done func()

	mu     sync.Mutex // held by who reads the answer
	answer io.ReadCloser
}

func newExchange(h *handler) *exchange {
	x := &exchange{h: h}
	x.body.init()
	return x
}

func (x *exchange) begin(req *stream.Request, policy *stream.Retry) {
	x.req, x.policy = req, policy
	x.attempts, x.safe, x.why = 0, true, ""
	x.try.Info, x.try.Native, x.try.Caller, x.try.Tunnel = req.Info, req.Native, req.Caller, req.Tunnel
	x.body.begin(req, policy != nil)
}

// handle makes attempts until one is accepted, or there may be no more.
func (x *exchange) handle(ctx context.Context) (*stream.Response, error) {
	returned := false
	defer func() {
		if !returned { // a panic, which goes on its way
			x.report()
			x.over()
		}
	}()
	for {
		o := x.attempt(ctx)
		delay, again := x.again(ctx, &o)
		if !again {
			returned = true
			return x.finish(o)
		}
		x.discard(o.resp)
		if err := wait(ctx, delay); err != nil {
			returned = true
			return x.finish(outcome{err: stream.AsError(err), raw: err})
		}
	}
}

// attempt sends the request once.
func (x *exchange) attempt(ctx context.Context) outcome {
	x.attempts++
	req, try := x.req, &x.try
	try.CopyFrom(req)
	try.Trailer.Reset()
	try.Body = x.body.attempt(&try.Trailer)
	x.expires = time.Time{}
	if limit := req.TryTimeout; limit > 0 {
		at := time.Now().Add(limit)
		if end, ok := endOf(ctx, req); !ok || at.Before(end) {
			x.expires, try.Deadline = at, at
		}
	}
	before := try.Info.Attempts
	resp, err := x.h.next.Handle(ctx, try)
	x.report()
	o := outcome{resp: resp, placed: try.Info.Attempts != before}
	if err != nil {
		o.resp, o.err, o.raw = nil, stream.AsError(err), err
		o.expired = o.err.Kind == stream.Timeout && x.hasExpired()
	}
	x.safe = x.safe && err != nil && o.err.Retry
	return o
}

// endOf returns when the whole exchange must be over.
func endOf(ctx context.Context, req *stream.Request) (end time.Time, ok bool) {
	end, ok = ctx.Deadline()
	if at := req.Deadline; !at.IsZero() && (!ok || at.Before(end)) {
		return at, true
	}
	return end, ok
}

func (x *exchange) hasExpired() bool {
	return !x.expires.IsZero() && !time.Now().Before(x.expires)
}

// report tells the caller's request what the layers below have noted.
func (x *exchange) report() {
	// The rest of Info is not theirs, and whoever reads the body is counting in it.
	to, from := &x.req.Info, &x.try.Info
	to.Cluster, to.Host, to.Attempts, to.Connected = from.Cluster, from.Host, from.Attempts, from.Connected
	x.req.Tried = append(x.req.Tried[:0], x.try.Tried...)
	x.req.Vars.CopyFrom(&x.try.Vars)
}

// again reports whether the attempt is to be followed by another, after delay.
// If so, that is allowed for and counted.
func (x *exchange) again(ctx context.Context, o *outcome) (delay time.Duration, ok bool) {
	p := x.policy
	if p == nil || ctx.Err() != nil || !o.calls(p, x.req) {
		return 0, false
	}
	switch {
	case disabled(x.req):
		return 0, false
	case x.attempts > p.Max:
		return 0, false
	case !x.body.replayable():
		x.why = "the request's body cannot be sent again"
		return 0, false
	}
	delay = backOff(p, x.attempts)
	if end, bounded := endOf(ctx, x.req); bounded && !time.Now().Add(delay).Before(end) {
		x.why = "no time is left for another"
		return 0, false
	}
	x.over() // a retry that was itself counted makes room for the next
	if l := x.h.limits; l != nil {
		if x.done, ok = l.BeginRetry(); !ok {
			x.done = nil
			x.why = "no more retries at a time are allowed"
			return 0, false
		}
	}
	return delay, true
}

// over ends the count of the retry under way.
func (x *exchange) over() {
	if done := x.done; done != nil {
		x.done = nil
		done()
	}
}

// discard ends an attempt that failed; resp is nil if there was no answer.
// Nobody reads the request's body on its behalf afterwards.
func (x *exchange) discard(resp *stream.Response) {
	if resp != nil && resp.Body != nil {
		drain(resp.Body)
		_ = resp.Close()
	}
	x.body.cut()
}

// drain reads what is there of a body, as far as that is little.
func drain(body io.Reader) {
	buf := make([]byte, 4<<10)
	for left := DrainLimit; left > 0 && stream.BodyBuffered(body); {
		n, err := body.Read(buf)
		if left -= n; err != nil || n == 0 {
			return
		}
	}
}

// finish gives the last attempt's outcome to the caller.
func (x *exchange) finish(o outcome) (*stream.Response, error) {
	switch {
	case o.err != nil:
		err := x.explain(&o)
		x.over()
		x.body.end()
		x.release()
		return nil, err
	case o.resp == stream.NoResponse || o.resp.Body == nil:
		// Nothing tells when it is out of use, so x is not used again.
		x.over()
		return o.resp, nil
	}
	if o.resp.Status == http.StatusSwitchingProtocols {
		x.expires = time.Time{} // what goes on now has no such limit
	}
	x.answer = o.resp.Body
	o.resp.Body = x
	return o.resp, nil
}

// explain returns the error for the caller.
func (x *exchange) explain(o *outcome) error {
	e := *o.err
	if o.expired {
		e = *x.expiredError(&e)
	}
	switch {
	case x.attempts > 1:
		e.Op = fmt.Sprintf("after %d attempts: %s", x.attempts, e.Op)
	case !o.expired && x.why == "":
		return o.raw
	}
	if x.why != "" {
		e.Op = fmt.Sprintf("%s (%s)", e.Op, x.why)
	}
	e.Retry = e.Retry && x.safe
	return &e
}

// expiredError says that it was the time of one attempt that is over.
func (x *exchange) expiredError(e *stream.Error) *stream.Error {
	return &stream.Error{
		Kind: e.Kind, Side: e.Side, Retry: e.Retry, Op: e.Op,
		Err: &expiredError{limit: x.req.TryTimeout, err: e.Err},
	}
}

type expiredError struct {
	limit time.Duration
	err   error
}

func (e *expiredError) Error() string {
	return fmt.Sprintf("the %v that one attempt may take are over", e.limit)
}

func (e *expiredError) Unwrap() error { return e.err }

// release gives x back for the next request. Nobody else uses it.
func (x *exchange) release() {
	x.try.Reset()
	x.body.reset()
	x.req, x.policy, x.answer, x.why = nil, nil, nil, ""
	x.h.exchanges.Put(x)
}

// Read implements io.Reader.
func (x *exchange) Read(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n, err := x.answer.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && x.hasExpired() {
		if e := stream.AsError(err); e.Kind == stream.Timeout {
			err = x.expiredError(e)
		}
	}
	return n, err
}

// Ready implements stream.Ready.
func (x *exchange) Ready() bool { return stream.BodyReady(x.answer) }

// Buffered implements stream.Buffered.
func (x *exchange) Buffered() bool { return stream.BodyBuffered(x.answer) }

// Close implements io.Closer.
func (x *exchange) Close() error {
	err := x.answer.Close()
	x.mu.Lock() // a Read that waited has returned
	x.report()
	x.over()
	x.body.end()
	x.mu.Unlock()
	x.release()
	return err
}
