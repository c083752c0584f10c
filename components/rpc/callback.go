package rpc

import (
	"context"
	"fmt"
	"slices"

	"github.com/ottavo-runtime/ottavo/components"
)

// Before looks at a call, and may change it, before it is sent. Header is the
// call's own and may be appended to and written to; Data may be replaced, not
// written to. An error ends the call and is what the caller gets; one that is
// no *Error counts as a failure of unknown kind.
type Before func(ctx context.Context, req *Request) error

// After looks at the answer to a call, and may change it. It is called for
// answers that are a success, and not for one-way calls. An error takes the
// place of the answer, as one of Before does.
type After func(ctx context.Context, req *Request, resp *Response) error

// Callback is one row of the table of callbacks, which configurations name in
// before_invoke and after_invoke. What it makes is called from many goroutines.
type Callback struct {
	// Name is the name in configurations.
	Name string
	// Doc says in one line what it does.
	Doc string
	// Before makes it for before_invoke, with its own settings in cfg. nil: it
	// cannot stand there.
	Before func(cfg components.Config) (Before, error)
	// After makes it for after_invoke. nil: it cannot stand there.
	After func(cfg components.Config) (After, error)
}

// Chain is the callbacks of an invoker, each list in the order of their turns.
type Chain struct {
	Before []Before
	After  []After
}

// Invoke has the call made by send, between the callbacks. Those before work on a
// copy of req, so that the caller's stays as it is; send and those after get what
// they have made of it.
func (c *Chain) Invoke(ctx context.Context, req *Request, send func(ctx context.Context, req *Request) (*Response, error)) (*Response, error) {
	if len(c.Before) > 0 {
		changed := *req
		changed.Header = slices.Clone(req.Header)
		for _, b := range c.Before {
			if err := b(ctx, &changed); err != nil {
				return nil, fmt.Errorf("before_invoke: %w", err)
			}
		}
		req = &changed
	}
	resp, err := send(ctx, req)
	if err != nil || req.OneWay {
		return resp, err
	}
	for _, a := range c.After {
		if err := a(ctx, req, resp); err != nil {
			return nil, fmt.Errorf("after_invoke: %w", err)
		}
	}
	return resp, nil
}
