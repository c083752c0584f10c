// Package interop tests the core with programs and stacks that others wrote:
// curl, nghttp2's tools, wrk, Node, net/http and grpc-go, as callers and as
// hosts, over real sockets.
//
// It holds tests only and never anything that ships. A program that is not on
// the machine makes its tests skip and say so; tools/test/apt.sh installs what
// they use.
package interop
