package greeting

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/hello"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// greetingKey is the component's key that holds the greeting, beside `type`.
const greetingKey = "hello"

// New makes a greeter. The greeting is the component's key `hello`, a string;
// without it the greeting is "".
func New(_ context.Context, _ components.Env, cfg components.Config) (hello.Greeter, error) {
	// Without keys of its own the metadata holds nothing that we know: decoding
	// it into nothing is what warns of the keys that are there.
	if err := cfg.Decode(&struct{}{}); err != nil {
		return nil, err
	}
	value, ok := cfg.Rest[greetingKey]
	if !ok || value == nil {
		return new(greeter), nil
	}
	greeting, ok := value.(string)
	if !ok {
		return nil, decode.Problems{{
			Path:    cfg.Path + "." + greetingKey,
			Message: fmt.Sprintf("%v is not a greeting but a %T", value, value),
			Remedy:  `write a string, in quotes if need be: hello: "greeting"`,
		}}
	}
	g := new(greeter)
	g.greeting.Store(&greeting)
	return g, nil
}

// greeter is a greeting that can be changed.
type greeter struct {
	greeting atomic.Pointer[string] // nil is ""
}

// Hello returns the greeting, with ", " and the name when there is one.
func (g *greeter) Hello(_ context.Context, name string) (string, error) {
	greeting := ""
	if p := g.greeting.Load(); p != nil {
		greeting = *p
	}
	if name == "" {
		return greeting, nil
	}
	return greeting + ", " + name, nil
}

// Reconfigure takes a new greeting; it implements components.Reconfigurer.
func (g *greeter) Reconfigure(_ context.Context, metadata map[string]string) error {
	greeting, ok := metadata[greetingKey]
	if !ok {
		return fmt.Errorf("the settings have no key %q, and a greeter has no other: give it the new greeting", greetingKey)
	}
	g.greeting.Store(&greeting)
	return nil
}
