package ottavo

import (
	"context"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// Binding is one binding of the runtime: a way into another system. It is safe for
// concurrent use and costs nothing to make.
type Binding struct {
	api  runtimev1.RuntimeClient
	name string
}

// Binding returns the binding with that name in the runtime's configuration.
// Whether there is one shows in the first call.
func (c *Client) Binding(name string) *Binding { return &Binding{api: c.api, name: name} }

// BindingAnswer is what an operation of a binding returned.
type BindingAnswer struct {
	Data     []byte
	Metadata map[string]string
}

// Invoke has the binding do something, as "create" or "get"; each binding knows its
// operations and its metadata. Data may be nil. At most one map of metadata may be given.
func (b *Binding) Invoke(ctx context.Context, operation string, data []byte, metadata ...map[string]string) (BindingAnswer, error) {
	resp, err := b.api.InvokeBinding(ctx, &runtimev1.InvokeBindingRequest{
		Name: b.name, Operation: operation, Data: data, Metadata: first(metadata),
	})
	if err != nil {
		return BindingAnswer{}, failed("InvokeBinding", err)
	}
	return BindingAnswer{Data: resp.GetData(), Metadata: resp.GetMetadata()}, nil
}
