// Package embedded is the state store of type `embedded`: durable, in one file,
// with no server, on go.etcd.io/bbolt.
//
// An acknowledged write survives the end of the process, however it ends, and
// the loss of power: it was synced to disk before the answer. So that this does
// not cost a sync per operation, one goroutine does all writing (see writer.go):
// it takes what waits, checks the etags, applies it all in one bbolt transaction,
// commits once, and then answers each. Readers use their own read transactions
// and wait neither for the writer nor for the disk's sync.
//
// # The file
//
// Bucket `items` maps a key to a record (record.go describes its bytes), bucket
// `expiry` maps the end of every item with a TTL (8 bytes, big endian, Unix
// nanoseconds) followed by its key to nothing, bucket `meta` holds `format` (the
// layout's version, one byte) and `floor` (the highest version that a removed
// item had). An etag is the item's version in decimal; it goes up by one with
// every write, and starts above the floor for a key that is made anew, so an
// etag never comes back.
//
// A file is used by one process at a time. A damaged record or page leads to an
// error that names the file, never to a panic, and never to a wrong value: every
// record carries a checksum.
//
// The store never follows a component name out of its folder, and never deletes
// or repairs a file that it cannot read.
package embedded
