// Package mesh is the one that knows the proxy, a little.
package mesh

import (
	_ "example.test/m/components/rpc"
	_ "example.test/m/proxy/conn" // want components-below
	_ "example.test/m/proxy/stream"
)
