package state

import (
	"context"
	"errors"
	"time"
)

// Consistency is what a caller asks of a read or a write.
type Consistency uint8

// Consistencies.
const (
	ConsistencyDefault Consistency = iota
	Eventual
	Strong
)

// Concurrency is who wins when two writers meet.
type Concurrency uint8

// Concurrencies. With FirstWrite an item that has an etag in the request is
// written only if the stored etag is the same; without an etag it is written
// only if the key does not exist. With LastWrite and by default, an etag in the
// request is still compared; without one the write always succeeds.
const (
	ConcurrencyDefault Concurrency = iota
	FirstWrite
	LastWrite
)

// Options go with one operation.
type Options struct {
	Concurrency Concurrency
	Consistency Consistency
}

// Item is what is stored under a key.
type Item struct {
	Key string
	// Value belongs to the receiver.
	Value []byte
	// ETag is opaque, never "" for an existing item.
	ETag string
	// ExpiresAt is when the item ceases to exist; zero is never.
	ExpiresAt time.Time
}

// Get asks for one key.
type Get struct {
	Key         string
	Consistency Consistency
	// Metadata is what the caller sent along; a backend may read it.
	Metadata map[string]string
}

// Op is one write: a set or a delete.
type Op struct {
	Key string
	// Delete says that the key is to be removed; Value and TTL are ignored then.
	Delete bool
	// Value is what to store. The store must not keep or change the slice.
	Value []byte
	// ETag, when HasETag, must equal the stored one, else the operation fails
	// with ErrETagMismatch (also when the key does not exist).
	ETag    string
	HasETag bool
	// TTL is the time to live; 0 is for ever and clears an earlier one.
	TTL      time.Duration
	Options  Options
	Metadata map[string]string
}

// Store is the contract. All methods are safe for concurrent use, return
// promptly when ctx ends, and return ctx's error then.
type Store interface {
	// Get returns the item, or nil when there is none (that is no error).
	Get(ctx context.Context, req Get) (*Item, error)
	// Write carries out one operation. Deleting a key that does not exist
	// is no error unless HasETag.
	Write(ctx context.Context, op Op) error
	// Features says what the store can do.
	Features() Features
	// Close releases everything. Operations after it fail. It is safe twice.
	Close() error
}

// Features is what a store can do beyond Get and Write.
type Features struct {
	// ETag: stored etags are compared as Op says. Without it, an Op with
	// HasETag or FirstWrite is refused with ErrNotSupported.
	ETag bool
	// TTL: Op.TTL is obeyed. Without it, an Op with a TTL is refused with ErrNotSupported.
	TTL bool
	// Durable: an acknowledged write survives the end of this process.
	Durable bool
}

// BulkGetter is an optional ability: many keys in one round trip.
type BulkGetter interface {
	// BulkGet returns one result per request, in the order of the requests.
	BulkGet(ctx context.Context, reqs []Get) ([]Result, error)
}

// Result is the outcome of one key of a BulkGet. Item is nil when the key does not exist.
type Result struct {
	Item *Item
	Err  error
}

// BulkWriter is an optional ability: many operations, without a promise that
// they happen together, in fewer round trips than one each.
type BulkWriter interface {
	// BulkWrite returns one error (or nil) per operation, in their order.
	BulkWrite(ctx context.Context, ops []Op) []error
}

// Transactor is an optional ability: all operations happen or none does.
type Transactor interface {
	// Transact carries the operations out in order, atomically. A failed etag
	// comparison fails all of them with ErrETagMismatch.
	Transact(ctx context.Context, ops []Op) error
}

// Errors of a store; test with errors.Is.
var (
	// ErrETagMismatch: the stored etag is not the one in the request, or a
	// first-write met an existing key.
	ErrETagMismatch = errors.New("possible etag mismatch: the item was changed by another writer")
	// ErrETagInvalid: the etag in the request cannot be one of this store's.
	ErrETagInvalid = errors.New("invalid etag value")
	// ErrNotSupported: the store lacks the feature that the operation needs.
	ErrNotSupported = errors.New("not supported by this state store")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("state store is closed")
)
