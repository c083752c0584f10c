package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/secret"
)

// secrets are the secret stores.
func secrets() []components.Row[secret.Store] {
	return nil
}
