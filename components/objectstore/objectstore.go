// Package objectstore is the contract of object stores in the manner of S3:
// objects under keys in buckets, with tags, versions, access rules and uploads in
// parts. Contents flow; nothing here holds a whole object.
package objectstore

import "errors"

// Store is the contract.
type Store interface {
	// Close releases everything. It is safe twice.
	Close() error
}

// Errors of a store; test with errors.Is.
var (
	ErrInvalid      = errors.New("invalid request")
	ErrNotFound     = errors.New("there is no such object")
	ErrNotSupported = errors.New("not supported by this object store")
	ErrClosed       = errors.New("object store is closed")
)
