// Command state is a user's program.
package main

import (
	"context"

	_ "example.test/m/sdk"
	_ "example.test/m/spec/proto/runtime/v1" // want demo-alone
)

func main() { _ = context.Background() }
