// Command bench looks from outside.
package main

import (
	"context"
	"time"

	_ "example.test/m/runtime" // want tools-alone
	_ "example.test/m/spec/proto/runtime/v1"
)

func main() {
	_ = context.Background()
	<-time.After(1) // want time-after
}
