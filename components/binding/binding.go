// Package binding is the contract of bindings to other systems: an output does
// something there, an input tells of what happens there.
package binding

import (
	"context"
	"errors"
)

// Request asks an output to do something.
type Request struct {
	Operation string
	Data      []byte
	// Metadata may be nil.
	Metadata map[string]string
}

// Response is what became of it. It belongs to the receiver.
type Response struct {
	Data     []byte
	Metadata map[string]string
}

// Event is what an input tells of. It belongs to the receiver.
type Event struct {
	Data     []byte
	Metadata map[string]string
}

// Binding is the contract; it is an Output, an Input, or both.
type Binding interface {
	// Close releases everything. It is safe twice.
	Close() error
}

// Output does something in another system. Its methods are safe for concurrent
// use and return promptly when ctx ends, with ctx's error.
type Output interface {
	Binding
	// Operations are those that Invoke knows.
	Operations() []string
	Invoke(ctx context.Context, req *Request) (*Response, error)
}

// Input tells of what happens in another system.
type Input interface {
	Binding
	// Read hands events to handle until ctx ends or the binding is closed. It
	// returns once it reads, or an error; done is closed after the last call of
	// handle has returned. An error of handle has the event told again, where the
	// other system can. The handler's answer goes back where it can.
	Read(ctx context.Context, handle func(ctx context.Context, e *Event) ([]byte, error)) (done <-chan struct{}, err error)
}

// Errors of a binding; test with errors.Is.
var (
	ErrNotSupported = errors.New("not supported by this binding")
	ErrClosed       = errors.New("binding is closed")
)
