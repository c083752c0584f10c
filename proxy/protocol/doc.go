// Package protocol says what a wire protocol is to the core: something that
// can recognise itself in the first bytes of a connection, turn a caller's
// connection into stream requests, and send stream requests over a connection
// to a host. Each protocol is a package below this one; a Table lists the ones
// that are built in.
//
// The package knows no protocol itself and opens no connection.
package protocol
