// Package upstream is above protocol.
package upstream

import (
	_ "example.test/m/proxy/cluster/lb" // want proxy-order
	_ "example.test/m/proxy/protocol/http1"
)
