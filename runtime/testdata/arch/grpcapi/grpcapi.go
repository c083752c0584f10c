// Package grpcapi serves.
package grpcapi

import (
	_ "example.test/m/components/state"
	_ "example.test/m/components/state/redis" // want api-without-proxy builtin-only
	_ "example.test/m/proxy/stream"           // want api-without-proxy
	_ "google.golang.org/protobuf/proto"
)
