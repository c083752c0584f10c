package capability

import (
	"maps"

	"github.com/ottavo-runtime/ottavo/components/configuration"
)

// Configuration reads, writes and watches the stores it was made from.
type Configuration struct {
	appID  string
	stores map[string]configuration.Store
}

// NewConfiguration takes the stores by their names, and the id that stands for
// an application's id that a caller leaves out. The map is copied.
func NewConfiguration(appID string, stores map[string]configuration.Store) *Configuration {
	return &Configuration{appID: appID, stores: maps.Clone(stores)}
}
