// Package tars is the codec of the Tars protocol, for the engine in package
// frame: a length, and a RequestPacket or ResponsePacket in the JCE encoding.
//
// A request's header has the servant's name in "service" and the function's in
// "method", then the entries of the context map under their own names, and
// those of the status map under "tars-status-" and theirs. An answer's has the
// two maps and, in "tars-result-desc", what the host says of a failure. The
// payload is sBuffer, which nobody looks into.
//
// Calls of TUP (iVersion 3) are answered in the form that their servers use: a
// RequestPacket that has the result in its status map. "tars_ping" is a
// heartbeat; one that is sent one-way gets no answer. "_reconnect_" is going
// away, as Tars servers say it.
//
// Another id may change the length of a frame, as integers take as few bytes as
// they need: see Codec.AppendID.
//
// Peers may be hostile: nothing is read beyond a frame, nothing is allocated
// for what a frame only claims, and what surrounds the payload is limited to 64
// KiB. A frame whose first fields are malformed ends the connection; one with
// malformed maps fails alone.
//
// The package opens no connection and keeps no state.
package tars
