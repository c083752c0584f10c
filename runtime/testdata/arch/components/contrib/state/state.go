// Package state adapts backends.
package state

import (
	_ "example.test/m/components/contrib/logging"
	_ "example.test/m/components/lock"
	_ "example.test/m/components/state"
	_ "example.test/m/components/state/redis" // want backend-with-its-kind
)
