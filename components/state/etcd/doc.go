// Package etcd is the state store of etcd, in both layouts of contrib's etcd store:
// V1 keeps the bytes of a value, V2 an envelope with the end of the item. Both give
// an item with a time to live a lease.
//
// It exists beside contrib's because that one compares etags before it writes and
// does not look whether the write happened: of two writers with the same etag both
// are told that they won. Here every operation is one transaction of etcd.
package etcd
