package stream

import "context"

// Handler answers one request.
//
// Handle returns when the response head is known; both bodies may still be
// flowing then. The caller calls Response.Close when it is done, and closing
// early cancels the exchange. ctx ends the exchange at every layer. The
// error is always an *Error or wraps one, and then there is no response. A
// one-way request gets NoResponse, never two nils.
//
// A Handler may be called concurrently, each call with a Request of its own.
type Handler interface {
	Handle(ctx context.Context, req *Request) (*Response, error)
}

// HandlerFunc lets a function be a Handler.
type HandlerFunc func(ctx context.Context, req *Request) (*Response, error)

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, req *Request) (*Response, error) { return f(ctx, req) }

// Filter does something around a Handler: it returns a Handler that may look
// at or change the request, answer it itself, or call next and look at or
// change the response.
type Filter func(next Handler) Handler

// Chain wraps h with the filters; the first of them sees a request first.
func Chain(h Handler, filters ...Filter) Handler {
	for i := len(filters) - 1; i >= 0; i-- {
		h = filters[i](h)
	}
	return h
}

// Rejecter is what a protocol server tells of bytes that never became a
// request: malformed, too large, cut off. The outermost handler of a stack may
// implement it, so that these too leave one record.
type Rejecter interface {
	Reject(ctx context.Context, req *Request, status int, err *Error)
}
