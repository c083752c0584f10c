// Package pluggable makes components of other processes.
package pluggable

import (
	_ "example.test/m/components/state"
	_ "example.test/m/components/state/redis" // want kind-without-backend
	_ "example.test/m/grpcapi"                // want components-below
	_ "example.test/m/spec/proto/runtime/v1"
)
