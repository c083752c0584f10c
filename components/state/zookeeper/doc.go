// Package zookeeper is the state store of ZooKeeper: one node for a key, below
// keyPrefixPath, with the value as its data. It has transactions, and no times to
// live.
//
// It exists beside contrib's because that one cannot make a node (it gives it no
// access list, which ZooKeeper refuses), takes different keys for one path, and lets
// the etags of a deleted key come back. Names of nodes are contrib's, except for keys
// with characters that a node's name must not have, or that lead to another node:
// those are written as %XX here.
package zookeeper
