// Package cluster is above lb.
package cluster

import (
	_ "example.test/m/proxy/cluster/lb"
	_ "example.test/m/proxy/upstream"
)
