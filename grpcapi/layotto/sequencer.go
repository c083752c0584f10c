package layotto

import (
	"context"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// GetNextId returns an id of a sequence. Without options it is a weak one. The
// request's metadata is there for backends, none of which has a use for it.
func (r *runtimeServer) GetNextId(ctx context.Context, req *runtimev1.GetNextIdRequest) (*runtimev1.GetNextIdResponse, error) { //nolint:staticcheck // as the API calls it
	increment := capability.Increment(req.GetOptions().GetIncrement())
	id, err := r.Sequencer.Next(ctx, req.GetStoreName(), req.GetKey(), increment)
	if err != nil {
		return nil, toStatus(err)
	}
	return &runtimev1.GetNextIdResponse{NextId: id}, nil
}
