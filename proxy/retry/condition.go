package retry

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// outcome is what became of an attempt.
type outcome struct {
	resp *stream.Response
	err  *stream.Error // nil with a resp
	raw  error         // what err was made of
	// expired: the attempt has failed, and its time, not that of the whole
	// exchange, has passed.
	expired bool
	// placed: a host was chosen for it.
	placed bool
}

// calls reports whether the policy asks for another attempt after this one.
func (o *outcome) calls(p *stream.Retry, req *stream.Request) bool {
	if o.err == nil {
		return req.Upgrade == "" && o.answers(p)
	}
	if p.On&stream.RetryConnect != 0 && o.unsent() {
		return true
	}
	if req.OneWay || req.Upgrade != "" {
		return false // nobody would know whether it was done twice
	}
	switch e := o.err; {
	case e.Kind == stream.Reset && e.Side == stream.Upstream:
		return p.On&stream.RetryResetAny != 0 || p.On&stream.RetryReset != 0 && e.Retry
	case e.Kind == stream.Timeout && o.expired:
		return p.On&stream.RetryTryAny != 0 || p.On&stream.RetryTry != 0 && (e.Retry || req.Idempotent())
	}
	return false
}

// unsent reports whether nothing of the request has reached a host. That the
// whole cluster takes no more is not such a case: a retry would add to its load.
func (o *outcome) unsent() bool {
	if !o.err.Retry {
		return false
	}
	switch o.err.Kind {
	case stream.Connect, stream.NoHost, stream.Stopping:
		return true
	case stream.Overload:
		return o.placed
	}
	return false
}

// answers reports whether the answer is one that the policy does not accept.
func (o *outcome) answers(p *stream.Retry) bool {
	if p.On&stream.RetryStatus != 0 {
		status := o.resp.Status
		if len(p.Statuses) == 0 && status >= 500 && status <= 599 || slices.Contains(p.Statuses, status) {
			return true
		}
	}
	if p.On&stream.RetryGRPC == 0 {
		return false
	}
	text, ok := o.resp.Header.Lookup("grpc-status")
	if !ok {
		return false // it comes behind the body, when it is too late
	}
	code, err := strconv.Atoi(text)
	return err == nil && slices.Contains(p.GRPC, code)
}

// backOff returns how long to wait before retry n, which is 1 for the first: a
// random time up to Base * 2^(n-1), at most Cap. A Cap of 0 is none.
func backOff(p *stream.Retry, n int) time.Duration {
	most := p.Base
	if most <= 0 {
		return 0
	}
	for range n - 1 {
		if most *= 2; most <= 0 || p.Cap > 0 && most >= p.Cap {
			break
		}
	}
	if most <= 0 {
		most = 1<<63 - 1 // more than can be said
	}
	if p.Cap > 0 {
		most = min(most, p.Cap)
	}
	return time.Duration(rand.Int64N(max(int64(most), int64(most)+1)))
}
