// Package conn is the ground the proxy core stands on: Conn, a connection with
// pooled buffers, counters and an end that can be announced, and Pipe, a
// connection pair in memory.
//
// An idle Conn holds no buffer. A Pipe behaves as a TCP connection does, with
// buffering, deadlines and half-close, so that code above cannot tell the two
// apart; service invocation enters the core through one.
//
// The package is a leaf. It imports the standard library only and knows no
// protocol.
package conn
