// Package redis is the sequencer of type `redis`: Redis as one server, or the
// master behind sentinels.
//
// A sequence is a key with its last number, raised with INCRBY, as Layotto has it;
// its sidecars and this one can count together. Callers who come together share a
// command. What nobody knows to be done is done again: an id is lost at worst.
//
// The sequence is as safe as Redis is: one that loses its data, or a failover to a
// replica that was behind, lets ids come again. `appendonly yes` with `appendfsync
// always`, and biggerThan, are against that.
package redis
