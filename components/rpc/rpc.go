package rpc

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Pair is one header field. Names are compared without regard to ASCII case.
type Pair struct{ Name, Value string }

// Request is one call of a service.
type Request struct {
	// ID names the service.
	ID string
	// Method is what to call; for HTTP the path, possibly with "?query".
	Method string
	// Verb is the HTTP method in capitals; "" is GET, as Layotto has it, also with a body.
	Verb string
	// Query is the query string without "?"; joined to one in Method with "&".
	Query string
	// ContentType describes Data; "" when the caller did not say.
	ContentType string
	// Header holds what the caller sent along, in order, repeated names kept.
	Header []Pair
	// Data is the body. It is not changed, and not kept after Invoke returns.
	Data []byte
	// Timeout bounds the call; 0 is the invoker's default.
	Timeout time.Duration
	// Target is the address to call ("host:port"), bypassing listeners, routes and
	// the choice of a host; "" normally.
	Target string
	// OneWay asks for no answer.
	OneWay bool
	// Channel names the way that an invoker with several takes; "" is its first.
	Channel string
}

// Response is a service's answer. It belongs to the caller.
type Response struct {
	// Status is the answer's status in HTTP's terms; a success is 200 to 299.
	Status      int
	ContentType string
	Header      []Pair
	Data        []byte
}

// Invoker calls services. It is safe for concurrent use.
type Invoker interface {
	// Invoke calls the service and returns its answer. Every answer outside
	// 200 to 299 is an *Error; it holds the answer where the protocol is HTTP. A
	// one-way call gets an empty answer once it is on its way. A call whose ctx
	// has ended is not sent.
	Invoke(ctx context.Context, req *Request) (*Response, error)
	// Close releases connections; calls after it fail. It is safe twice.
	Close() error
}

// Code sorts the ways in which a call fails.
type Code uint8

// Codes.
const (
	Internal    Code = iota
	InvalidCall      // the request cannot be sent: bad method, verb, target
	Timeout          // the time limit passed
	Canceled         // the caller ended ctx
	Unavailable      // no answer could be had: no route, no host, refused, cut off
	Status           // the service answered, with a status of HTTP that is no success
	TooLarge         // the answer is larger than allowed
)

// Error is a failed call.
type Error struct {
	Code Code
	// Response is the service's answer when Code is Status, else nil.
	Response *Response
	// Msg says what failed.
	Msg string
	Err error
}

// Error returns the message and its cause.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Msg, e.Err)
	}
	return e.Msg
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// AsError returns err as an *Error if it is one.
func AsError(err error) (*Error, bool) { return errors.AsType[*Error](err) }
