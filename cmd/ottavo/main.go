// Command ottavo is the runtime and its proxy in one process, with the backends
// that need no heavy libraries. `ottavo help` says what it can do.
package main

import (
	"context"
	"os"

	"github.com/ottavo-runtime/ottavo/cmd/cli"
	"github.com/ottavo-runtime/ottavo/runtime/builtin"
)

// version is set by the linker: -ldflags "-X main.version=v1.2.3".
var version string

func main() {
	opts := cli.FromProcess()
	opts.Tables, opts.Version = builtin.Tables(), version
	os.Exit(cli.Main(context.Background(), opts))
}
