package capability

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/ottavo-runtime/ottavo/components/secret"
)

// Operations of Secret in an Error.
const (
	SecretGet     Op = "get"
	SecretGetBulk Op = "bulk get"
)

// Secret reads secrets from the stores it was made from.
type Secret struct {
	stores map[string]secret.Store
}

// NewSecret takes the stores by their names. The map is copied.
func NewSecret(stores map[string]secret.Store) *Secret {
	return &Secret{stores: maps.Clone(stores)}
}

func (s *Secret) find(op Op, name string) (secret.Store, error) {
	var stores map[string]secret.Store
	if s != nil {
		stores = s.stores
	}
	return find(stores, SecretName, op, name)
}

// Get returns the values of one secret.
func (s *Secret) Get(ctx context.Context, store, key string, metadata map[string]string) (secret.Secret, error) {
	c, err := s.find(SecretGet, store)
	if err != nil {
		return nil, err
	}
	values, err := c.Get(ctx, key, metadata)
	if err != nil {
		return nil, secretError(ctx, SecretGet, store, key, err)
	}
	return values, nil
}

// GetBulk returns everything that the store shows, by key.
func (s *Secret) GetBulk(ctx context.Context, store string, metadata map[string]string) (map[string]secret.Secret, error) {
	c, err := s.find(SecretGetBulk, store)
	if err != nil {
		return nil, err
	}
	lister, ok := c.(secret.Lister)
	if !ok {
		return nil, &Error{
			Kind: NotSupported, Capability: SecretName, Op: SecretGetBulk, Component: store,
			Msg: fmt.Sprintf("secret store %s cannot list its secrets: get them one by one", store),
		}
	}
	all, err := lister.List(ctx, metadata)
	if err != nil {
		return nil, secretError(ctx, SecretGetBulk, store, "", err)
	}
	return all, nil
}

func secretError(ctx context.Context, op Op, store, key string, err error) *Error {
	kind := failureKind(ctx)
	if errors.Is(err, secret.ErrNotFound) {
		kind = NotFound
	}
	return &Error{Kind: kind, Capability: SecretName, Op: op, Component: store, Key: key, Err: err}
}
