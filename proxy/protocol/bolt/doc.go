// Package bolt is the codec of Bolt, the protocol of SOFA RPC, in both of its
// versions: "bolt" begins connections with version 1, "boltv2" with version 2,
// and either reads both, as frames of both may share a connection.
//
// A request shows with the pairs of its header block as header fields, in their
// order. "service" is added from "sofa_head_target_service" where a request has
// only that; Method is "sofa_head_method_name". What else a frame has can be
// set on requests and answers that are built from another protocol's: ClassField
// and CodecField. The timeout in a frame becomes Request.Timeout; below zero it
// is frame.Never.
//
// Checksums of version 2 are checked, and written where the request that is
// forwarded or answered has one. Lengths that a Java peer would read as negative
// are never written.
//
// Peers may be hostile: a length is believed only as far as bytes arrive.
package bolt
