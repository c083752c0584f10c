package capability

import (
	"maps"

	"github.com/ottavo-runtime/ottavo/components"
)

// ComponentID names a component: the section of the configuration and the name.
type ComponentID struct {
	Kind, Name string
}

// Lifecycle gives new settings to components that run.
type Lifecycle struct {
	components map[ComponentID]components.Reconfigurer
}

// NewLifecycle takes the components that can change. The map is copied.
func NewLifecycle(dynamic map[ComponentID]components.Reconfigurer) *Lifecycle {
	return &Lifecycle{components: maps.Clone(dynamic)}
}
