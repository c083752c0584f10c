// Package rediscluster is the lock store of type `redis_cluster`: locks on several
// Redis servers that know nothing of each other (not a Redis Cluster), of which a
// majority must agree (Redlock). Up to half of them, less one, may be away.
//
// Each server holds the lock as the type `redis` does. A lock is granted when a
// majority took it, in a time that leaves most of it; else what was taken is given
// back. The fencing token is the greatest that a server of the majority made, and
// is left with a majority before the grant, so that the next one is greater.
//
// The servers' clocks must run equally fast, to a hundredth; they need not show
// the same time. A server that loses its data while it holds locks must stay away
// until they have expired, or two owners may have a majority each.
//
// A server that is slow may carry out later what it was asked. So an owner's next
// call for a resource waits until the servers are done with its last one, each for a
// second or a tenth of the lock's time at most; and a lock that a slow server takes
// after it was unlocked elsewhere is given back there, too. A server that hangs for
// longer than that may hold a lock nobody has: it is one vote too few for others, until
// that expires.
package rediscluster
