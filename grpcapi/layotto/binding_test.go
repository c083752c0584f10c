package layotto_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// echoBinding answers what it was given.
type echoBinding struct{}

func (echoBinding) Close() error         { return nil }
func (echoBinding) Operations() []string { return []string{"get", "fail", "latin1"} }

func (echoBinding) Invoke(_ context.Context, req *binding.Request) (*binding.Response, error) {
	if req.Operation == "fail" {
		return nil, errors.New("out of order")
	}
	if req.Operation == "latin1" {
		return &binding.Response{Metadata: map[string]string{"X-Place": "caf\xe9"}}, nil
	}
	return &binding.Response{Data: req.Data, Metadata: req.Metadata}, nil
}

// inputBinding is no output.
type inputBinding struct{}

func (inputBinding) Close() error { return nil }

func TestInvokeBinding(t *testing.T) {
	client, _ := serve(t, layotto.Config{Binding: capability.NewBinding(map[string]binding.Binding{"echo": echoBinding{}, "in": inputBinding{}})})
	ctx := timeout(t)
	resp, err := client.InvokeBinding(ctx, &runtimev1.InvokeBindingRequest{
		Name: "echo", Operation: "get", Data: []byte("\x00x"), Metadata: map[string]string{"a": "b"},
	})
	if err != nil || string(resp.GetData()) != "\x00x" || resp.GetMetadata()["a"] != "b" {
		t.Errorf("InvokeBinding = %v, %v", resp, err)
	}
	resp, err = client.InvokeBinding(ctx, &runtimev1.InvokeBindingRequest{Name: "echo", Operation: "latin1"})
	if err != nil || resp.GetMetadata()["X-Place"] != "caf\uFFFD" {
		t.Errorf("InvokeBinding with metadata that are no UTF-8 = %v, %v", resp, err)
	}
	const lead = "error when invoke output binding "
	for _, c := range []struct{ name, operation, text, reason string }{
		{"echo", "", lead + "echo: operation field is missing from request", "INVALID_ARGUMENT"},
		{"none", "get", lead + "none: couldn't find output binding none", "UNKNOWN_COMPONENT"},
		{"in", "get", lead + "in: couldn't find output binding in", "UNKNOWN_COMPONENT"},
		{"echo", "put", lead + "echo: binding echo does not support operation put. supported operations:get fail latin1", "NOT_SUPPORTED"},
		{"echo", "fail", lead + "echo: out of order", "INTERNAL"},
	} {
		_, err := client.InvokeBinding(ctx, &runtimev1.InvokeBindingRequest{Name: c.name, Operation: c.operation})
		wantStatus(t, err, codes.Internal, c.text, c.reason)
	}
}
