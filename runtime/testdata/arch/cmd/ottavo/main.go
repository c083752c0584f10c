// Command ottavo starts everything.
package main

import (
	"context"

	_ "example.test/m/components/state/redis" // want builtin-only
	_ "example.test/m/runtime"
	_ "example.test/m/runtime/builtin"
)

var version = "dev"

func main() { run(context.Background(), version) }

func run(ctx context.Context, v string) { _ = v }
