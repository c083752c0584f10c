// Package runtime is given its tables.
package runtime

import (
	_ "example.test/m/components/contrib"     // want builtin-only
	_ "example.test/m/components/state/redis" // want builtin-only
	_ "example.test/m/grpcapi"
	_ "example.test/m/proxy"
	_ "example.test/m/proxy/filter"
	_ "example.test/m/proxy/filter/retry" // want builtin-only
	_ "example.test/m/runtime/builtin"    // want runtime-without-builtin
)
