// Package objectstore is the contract of object stores in the manner of S3:
// objects under keys in buckets, with tags, versions, access rules and uploads in
// parts. Contents flow; nothing here holds a whole object.
//
// What every store can do is Store; the rest are abilities, interfaces of their
// own. A caller that needs one the store lacks fails with ErrNotSupported.
// Package objectstoretest is the suite that every store passes.
//
// In all types a zero value means "not given" or "not known". Sizes and positions
// are bytes.
package objectstore
