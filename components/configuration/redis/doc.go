// Package redis is the configuration store of type `redis`: one Redis server of
// version 5 and later, the master behind sentinels, or a cluster.
//
// # Layout
//
// A key of the configuration is a key of Redis, a string with the content, and, where
// there are any, `||` and the version, and `||` and the tags as JSON. That is Dapr's
// layout, whose sidecars read everything but tags: what they see and what is written
// here is the same. Applications have no part in it, as in Dapr: all see the same
// keys. Items in a group or under a label, which Dapr has not, are in keys
// `ottavo||GROUP||LABEL||KEY`; other keys with this beginning are none of the
// configuration, and keys that hold anything but a string are left out.
//
// # Watching
//
// A watch reads, subscribes to the server's notifications of the keys
// (`__keyspace@DB__:KEY`), and reads whatever they name. Each time the subscription
// stands, at the beginning and after a lost connection, everything is read again and
// compared, so that no change is missed that is still in force. Watchers of the same
// keys share a subscription.
//
// The server tells of keys only where `notify-keyspace-events` says so. The flags that
// are missing are added with CONFIG SET. Where that is forbidden, as managed servers
// do it, and in a cluster, whose nodes tell of their own keys only, what is watched is
// read every pollInterval; a warning says so. In any case it is read every ten
// seconds, as Redis does not tell of everything (FLUSHALL).
package redis
