// Package capability is free of protobuf.
package capability

import (
	_ "example.test/m/spec/proto/runtime/v1"                 // want capability-without-protobuf
	_ "google.golang.org/genproto/googleapis/rpc/errdetails" // want capability-without-protobuf
	_ "google.golang.org/protobuf/proto"                     // want capability-without-protobuf
)
