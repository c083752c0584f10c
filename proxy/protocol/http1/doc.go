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
// Posture: both peers may be hostile. Heads are limited in bytes and fields,
// chunk lines in bytes, reading a head in time.
package http1
