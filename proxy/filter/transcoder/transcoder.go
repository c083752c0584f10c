package transcoder

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/semantics"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/variable"
)

// Name is the type by which a configuration asks for the filter.
const Name = "transcoder"

// noted is the variable that says, until the route is known, which protocols the
// hosts of a request that was converted may speak.
const noted = "transcoder_protocols"

// Spec returns the filter's row for the table, with the converters that
// configurations can name.
func Spec(converters ...Converter) filter.Spec {
	t := table(converters)
	return filter.Spec{
		Name: Name,
		Make: func(env filter.Env, cfg map[string]any) (filter.Places, error) {
			own, err := t.compile(env, cfg)
			if err != nil {
				return filter.Places{}, err
			}
			f := func(next stream.Handler) stream.Handler { return &handler{own, next} }
			if own.phase == beforeRoute {
				return filter.Places{BeforeRoute: []stream.Filter{f}, AfterRoute: []stream.Filter{obey}}, nil
			}
			return filter.Places{AfterRoute: []stream.Filter{f}}, nil
		},
		Route: func(env filter.Env, cfg any) (any, error) {
			r, err := t.compile(env, cfg)
			if err != nil {
				return nil, err
			}
			if r.phase == beforeRoute {
				return nil, decode.Problems{{
					Path:    decode.Join(decode.Join(env.Path, "trans"), "receiver_phase"),
					Message: "a route cannot say what is done before it is chosen", Remedy: "leave it out, or configure it at the listener",
				}}
			}
			return r, nil
		},
	}
}

// obey sets what depends on the route of requests that were converted before they
// had one: the protocol, and the time that hosts are told.
func obey(next stream.Handler) stream.Handler {
	return stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		if list, ok := req.Vars.Get(noted); ok {
			req.UpstreamProtocol = protocolOf(req.UpstreamProtocol, strings.Split(list, ","))
			tellTime(req)
		}
		return next.Handle(ctx, req)
	})
}

// tellTime has the host told how long there is time, so that it need not work for
// nothing.
func tellTime(req *stream.Request) {
	if req.Timeout == 0 && !req.Deadline.IsZero() {
		req.Timeout = max(time.Until(req.Deadline), time.Millisecond)
	}
}

// protocolOf returns what is to be spoken: what is chosen, if it is possible.
func protocolOf(chosen string, possible []string) string {
	if contains(possible, chosen) {
		return chosen
	}
	return possible[0]
}

type handler struct {
	own  *rules // the listener's
	next stream.Handler
}

// Handle implements stream.Handler.
func (h *handler) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	r := h.own
	if r.phase != beforeRoute {
		if route, ok := req.Policy.Filter(Name).(*rules); ok {
			r = route
		}
	}
	c := r.find(req)
	if c == nil {
		return h.next.Handle(ctx, req)
	}
	if r.phase == beforeRoute {
		req.Vars.Set(noted, strings.Join(c.to, ","))
	} else {
		req.UpstreamProtocol = protocolOf(req.UpstreamProtocol, c.to)
	}
	if c.conversion == nil {
		return h.next.Handle(ctx, req)
	}
	x := exchange{next: h.next, by: c.conversion, limit: r.limit, req: req}
	return x.handle(ctx)
}

// exchange is one request that is converted, and its answer.
type exchange struct {
	next  stream.Handler
	by    Conversion
	limit int64
	req   *stream.Request // the caller's
	out   stream.Request  // the host's
}

func (x *exchange) handle(ctx context.Context) (*stream.Response, error) {
	body, err := x.readRequest(ctx)
	if err == nil && x.req.Path != "" { // over HTTP
		body, err = x.unpackRequest(body)
	}
	if err != nil {
		return x.refuse(err)
	}
	if err := x.convert(body); err != nil {
		return x.refuse(err)
	}
	resp, err := x.next.Handle(ctx, &x.out)
	x.report()
	if err != nil {
		return nil, err
	}
	if resp == stream.NoResponse {
		if x.req.OneWay {
			return resp, nil
		}
		return &stream.Response{Status: 202}, nil
	}
	defer func() { _ = resp.Close() }()
	body, err = readAll(resp.Body, resp.ContentLength, x.limit)
	switch {
	case errors.Is(err, errLong):
		return x.refuse(refuse(502, "the answer has more than %d bytes, which is the max_body_size", x.limit))
	case err != nil:
		return nil, stream.AsError(err)
	case x.req.OneWay:
		return stream.NoResponse, nil
	}
	answer := new(stream.Response)
	if x.out.Path != "" { // over HTTP
		if body, err = x.unpackAnswer(resp, body); err != nil {
			return x.refuse(err)
		}
	}
	body, err = x.by.Response(&x.out, resp, body, answer, int(x.limit))
	if err == nil && int64(len(body)) > x.limit {
		err = refuse(502, "converted, the answer has more than %d bytes, which is the max_body_size", x.limit)
	}
	if err != nil {
		if _, ok := errors.AsType[*Refusal](err); !ok {
			err = refuse(502, "%v", err)
		}
		return x.refuse(err)
	}
	if x.req.Path != "" && semantics.NoBody(x.req.Method, answer.Status) { // over HTTP
		body = nil
	}
	answer.ContentLength = int64(len(body))
	if len(body) > 0 {
		answer.Body = &content{left: body}
	}
	return answer, nil
}

// convert makes the host's request of the caller's.
func (x *exchange) convert(body []byte) error {
	req, out := x.req, &x.out
	out.CopyFrom(req)
	out.Info = req.Info
	out.Upgrade = ""
	tellTime(out)
	body, err := x.by.Request(out, body, int(x.limit))
	switch {
	case err != nil:
		if _, ok := errors.AsType[*Refusal](err); !ok {
			err = refuse(400, "%v", err)
		}
		return err
	case int64(len(body)) > x.limit:
		return refuse(413, "converted, the body has more than %d bytes, which is the max_body_size", x.limit)
	}
	if out.ContentLength = int64(len(body)); len(body) > 0 {
		out.Body = &content{left: body}
	}
	return nil
}

// report tells the caller's request what the layers below have noted.
func (x *exchange) report() {
	// Bytes are counted at the caller's side, on the request itself.
	in, out := x.req.Info.BytesIn, x.req.Info.BytesOut
	x.req.Info = x.out.Info
	x.req.Info.BytesIn, x.req.Info.BytesOut = in, out
	x.req.UpstreamProtocol = x.out.UpstreamProtocol
	if !x.out.Deadline.IsZero() { // the route may have set it
		x.req.Limit(x.out.Deadline)
	}
	x.req.Tried = append(x.req.Tried[:0], x.out.Tried...)
	x.req.Vars.CopyFrom(&x.out.Vars)
}

// refuse tells the caller that there is no answer that it could be given.
func (x *exchange) refuse(err error) (*stream.Response, error) {
	r, ok := errors.AsType[*Refusal](err)
	if !ok {
		return nil, err
	}
	if x.req.OneWay {
		return nil, r.err()
	}
	if resp := x.by.Refuse(r); resp != nil {
		x.req.Vars.Set(variable.HijackStatus, strconv.Itoa(resp.Status))
		return resp, nil
	}
	return nil, r.err()
}

var errLong = errors.New("the body is too long")

// readRequest reads the caller's body.
func (x *exchange) readRequest(ctx context.Context) ([]byte, error) {
	req := x.req
	if req.Body == nil {
		return nil, nil
	}
	if !stream.BodyReady(req.Body) {
		// Bodies of some protocols know nothing of the request's time.
		left := config.DefaultRouteTimeout
		if !req.Deadline.IsZero() {
			left = time.Until(req.Deadline)
		}
		body := req.Body
		var late atomic.Bool
		timer := time.AfterFunc(left, func() { late.Store(true); _ = body.Close() })
		defer timer.Stop()
		stop := context.AfterFunc(ctx, func() { _ = body.Close() })
		defer stop()
		b, err := readAll(body, req.ContentLength, x.limit)
		switch {
		case err == nil || errors.Is(err, errLong):
		case late.Load():
			return nil, &stream.Error{Kind: stream.Timeout, Side: stream.Downstream, Op: "read the body to convert it", Err: err}
		case ctx.Err() != nil:
			return nil, stream.FromContext(ctx, "read the body to convert it")
		}
		return b, x.explain(err)
	}
	b, err := readAll(req.Body, req.ContentLength, x.limit)
	return b, x.explain(err)
}

func (x *exchange) explain(err error) error {
	if errors.Is(err, errLong) {
		return refuse(413, "the body has more than %d bytes, which is the max_body_size", x.limit)
	}
	if err != nil {
		return stream.AsError(err)
	}
	return nil
}

// readAll reads a body whole; length is what is said of it.
func readAll(body io.Reader, length, limit int64) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	if length > limit {
		return nil, errLong
	}
	// No more room is made at first than is likely to be used.
	b := make([]byte, 0, min(max(length+1, 512), 64<<10))
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case int64(len(b)) > limit:
			return nil, errLong
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return nil, err
		}
	}
}

// content is a body that is all there.
type content struct{ left []byte }

// Read implements io.Reader; the end comes with the last bytes.
func (c *content) Read(p []byte) (int, error) {
	n := copy(p, c.left)
	if c.left = c.left[n:]; len(c.left) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// Ready implements stream.Ready.
func (c *content) Ready() bool { return true }

// Close implements io.Closer.
func (c *content) Close() error { return nil }
