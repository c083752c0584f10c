// Package http1 is above stream.
package http1

import (
	_ "example.test/m/proxy/stream"
	_ "example.test/m/proxy/upstream" // want proxy-order
)
