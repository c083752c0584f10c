// Package capability is what the calls of the API do, whichever API they came
// through: it finds the component by its name, checks the request, puts prefixes
// on keys, bounds what runs at once, and says in one type, Error, what went
// wrong.
//
// Its callers are the edges (grpcapi/layotto and, later, Dapr's gRPC and HTTP
// servers), which turn messages of their API into the types used here, once, and
// an Error into the code and text that their clients know. So this package knows
// no protobuf, no gRPC and no HTTP server; nor does it know the proxy, or any
// backend: it speaks to the interfaces of components/... only.
//
// Every type here is made complete by its constructor, does not change
// afterwards, and is safe for concurrent use. A nil *Hello, *State or *RPC is
// valid and has no components. The components stay the property of who made
// them; nothing here closes them.
package capability
