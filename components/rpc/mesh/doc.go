// Package mesh is the rpc.Invoker that goes through the proxy core: it turns a
// call into a stream request and hands it to a channel, a stream.Handler that
// the runtime opened. In configurations it is called "mosn".
//
// An invoker has one or more channels, each with a protocol of its own. What a
// call and its answer are in that protocol is what a wire says: one for HTTP,
// one for Bolt, one for Dubbo.
//
// It does not know where the channel leads, and imports nothing of the proxy
// but package stream.
package mesh
