// Package zknode connects locks and sequencers to ZooKeeper: one session per
// component, whatever there are of locks and keys. It holds the settings, under
// Layotto's names, makes names of nodes from keys, and sees to it that callers who
// leave are let go, which the client library does not.
package zknode
