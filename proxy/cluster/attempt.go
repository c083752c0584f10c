package cluster

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/semantics"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// attempt is an attempt of which the balancer, the detector of outliers or the
// limits learn the end. It is the body of the answer, whose Close is that end.
type attempt struct {
	c *Cluster
	// fixed is the host to send to; nil lets the balancer choose.
	fixed  *upstream.Host
	choice choice // its host is nil when none was picked
	start  time.Time
	resp   *stream.Response
	status int           // as the host has said it: what it becomes above says nothing about the host; see standing
	body   io.ReadCloser // nil when the answer has none
	whole  bool          // the body was read to its end: before that the trailer is still being written
	err    error
	ended  bool
}

// errPanic is what a balancer learns of an attempt that ended in a panic.
var errPanic = &stream.Error{Kind: stream.Internal, Op: "panic"}

func (a *attempt) handle(ctx context.Context, req *stream.Request) (resp *stream.Response, err error) {
	answered := false
	defer func() {
		if answered {
			return
		}
		outcome := lb.Outcome{Err: err}
		if err == nil {
			outcome.Err = errPanic
		}
		a.end(outcome) // nobody will close an answer
	}()
	if a.choice, err = a.c.choose(ctx, req, a.fixed); err != nil {
		return nil, err
	}
	resp, err = a.choice.handler(req).Handle(ctx, req)
	switch {
	case err != nil:
		return nil, err
	case resp == stream.NoResponse: // shared by everybody: it has no body to close
		answered = true
		a.end(lb.Outcome{})
		return resp, nil
	}
	answered = true
	a.resp, a.status, a.body = resp, standing(resp), resp.Body
	resp.Body = a
	return resp, nil
}

// standing is the status by which a host is judged: one that blames the caller where
// a protocol has no other number for that than for its own failures.
func standing(resp *stream.Response) int {
	if r, ok := resp.Native.(stream.Refusal); ok && resp.Status >= 500 && r.RefusesCall() {
		return 400
	}
	return resp.Status
}

// Read implements io.Reader.
func (a *attempt) Read(p []byte) (int, error) {
	if a.body == nil {
		return 0, io.EOF
	}
	n, err := a.body.Read(p)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		a.whole = true
	default:
		a.err = err
	}
	return n, err
}

// Ready implements stream.Ready.
func (a *attempt) Ready() bool { return a.body == nil || stream.BodyReady(a.body) }

// Buffered reports whether a Read returns without waiting.
func (a *attempt) Buffered() bool {
	b, ok := a.body.(interface{ Buffered() bool })
	return ok && b.Buffered()
}

// Close implements io.Closer.
func (a *attempt) Close() error {
	status := a.status
	if own, ok := semantics.GRPCStatus(a.resp, a.whole || a.body == nil); ok && status == 200 {
		status = own
	}
	var err error
	if a.body != nil {
		err = a.body.Close() // the answer may be in use for another exchange now
	}
	a.end(lb.Outcome{Status: status, Err: a.err})
	return err
}

func (a *attempt) end(o lb.Outcome) {
	if a.ended {
		return
	}
	a.ended = true
	a.c.leave()
	if a.choice.host == nil {
		return
	}
	o.Duration = time.Since(a.start)
	if a.choice.reporter != nil {
		a.choice.reporter.Done(a.choice.host, o)
	}
	if a.c.detector != nil {
		a.c.detector.Done(a.choice.host, o)
	}
}
