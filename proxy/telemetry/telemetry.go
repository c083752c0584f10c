package telemetry

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Record is what is known about one exchange once it is over.
type Record struct {
	stream.Info
	Protocol string
	// Service is what an RPC request calls the Method of; else "".
	Service          string
	Method           string
	Authority        string
	Path             string
	UpstreamProtocol string
	// Status is the HTTP status the caller was told; 0 for a one-way request.
	Status int
	// Err is why the exchange failed, nil if it did not; also when the answer
	// had begun and could not be finished.
	Err error
	// Duration is from the first byte of the request to the last of the answer.
	Duration time.Duration
}

// Sink takes records. Record is called once per request, from any goroutine,
// when nothing of the exchange uses the layers below any more; it must not
// block, nor keep r.
type Sink interface{ Record(r *Record) }

// SinkFunc lets a function be a Sink.
type SinkFunc func(r *Record)

// Record calls f.
func (f SinkFunc) Record(r *Record) { f(r) }

// Handler has next answer requests and gives each one's record to the sinks,
// in their order.
func Handler(next stream.Handler, sinks ...Sink) stream.Handler {
	h := &handler{next: next, sinks: sinks}
	h.exchanges.New = func() any { return &exchange{h: h} }
	h.records.New = func() any { return new(Record) }
	return h
}

type handler struct {
	next      stream.Handler
	sinks     []Sink
	exchanges sync.Pool
	records   sync.Pool
}

// Handle implements stream.Handler.
func (h *handler) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	returned := false
	defer func() {
		if !returned { // a panic, which goes on its way
			h.record(req, 500, errPanic)
		}
	}()
	resp, err := h.next.Handle(ctx, req)
	returned = true
	if err != nil {
		err = late(req, err)
	}
	req.Info.FirstByte = time.Since(req.Info.Start)
	if err != nil {
		h.record(req, stream.AsError(err).Status(), err)
		return nil, err
	}
	if resp == stream.NoResponse {
		h.record(req, 0, nil)
		return resp, nil
	}
	x := h.exchanges.Get().(*exchange)
	x.req, x.status, x.body, x.err = req, resp.Status, resp.Body, nil
	x.left = resp.ContentLength
	x.whole = x.body == nil || x.left == 0 || req.Method == "HEAD" || resp.Status == 204 || resp.Status == 304
	resp.Body = x
	return resp, nil
}

// Reject implements stream.Rejecter.
func (h *handler) Reject(_ context.Context, req *stream.Request, status int, err *stream.Error) {
	h.record(req, status, err)
}

var (
	errPanic = &stream.Error{Kind: stream.Internal, Op: "a panic, see the log"}
	errEarly = &stream.Error{Kind: stream.Canceled, Side: stream.Downstream, Op: "the answer was not taken to its end"}
	errLate  = &stream.Error{Kind: stream.Timeout, Side: stream.Downstream, Op: "the answer was not taken to its end in time"}
	errShort = &stream.Error{Kind: stream.Internal, Op: "the answer was shorter than its length"}
)

// late makes a timeout of what looks as if the caller had gone, if it has gone
// because no time was left: which of the two is seen first is mere chance.
func late(req *stream.Request, err error) error {
	e := stream.AsError(err)
	if e.Kind != stream.Canceled {
		return err
	}
	now := time.Now()
	over := !req.Deadline.IsZero() && !now.Before(req.Deadline)
	if limit := req.Timeout; limit > 0 && !over {
		// The caller counts from when it sent the request, so it is always first.
		over = !now.Before(req.Info.Start.Add(limit - min(limit/10, maxEarly)))
	}
	if !over {
		return err
	}
	side := stream.Local
	if req.Info.Host != "" {
		side = stream.Upstream
	}
	return &stream.Error{Kind: stream.Timeout, Side: side, Op: e.Op, Err: e.Err}
}

// maxEarly is how much before its own limit is over, as we count, a caller goes
// that waits for all of it.
const maxEarly = 50 * time.Millisecond

func (h *handler) record(req *stream.Request, status int, err error) {
	if len(h.sinks) == 0 {
		return
	}
	r := h.records.Get().(*Record)
	*r = Record{
		Info: req.Info, Protocol: req.Protocol, Method: req.Method, Authority: req.Authority, Path: req.Path,
		UpstreamProtocol: req.UpstreamProtocol, Status: status, Err: err, Duration: time.Since(req.Info.Start),
	}
	if rpc, ok := req.Native.(stream.Coder); ok {
		r.Service = req.Header.Get("service")
		if err != nil && r.Code == "" && !req.OneWay {
			r.Code = rpc.FailureCode(stream.AsError(err))
		}
	}
	for _, s := range h.sinks {
		s.Record(r)
	}
	*r = Record{} // keeps nothing of the request alive
	h.records.Put(r)
}

// exchange is the body of an answer; its Close is the end of the exchange.
type exchange struct {
	h      *handler
	req    *stream.Request
	status int
	body   io.ReadCloser // nil when there is none
	err    error
	// left is what is still to be read, negative when that is not known;
	// whole is true when everything was.
	left  int64
	whole bool
}

// Read implements io.Reader.
func (x *exchange) Read(p []byte) (int, error) {
	if x.body == nil {
		return 0, io.EOF
	}
	n, err := x.body.Read(p)
	if x.left > 0 {
		x.left -= int64(n)
		x.whole = x.whole || x.left <= 0
	}
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		if x.whole = x.whole || x.left <= 0; !x.whole {
			x.err = errShort
		}
	default:
		x.err = err
	}
	return n, err
}

// Ready implements stream.Ready.
func (x *exchange) Ready() bool { return x.body == nil || stream.BodyReady(x.body) }

// Buffered reports whether a Read returns without waiting.
func (x *exchange) Buffered() bool {
	b, ok := x.body.(interface{ Buffered() bool })
	return ok && b.Buffered()
}

// Close implements io.Closer.
func (x *exchange) Close() error {
	if x.req == nil {
		return nil // closed already: the record is written
	}
	var err error
	if x.body != nil {
		err = x.body.Close()
	}
	if x.err == nil && !x.whole {
		x.err = errEarly
		if by := x.req.Deadline; !by.IsZero() && !time.Now().Before(by) {
			x.err = errLate
		}
	}
	h := x.h
	h.record(x.req, x.status, x.err)
	x.req, x.body, x.err = nil, nil, nil
	h.exchanges.Put(x)
	return err
}
