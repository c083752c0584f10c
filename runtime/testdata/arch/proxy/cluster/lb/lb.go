// Package lb is below cluster.
package lb

import (
	_ "example.test/m/proxy/cluster" // want proxy-order
	_ "example.test/m/proxy/upstream"
)
