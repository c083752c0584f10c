// Package consul is the lock store of type `consul`.
//
// A lock is a key that holds the owner and is held by a session, as Layotto has it.
// Consul's sessions live ten seconds at least, a day at most, and are only ended after
// twice their time; so the process that took a lock gives it back itself when it is
// over, by its own clock that does not jump. Only if the process has ended does the
// lock last as long as its session: up to twice what it was taken for, and not less
// than twenty seconds. One goroutine does that for all locks.
//
// There is a session for each lock that is held, and it is ended with the lock. The
// fencing token is the index of the change that took the lock.
package consul
