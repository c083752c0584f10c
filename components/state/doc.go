// Package state is the contract of a key/value store with entity tags.
//
// A Store keeps items: a key, a value, an opaque etag that changes with every
// write, and optionally a time to live. What a store can do beyond single
// operations (transactions, bulk operations in one round trip, TTL) it says by
// implementing further interfaces and by Features.
//
// Keys arrive ready: prefixes are put on and taken off by the caller
// (grpcapi/capability). Package statetest is the suite that every store passes.
package state
