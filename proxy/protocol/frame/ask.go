package frame

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// ask is one request to a host.
type ask struct {
	cl       *client
	ctx      context.Context
	deadline time.Time // zero is never
	caller   stream.Caller
	timer    *time.Timer
	out      outgoing
	turn     turn

	// done gets a value when the answer has come, or never will. The client's
	// mutex guards what it is, until then.
	done chan struct{}
	id   uint64
	at   uint64 // where in all the bytes that are written the request begins
	err  error
	safe bool // nothing of it was written
	// midway: the host was in the middle of a frame when the request was sent,
	// after so many whole ones.
	midway bool
	got    int64
	m      Message
	size   int // of the answer's frame

	resp stream.Response
	body askBody
}

// askBody is an answer's body. Its Close is the end of the exchange.
type askBody struct {
	payload
	k *ask
}

// Close implements io.Closer; it must be called once.
func (b *askBody) Close() error {
	b.k.over()
	return nil
}

// blocked reports whether the caller does not take the answers that it has got.
func (k *ask) blocked() bool {
	b, ok := k.caller.(interface{ Blocked() bool })
	return ok && b.Blocked()
}

// fail ends the request. The client's mutex is held.
func (k *ask) fail(err error, safe bool) {
	k.err, k.safe = err, safe
	k.done <- struct{}{}
}

// exchange sends req and waits for the answer.
func (k *ask) exchange(req *stream.Request) (*stream.Response, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	if err := k.out.request(req); err != nil {
		return nil, k.explain(err)
	}
	if err := k.send(req.OneWay); err != nil {
		return nil, err
	}
	if req.OneWay {
		return stream.NoResponse, nil
	}
	if !k.wait(k.done) {
		if err := k.giveUp(); err != nil {
			return nil, err
		}
	}
	switch {
	case k.err == nil:
	case k.ctx.Err() != nil:
		// A connection that is bound to the caller's ends with it: that is no
		// fault of the host.
		return nil, k.late(k.safe)
	default:
		return nil, &stream.Error{Kind: kindOf(k.err), Side: stream.Upstream, Retry: k.safe, Op: op, Err: cause(k.err)}
	}
	return k.answer()
}

// check refuses what need not be sent any more.
func (k *ask) check() error {
	switch {
	case k.ctx.Err() != nil:
		return stream.FromContext(k.ctx, op)
	case !k.deadline.IsZero() && !time.Now().Before(k.deadline):
		return &stream.Error{Kind: stream.Timeout, Retry: true, Op: op, Err: os.ErrDeadlineExceeded}
	}
	return nil
}

// send queues the request, when there is room.
func (k *ask) send(oneWay bool) error {
	cl := k.cl
	cl.mu.Lock()
	defer cl.mu.Unlock()
	for {
		if err := cl.admit(); err != nil {
			return err
		}
		if !cl.out.full() {
			break
		}
		cl.out.await(&k.turn)
		cl.mu.Unlock()
		ok := k.wait(k.turn.ready)
		cl.mu.Lock()
		if !ok {
			cl.out.leave(&k.turn)
			return k.late(true)
		}
	}
	k.id = cl.newID()
	if k.id == 0 {
		cl.last = errForgotten
		return cl.admit()
	}
	k.at = cl.out.queued
	if err := cl.out.queue(func(dst []byte) ([]byte, error) { return k.out.append(dst, k.id) }); err != nil {
		return k.explain(err)
	}
	if !oneWay {
		k.midway, k.got = cl.in.midway.Load(), cl.got.Load()
		cl.asked[k.id] = k
		cl.flying++
		if cl.stalled {
			cl.changed.Signal() // now somebody waits
		}
	}
	cl.out.kick()
	return nil
}

// wait waits for ready; false says that the time is over.
func (k *ask) wait(ready <-chan struct{}) bool {
	var expired <-chan time.Time
	if !k.deadline.IsZero() {
		if k.timer == nil {
			k.timer = time.NewTimer(time.Until(k.deadline))
		} else {
			k.timer.Reset(time.Until(k.deadline))
		}
		defer k.timer.Stop()
		expired = k.timer.C
	}
	select {
	case <-ready:
		return true
	case <-k.ctx.Done():
	case <-expired:
	}
	return false
}

// late explains that the time is over.
func (k *ask) late(safe bool) *stream.Error {
	e := &stream.Error{Kind: stream.Timeout, Op: op, Err: os.ErrDeadlineExceeded}
	if k.ctx.Err() != nil && (k.deadline.IsZero() || time.Now().Before(k.deadline)) {
		e = stream.FromContext(k.ctx, op)
	}
	if e.Kind == stream.Timeout {
		e.Side = stream.Upstream
	}
	e.Retry = safe
	return e
}

// giveUp stops waiting for the answer, unless it has come.
func (k *ask) giveUp() error {
	cl := k.cl
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.asked[k.id] != k {
		<-k.done
		return nil
	}
	cl.asked[k.id] = nil
	cl.flying--
	if forgotten := len(cl.asked) - cl.flying; forgotten >= cl.maxForgotten() && cl.last == nil {
		cl.last = errForgotten // the owner sees it when the exchange is over
	}
	if cl.last == nil && k.midway && cl.in.midway.Load() && cl.got.Load() == k.got {
		cl.last = errStuck // whatever else is sent there would wait as long
	}
	if cl.last != nil {
		cl.blame(cl.last)
	}
	cl.changed.Signal()
	return k.late(false)
}

// maxForgotten is how many requests that were given up may be without an answer
// before the connection is used no more: their ids cannot be used again.
func (cl *client) maxForgotten() int {
	if cl.opts.Single {
		return 1 // the host may be busy with it still
	}
	return int(min(cl.codec.MaxID()/2+1, 10000))
}

// answer makes a Response of the frame that has come.
func (k *ask) answer() (*stream.Response, error) {
	if err := k.m.fields(&k.resp.Header); err != nil {
		return nil, &stream.Error{Kind: stream.BadMessage, Side: stream.Upstream, Op: "read answer", Err: err}
	}
	k.body.left = k.m.Payload()
	k.resp.Status = k.m.Status
	k.resp.ContentLength = int64(len(k.body.left))
	k.resp.Body = &k.body
	k.resp.Native = &k.m
	return &k.resp, nil
}

// over ends the exchange. Nobody uses it afterwards.
func (k *ask) over() {
	cl := k.cl
	if k.m.from != nil {
		k.m.from.release()
	}
	k.out.over()
	k.m.reset()
	k.resp.Reset()
	k.ctx, k.deadline, k.caller, k.err, k.safe, k.id, k.body.left = nil, time.Time{}, nil, nil, false, 0, nil
	cl.mu.Lock()
	cl.held -= k.size
	k.size = 0
	cl.changed.Signal()
	if len(cl.free) < maxFree && cl.err == nil {
		cl.free = append(cl.free, k)
	}
	cl.mu.Unlock()
	if cl.opts.Released != nil {
		cl.opts.Released()
	}
}

// explain says that a request could not be made a frame. Nothing of it was sent.
func (k *ask) explain(err error) error {
	if e, ok := errors.AsType[*stream.Error](err); ok {
		return e
	}
	if k.ctx.Err() != nil {
		return k.late(true)
	}
	return &stream.Error{Kind: stream.BadMessage, Side: stream.Downstream, Op: "write request", Err: err}
}

// kindOf says what the end of a connection is to the requests on it.
func kindOf(err error) stream.Kind {
	if e, ok := errors.AsType[*stream.Error](err); ok {
		return e.Kind
	}
	return stream.Reset
}

// cause returns what is behind an error of the core.
func cause(err error) error {
	if e, ok := errors.AsType[*stream.Error](err); ok && e.Err != nil {
		return e.Err
	}
	return err
}
