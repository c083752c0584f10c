// Package sdk is a client.
package sdk

import (
	_ "example.test/m/grpcapi" // want sdk-alone
	_ "example.test/m/spec/proto/runtime/v1"
	_ "google.golang.org/grpc"
)
