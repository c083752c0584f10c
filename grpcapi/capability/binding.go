package capability

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/components/binding"
)

// BindingInvoke is the operation in an Error.
const BindingInvoke Op = "invoke"

// Binding calls the output bindings it was made from.
type Binding struct {
	outputs map[string]binding.Output
}

// NewBinding takes the bindings by their names; those that are no outputs cannot
// be called. The map is copied.
func NewBinding(bindings map[string]binding.Binding) *Binding {
	b := &Binding{outputs: make(map[string]binding.Output)}
	for name, c := range bindings {
		if out, ok := c.(binding.Output); ok {
			b.outputs[name] = out
		}
	}
	return b
}

// Invoke has the binding of that name do something. Where a binding answers and
// fails at once, both are returned.
func (b *Binding) Invoke(ctx context.Context, name string, req *binding.Request) (*binding.Response, error) {
	var outputs map[string]binding.Output
	if b != nil {
		outputs = b.outputs
	}
	fail := func(kind Kind, format string, args ...any) (*binding.Response, error) {
		return nil, &Error{Kind: kind, Capability: BindingName, Op: BindingInvoke, Component: name, Msg: fmt.Sprintf(format, args...)}
	}
	if req.Operation == "" {
		return fail(InvalidArgument, "operation field is missing from request")
	}
	out, err := find(outputs, BindingName, BindingInvoke, name)
	if err != nil {
		return nil, err
	}
	if known := out.Operations(); !slices.Contains(known, req.Operation) {
		return fail(NotSupported, "binding %s does not support operation %s. supported operations:%s", name, req.Operation, strings.Join(known, " "))
	}
	resp, err := out.Invoke(ctx, &binding.Request{Operation: req.Operation, Data: req.Data, Metadata: maps.Clone(req.Metadata)})
	if err != nil {
		kind := failureKind(ctx)
		if errors.Is(err, binding.ErrNotSupported) {
			kind = NotSupported
		}
		return resp, &Error{Kind: kind, Capability: BindingName, Op: BindingInvoke, Component: name, Err: err}
	}
	return resp, nil
}
