// Package http1 is HTTP/1.1 and HTTP/1.0 (RFC 9110, RFC 9112), both ends.
//
// A message head is checked twice before it is believed. Our own scanner
// (scan.go) goes first and refuses everything that two implementations could
// read differently: bare CR or LF, folded lines, blanks around names, several
// or malformed lengths, a length together with a transfer coding. Then
// fasthttp's parser reads the same bytes, and must find the same framing, or
// the message is refused. Field values are taken from the scanner, because it
// keeps order and repetition.
//
// Bodies stream in both directions; chunked ones with their trailers. Nothing
// here holds more of a body than one buffer.
//
// What this hop does itself, it takes out of a head and writes anew: framing,
// connection options and the fields they name, Expect, Upgrade and TE. It
// speaks HTTP/1.1 to hosts whatever the caller spoke, offers no upgrade, and
// knows no CONNECT.
//
// Upgrade (WebSocket is one) is for GET without a body, over HTTP/1.1: the
// offer goes to the host, but for protocols that would hide further requests
// from us (h2c, TLS). If the host agrees with 101, the connections of caller and
// host are joined, bytes that came early included, and end with each other:
// each direction is closed on its own, and what breaks off on one side breaks
// off on the other. The route's time ends with the 101, and limits on body size do not
// hold; a tunnel without a byte in either direction is closed after the
// listener's idle timeout, and one whose peer takes nothing after the write
// timeout. Drain leaves a tunnel alone: it ends by itself, or is cut off when
// the listener's time for draining is over. Any other answer is that to an
// ordinary request, and the connection goes on with what came behind it.
//
// Posture: both peers may be hostile. Heads are limited in bytes and fields,
// chunk lines in bytes, reading a head in time.
package http1
