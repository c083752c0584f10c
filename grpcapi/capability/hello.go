package capability

import (
	"context"
	"maps"

	"github.com/ottavo-runtime/ottavo/components/hello"
)

// Hello greets, through the greeters it was made from.
type Hello struct {
	greeters map[string]hello.Greeter
}

// NewHello takes the greeters by their names. The map is copied.
func NewHello(greeters map[string]hello.Greeter) *Hello {
	return &Hello{greeters: maps.Clone(greeters)}
}

// SayHello is the operation in an Error.
const SayHello Op = "say hello"

// Say returns what the greeter of that name says to name, which may be "".
func (h *Hello) Say(ctx context.Context, greeter, name string) (string, error) {
	var greeters map[string]hello.Greeter
	if h != nil {
		greeters = h.greeters
	}
	g, err := find(greeters, HelloName, SayHello, greeter)
	if err != nil {
		return "", err
	}
	text, err := g.Hello(ctx, name)
	if err != nil {
		kind, ended := contextKind(ctx)
		if !ended {
			kind = Unknown
		}
		return "", &Error{Kind: kind, Capability: HelloName, Op: SayHello, Component: greeter, Err: err}
	}
	return text, nil
}
