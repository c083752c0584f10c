// Package retry imports only below.
package retry

import (
	_ "example.test/m/proxy/filter/gzip" // want builtin-only
	_ "example.test/m/proxy/stream"
)
