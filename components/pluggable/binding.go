package pluggable

import (
	"context"
	"slices"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/binding"
	daprv1 "github.com/ottavo-runtime/ottavo/spec/proto/dapr/components/v1"
)

// bindingLink is what all bindings in processes of their own are.
type bindingLink struct{ *link }

// Close implements binding.Binding.
func (b bindingLink) Close() error {
	b.close()
	return nil
}

// outputBinding does something elsewhere.
type outputBinding struct {
	bindingLink
	client     daprv1.OutputBindingClient
	operations *atomic.Pointer[[]string]
}

// inputBinding tells of what happens elsewhere.
type inputBinding struct {
	bindingLink
	client daprv1.InputBindingClient
}

// bothBindings do both.
type bothBindings struct {
	bindingLink
	output
	input
}

type (
	output interface {
		Operations() []string
		Invoke(ctx context.Context, req *binding.Request) (*binding.Response, error)
	}
	input interface {
		Read(ctx context.Context, handle func(ctx context.Context, e *binding.Event) ([]byte, error)) (<-chan struct{}, error)
	}
)

func bindingErrors() kindErrors {
	return kindErrors{closed: binding.ErrClosed, codes: map[codes.Code]error{codes.Unimplemented: binding.ErrNotSupported}}
}

func newBinding(ctx context.Context, l *link, socket Socket, _ components.Env, cfg components.Config) (binding.Binding, error) {
	base := bindingLink{l}
	isIn, isOut := socket.serves(daprv1.InputBinding_ServiceDesc.ServiceName), socket.serves(daprv1.OutputBinding_ServiceDesc.ServiceName)
	in := inputBinding{base, daprv1.NewInputBindingClient(l)}
	out := outputBinding{base, daprv1.NewOutputBindingClient(l), new(atomic.Pointer[[]string])}
	l.ping = l.pingDapr(daprv1.InputBinding_ServiceDesc)
	if isOut {
		l.ping = l.pingDapr(daprv1.OutputBinding_ServiceDesc)
	}
	l.start = func(ctx context.Context, conn grpc.ClientConnInterface) error {
		if isIn {
			if err := startDapr(ctx, conn, daprv1.InputBinding_ServiceDesc, cfg); err != nil {
				return err
			}
		}
		if !isOut {
			return nil
		}
		if err := startDapr(ctx, conn, daprv1.OutputBinding_ServiceDesc, cfg); err != nil {
			return err
		}
		resp, err := daprv1.NewOutputBindingClient(conn).ListOperations(ctx, &daprv1.ListOperationsRequest{})
		operations := resp.GetOperations()
		out.operations.Store(&operations)
		return err
	}
	if err := l.connect(ctx); err != nil {
		return nil, err
	}
	switch {
	case !isIn:
		return out, nil
	case !isOut:
		return in, nil
	}
	return bothBindings{base, out, in}, nil
}

// Operations implements binding.Output.
func (b outputBinding) Operations() []string { return slices.Clone(*b.operations.Load()) }

// Invoke implements binding.Output.
func (b outputBinding) Invoke(ctx context.Context, req *binding.Request) (*binding.Response, error) {
	resp, err := b.client.Invoke(ctx, &daprv1.InvokeRequest{Data: req.Data, Metadata: req.Metadata, Operation: req.Operation})
	if err != nil {
		return nil, b.explain(ctx, err, bindingErrors())
	}
	return &binding.Response{Data: resp.GetData(), Metadata: resp.GetMetadata()}, nil
}

// Read implements binding.Input.
func (b inputBinding) Read(ctx context.Context, handle func(ctx context.Context, e *binding.Event) ([]byte, error)) (<-chan struct{}, error) {
	p := &pull[daprv1.ReadRequest, daprv1.ReadResponse]{
		link: b.link, what: "events", kind: bindingErrors(), open: b.client.Read,
		handle: func(ctx context.Context, m *daprv1.ReadResponse) *daprv1.ReadRequest {
			answer := &daprv1.ReadRequest{MessageId: m.GetMessageId()}
			data, err := handle(ctx, &binding.Event{Data: m.GetData(), Metadata: m.GetMetadata()})
			if err != nil {
				answer.ResponseError = &daprv1.AckResponseError{Message: err.Error()}
			} else {
				answer.ResponseData = data
			}
			return answer
		},
	}
	return p.start(ctx, atOnce)
}
