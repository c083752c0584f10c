// Package etcd is the lock store of type `etcd`.
//
// A lock is a key that holds the owner and is bound to a lease, as Layotto has it;
// the fencing token is the revision that made the key. Renew moves the key to a new
// lease, so that the new time may be any. What a majority of etcd has granted is
// not lost.
//
// etcd counts leases in whole seconds and frees what has expired about every half
// second; the shortest it grants is its election timeout and a half (2 s by
// default). So a lock is held up to some seconds longer than asked for, and longer
// still when etcd has changed its leader; never shorter.
package etcd
