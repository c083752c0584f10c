// Package local keeps calls in a file instead of making them, type "local": for
// development and tests of applications.
package local

import (
	"context"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/outbox"
	"github.com/ottavo-runtime/ottavo/components/phone"
)

// Type is the name by which a configuration asks for it.
const Type = "local"

// Metadata are the settings.
type Metadata = outbox.Metadata

type caller struct{ *outbox.Outbox }

// New opens the file.
func New(_ context.Context, env components.Env, cfg components.Config) (phone.Caller, error) {
	o, err := outbox.Open(env, cfg)
	if err != nil {
		return nil, err
	}
	return caller{o}, nil
}

// Call implements phone.Caller.
func (c caller) Call(ctx context.Context, call *phone.Call) (string, error) { return c.Put(ctx, call) }
