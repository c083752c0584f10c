// Package redis is the lock store of type `redis`: Redis 5 and later as one
// server, or the master behind sentinels.
//
// A lock is a key that holds the owner and expires, as Layotto and Dapr have it:
// their sidecars and this one respect each other's locks. Each call is one script,
// which Redis runs as one step. A lock ends when Redis' clock says so, to the
// millisecond. The last fencing token of a database is in the key
// `ottavo|||fencing-token`; it is at least Redis' clock in microseconds, so that
// tokens grow although Redis may lose its data.
//
// After a failover the new master may lack a lock that the old one had granted:
// Redis copies to replicas after it has answered. Where that must not be, use
// `redis_cluster`, or a store that asks a majority (`etcd`, `zookeeper`).
package redis
