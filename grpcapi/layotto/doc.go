// Package layotto is Layotto's gRPC API: it turns the messages of
// spec.proto.runtime.v1 and spec.proto.extension.v1 into calls of
// grpcapi/capability and back, and capability's errors into the codes and texts
// that Layotto's clients know. Nothing else: what a call does is decided in
// capability, what a connection is in grpcapi.
//
// There is a file per capability, and errors.go, through which every error goes
// on its way out; what a capability's errors are called stands beside it, in
// errors_<capability>.go.
//
// Every error carries a google.rpc.ErrorInfo of the domain "ottavo" in its
// details, for programs: the reason (ETAG_MISMATCH, UNKNOWN_COMPONENT, …),
// which capability and component, and, where it helps, more: the components that
// are configured, the status and the headers of a service's answer. The codes and
// texts are Layotto's and sometimes tell less.
//
// The answer's headers of a called service come as header metadata, as far as
// gRPC can carry them: names that gRPC reserves, values that are not printable
// ASCII, and what does not fit into 7 KiB (many clients refuse a call whose
// metadata are larger) are left out; "ottavo-headers-dropped" counts those of
// the last two kinds.
package layotto
