package pluggable

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/secret"
	daprv1 "github.com/ottavo-runtime/ottavo/spec/proto/dapr/components/v1"
)

// secretStore is a secret store in a process of its own. It implements secret.Store
// and secret.Lister.
type secretStore struct {
	*link
	client daprv1.SecretStoreClient
}

func secretErrors() kindErrors {
	return kindErrors{closed: secret.ErrClosed, codes: map[codes.Code]error{codes.NotFound: secret.ErrNotFound}}
}

func newSecret(ctx context.Context, l *link, _ Socket, _ components.Env, cfg components.Config) (secret.Store, error) {
	l.ping = l.pingDapr(daprv1.SecretStore_ServiceDesc)
	l.start = func(ctx context.Context, conn grpc.ClientConnInterface) error {
		return startDapr(ctx, conn, daprv1.SecretStore_ServiceDesc, cfg)
	}
	if err := l.connect(ctx); err != nil {
		return nil, err
	}
	return &secretStore{l, daprv1.NewSecretStoreClient(l)}, nil
}

// Get implements secret.Store.
func (s *secretStore) Get(ctx context.Context, key string, metadata map[string]string) (secret.Secret, error) {
	resp, err := s.client.Get(ctx, &daprv1.GetSecretRequest{Key: key, Metadata: metadata})
	if err != nil {
		return nil, s.explain(ctx, err, secretErrors())
	}
	if len(resp.GetData()) == 0 {
		return nil, secret.ErrNotFound
	}
	return resp.GetData(), nil
}

// List implements secret.Lister.
func (s *secretStore) List(ctx context.Context, metadata map[string]string) (map[string]secret.Secret, error) {
	resp, err := s.client.BulkGet(ctx, &daprv1.BulkGetSecretRequest{Metadata: metadata})
	if err != nil {
		return nil, s.explain(ctx, err, secretErrors())
	}
	all := make(map[string]secret.Secret, len(resp.GetData()))
	for key, values := range resp.GetData() {
		all[key] = values.GetSecrets()
	}
	return all, nil
}

// Close implements secret.Store.
func (s *secretStore) Close() error {
	s.close()
	return nil
}
