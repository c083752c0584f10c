package layotto

import (
	"context"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// SayHello greets. The request's data come back untouched.
func (r *runtimeServer) SayHello(ctx context.Context, req *runtimev1.SayHelloRequest) (*runtimev1.SayHelloResponse, error) {
	text, err := r.Hello.Say(ctx, req.GetServiceName(), req.GetName())
	if err != nil {
		return nil, toStatus(err)
	}
	return &runtimev1.SayHelloResponse{Hello: valid(text), Data: req.GetData()}, nil
}
