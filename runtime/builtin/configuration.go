package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
)

// configurations are the configuration stores.
func configurations() []components.Row[configuration.Store] {
	return nil
}
