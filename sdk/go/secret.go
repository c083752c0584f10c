package ottavo

import (
	"context"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// Secrets is one secret store of the runtime. It is safe for concurrent use and
// costs nothing to make.
type Secrets struct {
	api   runtimev1.RuntimeClient
	store string
}

// Secrets returns the secret store with that name in the runtime's configuration.
// Whether there is one shows in the first call.
func (c *Client) Secrets(name string) *Secrets { return &Secrets{api: c.api, store: name} }

// Get reads a secret, which may have several values with names. Many stores have one
// value, named as the key. At most one map of metadata may be given, which goes to the store.
func (s *Secrets) Get(ctx context.Context, key string, metadata ...map[string]string) (map[string]string, error) {
	resp, err := s.api.GetSecret(ctx, &runtimev1.GetSecretRequest{StoreName: s.store, Key: key, Metadata: first(metadata)})
	if err != nil {
		return nil, failed("GetSecret", err)
	}
	return resp.GetData(), nil
}

// GetAll reads all secrets of the store, by their keys.
func (s *Secrets) GetAll(ctx context.Context, metadata ...map[string]string) (map[string]map[string]string, error) {
	resp, err := s.api.GetBulkSecret(ctx, &runtimev1.GetBulkSecretRequest{StoreName: s.store, Metadata: first(metadata)})
	if err != nil {
		return nil, failed("GetBulkSecret", err)
	}
	all := make(map[string]map[string]string, len(resp.GetData()))
	for key, secret := range resp.GetData() {
		all[key] = secret.GetSecrets()
	}
	return all, nil
}
