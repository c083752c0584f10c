package capability

import (
	"context"
	"fmt"
	"maps"

	"github.com/ottavo-runtime/ottavo/components"
)

// LifecycleApply is the operation in an Error.
const LifecycleApply Op = "apply configuration"

// ComponentID names a component: the section of the configuration and the name.
type ComponentID struct {
	Kind, Name string
}

// Lifecycle gives new settings to components that run.
type Lifecycle struct {
	components map[ComponentID]*dynamic
}

// dynamic is a component that takes new settings, one call at a time.
type dynamic struct {
	turn chan struct{} // whoever has put something in; capacity 1
	components.Reconfigurer
}

// NewLifecycle takes the components that can change.
func NewLifecycle(changing map[ComponentID]components.Reconfigurer) *Lifecycle {
	l := &Lifecycle{components: make(map[ComponentID]*dynamic, len(changing))}
	for id, c := range changing {
		l.components[id] = &dynamic{turn: make(chan struct{}, 1), Reconfigurer: c}
	}
	return l
}

// Apply gives a component all its settings anew. What is wrong with them is an
// error and changes nothing.
func (l *Lifecycle) Apply(ctx context.Context, id ComponentID, metadata map[string]string) error {
	fail := func(format string, args ...any) error {
		return &Error{Kind: InvalidArgument, Capability: LifecycleName, Op: LifecycleApply, Component: id.Name, Msg: fmt.Sprintf(format, args...)}
	}
	switch {
	case id.Kind == "":
		return fail("field kind is not configured")
	case id.Name == "":
		return fail("field name is not configured")
	case len(metadata) == 0:
		return fail("field metadata is not configured")
	}
	var c *dynamic
	if l != nil {
		c = l.components[id]
	}
	if c == nil {
		return fail("component not found. kind: %s , name: %s", id.Kind, id.Name)
	}
	if err := c.apply(ctx, maps.Clone(metadata)); err != nil {
		kind, ended := contextKind(ctx)
		if !ended {
			kind = Unknown
		}
		return &Error{Kind: kind, Capability: LifecycleName, Op: LifecycleApply, Component: id.Name, Err: err}
	}
	return nil
}

// apply waits for the turn of a call, no longer than its caller does.
func (d *dynamic) apply(ctx context.Context, metadata map[string]string) error {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return d.Reconfigure(ctx, metadata)
}
