package layotto

import (
	"context"
	"unicode/utf8"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// GetSecret reads one secret.
func (r *runtimeServer) GetSecret(ctx context.Context, req *runtimev1.GetSecretRequest) (*runtimev1.GetSecretResponse, error) {
	values, err := r.Secret.Get(ctx, req.GetStoreName(), req.GetKey(), req.GetMetadata())
	if err != nil {
		return nil, toStatus(err)
	}
	if !carriable(values) {
		return nil, toStatus(&capability.Error{
			Kind: capability.Internal, Capability: capability.SecretName, Op: capability.SecretGet, Component: req.GetStoreName(), Key: req.GetKey(),
			Msg: "it is no UTF-8 text, all that this API can carry: store it as base64",
		})
	}
	return &runtimev1.GetSecretResponse{Data: values}, nil
}

// GetBulkSecret reads all secrets of a store, apart from those that the message
// cannot carry: one of them must not keep the others away.
func (r *runtimeServer) GetBulkSecret(ctx context.Context, req *runtimev1.GetBulkSecretRequest) (*runtimev1.GetBulkSecretResponse, error) {
	all, err := r.Secret.GetBulk(ctx, req.GetStoreName(), req.GetMetadata())
	if err != nil {
		return nil, toStatus(err)
	}
	resp := &runtimev1.GetBulkSecretResponse{Data: make(map[string]*runtimev1.SecretResponse, len(all))}
	for key, values := range all {
		if carriable(values) && utf8.ValidString(key) {
			resp.Data[key] = &runtimev1.SecretResponse{Secrets: values}
		}
	}
	return resp, nil
}

// carriable tells whether a message has room for the values: protobuf's strings
// are UTF-8. To make others fit would change a secret, and nobody would notice.
func carriable(values map[string]string) bool {
	for name, value := range values {
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return false
		}
	}
	return true
}
