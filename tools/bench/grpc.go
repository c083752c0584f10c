package main

import "context"

// runGRPC compares a unary gRPC call through an HTTP/2 listener with the direct
// one. The proxy knows nothing of the messages.
func runGRPC(ctx context.Context, b *bench) error {
	b.printf("grpc: unary calls of %d bytes each way; service and client are grpc-go, all calls on one connection\n", b.body)
	return b.compareProxied(ctx, "grpc", roleGRPCService, "Http2", "grpc", anyPath)
}
