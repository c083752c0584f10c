// Package mesh is the rpc.Invoker that goes through the proxy core: it turns a
// call into a stream request and hands it to a channel, a stream.Handler that
// the runtime opened. In configurations it is called "mosn".
//
// It does not know where the channel leads, and imports nothing of the proxy
// but package stream.
package mesh
