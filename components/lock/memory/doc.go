// Package memory is the lock store of type `in-memory`: the reference for every
// other one, for tests, demos, and applications with one sidecar.
//
// A lock is over at its exact time, measured with the clock that does not jump.
// What has expired is forgotten when the next call comes; there is no goroutine.
// Fencing tokens are microseconds since 1970, or one more than the last: they
// grow over restarts too.
//
// The locks end with the process, and no other process sees them.
package memory
