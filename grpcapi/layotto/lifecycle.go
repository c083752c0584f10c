package layotto

import (
	"context"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// lifecycleServer answers spec.proto.runtime.v1.Lifecycle.
type lifecycleServer struct {
	runtimev1.UnimplementedLifecycleServer
	lifecycle *capability.Lifecycle
}

// ApplyConfiguration gives a component all its settings anew.
func (s *lifecycleServer) ApplyConfiguration(ctx context.Context, req *runtimev1.DynamicConfiguration) (*runtimev1.ApplyConfigurationResponse, error) {
	c := req.GetComponentConfig()
	id := capability.ComponentID{Kind: c.GetKind(), Name: c.GetName()}
	if err := s.lifecycle.Apply(ctx, id, c.GetMetadata()); err != nil {
		return nil, toStatus(err)
	}
	return &runtimev1.ApplyConfigurationResponse{}, nil
}
