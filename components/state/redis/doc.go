// Package redis is the state store of type `redis`: Redis 6 or newer as one
// node, behind sentinels, or as a cluster.
//
// # Layout
//
// An item is a HASH with the fields `data` (the value) and `version` (its etag,
// a decimal number that goes up by one with every write), plus `first-write`
// when it was written with first-write concurrency. A TTL is the key's own
// expiry. This is the layout of Dapr and Layotto: what they wrote can be read
// here and the other way round. A version starts at 1 again when a key is made
// anew; that is part of the layout.
//
// Every write is one Lua script, which Redis runs as one step: comparing etags,
// storing and setting the expiry happen together or not at all. A transaction
// is the same script over many keys; in a cluster they must share a hash slot.
//
// A key that holds something else (another program's string, list, or a hash
// without these fields) leads to an error that says so; it is never overwritten
// or deleted.
//
// # Connections
//
// Calls that come while others are under way share round trips: a few lanes
// each send all that waits as one pipeline (see lanes.go). A call that fails
// because the connection was lost is sent again, a few times, if that cannot do
// harm: reads and unconditional writes always, writes that compare etags only
// when they cannot have reached the server. During an outage calls fail after
// these tries; afterwards the store recovers by itself. In a cluster go-redis
// itself follows slots that move, and sends what was in doubt again: there a
// write may fail with a mismatch that its own first try has caused.
//
// Health is that of writes: a check does to a key that was written before (or to
// `ottavo|||health`, which need not be allowed and is never made) what a write does,
// but with arguments that Redis refuses once it has looked at everything else.
//
// The consistency that a caller asks for changes nothing: reads and writes go to
// the master, and a write is acknowledged before replicas have it.
package redis
