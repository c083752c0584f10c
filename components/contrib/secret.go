package contrib

import (
	"context"
	"errors"
	"maps"
	"sync/atomic"

	"github.com/dapr/components-contrib/health"
	"github.com/dapr/components-contrib/secretstores"
	"github.com/dapr/kit/logger"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/secret"
)

// Secret makes a constructor of secret.Store of one of contrib's.
func Secret(make func(logger.Logger) secretstores.SecretStore) components.Factory[secret.Store] {
	return SecretAt(make, nil)
}

// SecretAt is Secret for a backend that cannot be pinged: it is healthy while one of
// the addresses, host:port, accepts connections, and a secret that could be read
// before still can.
func SecretAt(make func(logger.Logger) secretstores.SecretStore, addresses func(properties map[string]string) []string) components.Factory[secret.Store] {
	return func(ctx context.Context, env components.Env, cfg components.Config) (secret.Store, error) {
		backend := make(NewLogger(env.Log))
		WarnUnknown(cfg, backend)
		base := Base(cfg)
		properties := maps.Clone(base.Properties) // backends write into theirs
		err := run(ctx, func(ctx context.Context) error {
			return backend.Init(ctx, secretstores.Metadata{Base: base})
		})
		if err != nil {
			return nil, hideSecrets(errors.Join(err, closeFailed(backend)), properties)
		}
		s := &secretStore{backend: backend, properties: properties}
		if pinger, ok := backend.(health.Pinger); ok {
			return &checkedSecretStore{secretStore: s, ping: pinger.Ping}, nil
		}
		if addresses != nil {
			where := addresses(maps.Clone(properties))
			s.probe = new(probe)
			return &checkedSecretStore{secretStore: s, ping: func(ctx context.Context) error {
				if err := reach(ctx, where); err != nil {
					return err
				}
				return s.probe.check(ctx, backend)
			}}, nil
		}
		return s, nil
	}
}

// secretStore is one of contrib's secret stores.
type secretStore struct {
	backend    secretstores.SecretStore
	properties map[string]string
	closed     atomic.Bool
	probe      *probe // nil: the backend says itself how it is
}

// checkedSecretStore is one that can tell how it is.
type checkedSecretStore struct {
	*secretStore
	ping func(context.Context) error
}

// Check implements components.Checker.
func (s *checkedSecretStore) Check(ctx context.Context) error {
	return hideSecrets(run(ctx, s.ping), s.properties)
}

// Get implements secret.Store.
func (s *secretStore) Get(ctx context.Context, key string, metadata map[string]string) (secret.Secret, error) {
	if s.closed.Load() {
		return nil, secret.ErrClosed
	}
	found, err := answered(ctx, func(ctx context.Context) (secret.Secret, error) {
		resp, err := s.backend.GetSecret(ctx, secretstores.GetSecretRequest{Name: key, Metadata: metadata})
		if s.probe != nil {
			s.probe.note(key, err)
		}
		if err != nil {
			return nil, err
		}
		if resp.Data == nil {
			return nil, secret.ErrNotFound
		}
		return resp.Data, nil
	})
	return found, hideSecrets(err, s.properties)
}

// List implements secret.Lister.
func (s *secretStore) List(ctx context.Context, metadata map[string]string) (map[string]secret.Secret, error) {
	if s.closed.Load() {
		return nil, secret.ErrClosed
	}
	found, err := answered(ctx, func(ctx context.Context) (map[string]secret.Secret, error) {
		resp, err := s.backend.BulkGetSecret(ctx, secretstores.BulkGetSecretRequest{Metadata: metadata})
		if err != nil {
			return nil, err
		}
		all := make(map[string]secret.Secret, len(resp.Data))
		for key, values := range resp.Data {
			all[key] = values
		}
		return all, nil
	})
	return found, hideSecrets(err, s.properties)
}

// Close implements secret.Store.
func (s *secretStore) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	return hideSecrets(s.backend.Close(), s.properties)
}
