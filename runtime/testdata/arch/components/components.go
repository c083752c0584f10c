// Package components is below everything.
package components

import (
	_ "example.test/m/components/state/redis" // want kind-without-backend
	_ "example.test/m/internal/decode"
	_ "example.test/m/proxy/stream" // want components-below
)
