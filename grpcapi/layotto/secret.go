package layotto

import (
	"context"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// GetSecret reads one secret.
func (r *runtimeServer) GetSecret(ctx context.Context, req *runtimev1.GetSecretRequest) (*runtimev1.GetSecretResponse, error) {
	values, err := r.Secret.Get(ctx, req.GetStoreName(), req.GetKey(), req.GetMetadata())
	if err != nil {
		return nil, toStatus(err)
	}
	return &runtimev1.GetSecretResponse{Data: values}, nil
}

// GetBulkSecret reads all secrets of a store.
func (r *runtimeServer) GetBulkSecret(ctx context.Context, req *runtimev1.GetBulkSecretRequest) (*runtimev1.GetBulkSecretResponse, error) {
	all, err := r.Secret.GetBulk(ctx, req.GetStoreName(), req.GetMetadata())
	if err != nil {
		return nil, toStatus(err)
	}
	resp := &runtimev1.GetBulkSecretResponse{Data: make(map[string]*runtimev1.SecretResponse, len(all))}
	for key, values := range all {
		resp.Data[key] = &runtimev1.SecretResponse{Secrets: values}
	}
	return resp, nil
}
