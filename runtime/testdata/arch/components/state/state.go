// Package state is a kind.
package state

import (
	_ "example.test/m/components"
	_ "example.test/m/components/contrib/state" // want kind-without-backend
	_ "example.test/m/components/state/redis"   // want kind-without-backend
	_ "example.test/m/grpcapi/capability"       // want components-below
)
