// Package listener is of one height with cluster.
package listener

import (
	_ "example.test/m/proxy" // want proxy-order
	_ "example.test/m/proxy/conn"
	_ "example.test/m/proxy/protocol"
)
