// Package frame makes a protocol of a Codec. It is for wire protocols whose
// messages are frames with a request id: many calls share a connection, and
// answers come in any order. The author of such a protocol writes how bytes
// become a message and back; everything else is here and the same for all:
// frames that arrive in pieces or several at a time, ids, deadlines, calls that
// are given up, one-way calls, heartbeats, going away, limits, and writing many
// messages at a time.
//
// # How a message shows
//
// A request's Method is the method called. Its Header holds what the protocol
// lets routes look at, under the names that the codec says, "service" above
// all. Path and Authority are empty: such protocols have none. Body is the
// payload, as it is, always Ready. Timeout is the caller's own limit. An answer's
// Status is the HTTP status that the protocol's own stands for; that own one is
// in the header field StatusField.
//
// # Forwarding
//
// Native of a request, and of an answer, is the *Message it was read from. Where
// both sides speak the same protocol and nobody has changed the header, the
// method or the body's length, the frame is sent as it came with another id:
// its bytes are copied once, from the buffer that they were read into to the one
// they are written from. The body is taken from Body even then, so that a
// filter may put another one in place. Everything else is built anew.
//
// # What it costs
//
// A message is one frame, and a frame is held in memory until it was answered,
// or the answer was passed on: nothing streams. Options.MaxFrame bounds one
// message and Options.MaxHeld those of a connection; what was reached is waited
// for by not reading. A buffer grows with what has arrived, never with what a
// frame's head claims.
//
// Peers on either side may be hostile: what is no frame, or too large, ends the
// connection; a frame whose contents are malformed fails alone, where the
// codec can tell.
//
// The package knows no protocol itself, opens no connection, and never looks
// into a payload.
package frame
