package layotto

import (
	"context"

	"github.com/ottavo-runtime/ottavo/components/binding"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// InvokeBinding has a binding do something in another system.
func (r *runtimeServer) InvokeBinding(ctx context.Context, req *runtimev1.InvokeBindingRequest) (*runtimev1.InvokeBindingResponse, error) {
	resp, err := r.Binding.Invoke(ctx, req.GetName(), &binding.Request{
		Operation: req.GetOperation(), Data: req.GetData(), Metadata: req.GetMetadata(),
	})
	if err != nil {
		return nil, toStatus(err)
	}
	return &runtimev1.InvokeBindingResponse{Data: resp.Data, Metadata: validMap(resp.Metadata)}, nil
}
