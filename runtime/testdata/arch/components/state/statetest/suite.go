// Package statetest is the suite of the kind: tests may do more.
package statetest

import (
	"context"
	"time"

	_ "example.test/m/components/state"
	_ "example.test/m/components/state/redis" // want kind-without-backend
)

func wait() {
	<-time.After(time.Second)
	_ = context.Background()
}
