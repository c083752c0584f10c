package memory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components/rpc"
)

// DefaultTimeout bounds a call that sets no timeout of its own.
const DefaultTimeout = 3 * time.Second

var errClosed = errors.New("the invoker is closed")

// Service answers calls, from many goroutines. The request is its own: Verb is
// never "", and what of Query stood in Method is in Query. The answer is copied
// before the caller gets it; nil is an empty one, and Status 0 is 200.
//
// An answer outside 200 to 299 is an *rpc.Error for the caller, as it is over HTTP. An
// error that is an *rpc.Error is what the caller gets; another one, and a panic, is
// one with the code rpc.Internal.
//
// ctx ends with the call: because the caller has ended it, because the time is up,
// or because the invoker is closed. The caller does not wait for a service that goes
// on then.
type Service func(ctx context.Context, req *rpc.Request) (*rpc.Response, error)

// Options say what can be called.
type Options struct {
	// Services are the services by their ids.
	Services map[string]Service
	// Targets are services by address ("host:port"), for calls that name one.
	Targets map[string]Service
	// Callbacks are what is done with calls and answers.
	Callbacks rpc.Chain
	// Timeout bounds calls that set no timeout; 0 is DefaultTimeout.
	Timeout time.Duration
}

// Invoker is an rpc.Invoker.
type Invoker struct {
	opts Options

	mu     sync.Mutex
	closed bool
	last   int // number of the call that began last
	calls  map[int]context.CancelCauseFunc
}

// New makes an invoker. The maps are copied.
func New(o Options) *Invoker {
	o.Services, o.Targets = maps.Clone(o.Services), maps.Clone(o.Targets)
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	return &Invoker{opts: o, calls: make(map[int]context.CancelCauseFunc)}
}

// Invoke implements rpc.Invoker. The time that callbacks take counts.
func (inv *Invoker) Invoke(ctx context.Context, req *rpc.Request) (*rpc.Response, error) {
	timeout := req.Timeout
	if timeout <= 0 {
		timeout = inv.opts.Timeout
	}
	deadline := time.Now().Add(timeout)
	return inv.opts.Callbacks.Invoke(ctx, req, func(ctx context.Context, req *rpc.Request) (*rpc.Response, error) {
		return inv.send(ctx, req, deadline)
	})
}

// answer is what a service has said.
type answer struct {
	resp *rpc.Response
	err  error
}

// send has the call answered on a goroutine of its own.
func (inv *Invoker) send(ctx context.Context, req *rpc.Request, deadline time.Time) (*rpc.Response, error) {
	service, err := inv.find(req)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ended(ctx, req.ID)
	}
	call := copyOf(req)
	if call.OneWay {
		ctx = context.WithoutCancel(ctx) // the caller does not wait
	}
	ctx, end, err := inv.begin(ctx, deadline)
	if err != nil {
		return nil, err
	}
	id, answered := req.ID, make(chan answer, 1)
	go func() {
		defer end() // after the answer is there
		resp, err := serve(ctx, service, call)
		if ctx.Err() != nil {
			resp, err = nil, ended(ctx, id)
		}
		answered <- answer{resp, err}
	}()
	if req.OneWay {
		return new(rpc.Response), nil
	}
	select {
	case a := <-answered:
		return a.resp, a.err
	case <-ctx.Done():
	}
	select {
	case a := <-answered:
		return a.resp, a.err
	default:
		return nil, ended(ctx, id)
	}
}

// find finds who answers the call.
func (inv *Invoker) find(req *rpc.Request) (Service, error) {
	switch {
	case req.Channel != "":
		return nil, &rpc.Error{Code: rpc.InvalidCall, Msg: fmt.Sprintf("rpc_channel %.100q: this invoker has no channels", req.Channel)}
	case req.Target != "":
		if host, port, err := net.SplitHostPort(req.Target); err != nil || host == "" || port == "" {
			return nil, &rpc.Error{Code: rpc.InvalidCall, Msg: fmt.Sprintf("rpc_target_address %.100q is no address: say host:port", req.Target)}
		}
		if s := inv.opts.Targets[req.Target]; s != nil {
			return s, nil
		}
		return nil, &rpc.Error{Code: rpc.Unavailable, Msg: fmt.Sprintf("nobody is at rpc_target_address %.100q", req.Target)}
	}
	if s := inv.opts.Services[req.ID]; s != nil {
		return s, nil
	}
	return nil, &rpc.Error{Code: rpc.Unavailable, Msg: fmt.Sprintf("there is no service %.100q in this process", req.ID)}
}

// begin notes a call, which Close ends.
func (inv *Invoker) begin(ctx context.Context, deadline time.Time) (context.Context, context.CancelFunc, error) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.closed {
		return nil, nil, &rpc.Error{Code: rpc.Unavailable, Msg: errClosed.Error()}
	}
	limited, stop := context.WithDeadline(ctx, deadline)
	ctx, cancel := context.WithCancelCause(limited)
	inv.last++
	number := inv.last
	inv.calls[number] = cancel
	return ctx, func() {
		inv.mu.Lock()
		defer inv.mu.Unlock()
		delete(inv.calls, number)
		cancel(nil)
		stop()
	}, nil
}

// ended is the error of a call whose context has ended.
func ended(ctx context.Context, id string) *rpc.Error {
	cause := context.Cause(ctx)
	e := &rpc.Error{Code: rpc.Canceled, Msg: fmt.Sprintf("calling %.100q", id), Err: cause}
	switch {
	case errors.Is(cause, errClosed):
		e.Code = rpc.Unavailable
	case errors.Is(cause, context.DeadlineExceeded):
		e.Code = rpc.Timeout
	}
	return e
}

// copyOf is the request as the service gets it.
func copyOf(req *rpc.Request) *rpc.Request {
	r := *req
	r.Header, r.Data = slices.Clone(req.Header), bytes.Clone(req.Data)
	if r.Verb == "" {
		r.Verb = "GET"
	}
	method, query, _ := strings.Cut(req.Method, "?")
	r.Method, r.Query = method, query
	if more := strings.TrimPrefix(req.Query, "?"); more != "" {
		if query != "" {
			query += "&"
		}
		r.Query = query + more
	}
	return &r
}

// serve returns what the service says, as the caller gets it.
func serve(ctx context.Context, service Service, req *rpc.Request) (resp *rpc.Response, err error) {
	id := req.ID
	defer func() {
		if p := recover(); p != nil {
			resp, err = nil, &rpc.Error{Code: rpc.Internal, Msg: fmt.Sprintf("service %.100q: panic: %v", id, p)}
		}
	}()
	said, err := service(ctx, req)
	if e, ok := rpc.AsError(err); ok {
		own := *e
		if e.Response != nil {
			own.Response = answerOf(e.Response)
		}
		return nil, &own
	}
	if err != nil {
		return nil, &rpc.Error{Code: rpc.Internal, Msg: fmt.Sprintf("service %.100q", id), Err: err}
	}
	if said == nil {
		said = new(rpc.Response)
	}
	resp = answerOf(said)
	if resp.Status < 200 || resp.Status > 299 {
		return nil, &rpc.Error{Code: rpc.Status, Response: resp, Msg: fmt.Sprintf("service %.100q: status %d", id, resp.Status)}
	}
	return resp, nil
}

// answerOf is a copy of what a service has said, whose ContentType and header say
// the same.
func answerOf(said *rpc.Response) *rpc.Response {
	resp := *said
	resp.Header, resp.Data = slices.Clone(said.Header), bytes.Clone(said.Data)
	if resp.Status == 0 {
		resp.Status = 200
	}
	isType := func(p rpc.Pair) bool { return strings.EqualFold(p.Name, "Content-Type") }
	switch i := slices.IndexFunc(resp.Header, isType); {
	case resp.ContentType == "" && i >= 0:
		resp.ContentType = resp.Header[i].Value
	case resp.ContentType != "" && i >= 0:
		resp.Header[i].Value = resp.ContentType
	case resp.ContentType != "":
		resp.Header = append(resp.Header, rpc.Pair{Name: "Content-Type", Value: resp.ContentType})
	}
	return &resp
}

// Close implements rpc.Invoker: calls under way fail, and their services are told.
func (inv *Invoker) Close() error {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.closed = true
	for _, cancel := range inv.calls {
		cancel(errClosed)
	}
	return nil
}
