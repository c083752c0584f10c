// Package redis imports its kind and its driver.
package redis

import (
	_ "example.test/m/components"
	_ "example.test/m/components/internal/redisconn"
	_ "example.test/m/components/lock" // want backend-with-its-kind
	_ "example.test/m/components/state"
	_ "example.test/m/components/state/memory" // want backend-with-its-kind
	_ "example.test/m/components/state/redis/script"
	_ "example.test/m/proxy/stream" // want components-below
	_ "github.com/go-redis/redis/v8"
)
