// Package builtin lists what ships.
package builtin

import (
	_ "example.test/m/components/contrib"
	_ "example.test/m/components/state/redis"
	_ "example.test/m/proxy/filter/gzip"
)
