// Package memory is the state store of type `in-memory`: the reference for
// every other store, and good enough for tests, demos and caches.
//
// Everything is in one map under one read-write lock. A lock per shard would
// scale further on many cores, but the critical sections here are a map access
// and a pointer copy (values are copied before and after, outside the lock),
// and one lock makes a transaction over any keys a plain critical section.
//
// An etag is the item's version in decimal. It goes up by one with every write
// of a key, and a key that is made anew never gets a version that it had before:
// the store remembers the highest version that was ever removed and starts above.
//
// An item with a TTL is gone for readers at its exact time. Its memory is given
// back by a sweeper, a goroutine that exists only while there are such items.
//
// The store never writes to disk: the data end with the process.
package memory
