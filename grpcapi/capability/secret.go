package capability

import (
	"maps"

	"github.com/ottavo-runtime/ottavo/components/secret"
)

// Secret reads secrets from the stores it was made from.
type Secret struct {
	stores map[string]secret.Store
}

// NewSecret takes them by their names. The map is copied.
func NewSecret(stores map[string]secret.Store) *Secret {
	return &Secret{stores: maps.Clone(stores)}
}
