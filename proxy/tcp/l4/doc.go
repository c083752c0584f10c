// Package l4 is what passing on a TCP connection and passing on a UDP session
// have in common: the choice of a cluster by addresses and ports (Routes), a
// connection to one of its hosts after some attempts (Connect), and the record
// that is left behind (Record).
//
// It moves no bytes, and does not know clusters: whoever builds the core hands
// in a Dial.
package l4
