// Package stream is a leaf.
package stream

import (
	_ "net/http"

	_ "example.test/m/proxy/protocol" // want leaf proxy-order
	_ "github.com/else/where"         // want leaf
)
