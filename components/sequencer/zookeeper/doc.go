// Package zookeeper is the sequencer of type `zookeeper`.
//
// A sequence is a persistent node that holds its last number in decimal, which is
// replaced if nobody has replaced it meanwhile. So the numbers have 64 bits, and no
// session or sidecar that ends makes them begin anew. Of a node that Layotto keeps,
// which lives as long as a session of Layotto's and counts by its version, the
// number is taken over; Layotto cannot go on with it then.
package zookeeper
