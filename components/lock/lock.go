// Package lock is the contract of distributed locks: at most one owner holds a
// resource at a time, until it gives it back or its time is over.
package lock

import (
	"context"
	"errors"
	"time"
)

// Status is what became of an Unlock or a Renew.
type Status uint8

// Statuses.
const (
	Done        Status = iota // given back, or renewed
	NotLocked                 // nobody holds it
	NotTheOwner               // somebody else holds it
)

// Grant is a lock that was got.
type Grant struct {
	// Token grows with every grant of the same resource (fencing: what a holder
	// guards may refuse smaller ones). 0: the backend has none.
	Token uint64
}

// Locker is the contract. All methods are safe for concurrent use and return
// promptly when ctx ends, with ctx's error; whether the operation happened is
// unknown then. Locks are not reentrant.
type Locker interface {
	// TryLock takes the resource for owner, for so long (not less than a
	// millisecond). It does not wait: nil and no error says that somebody holds it.
	TryLock(ctx context.Context, resource, owner string, expire time.Duration) (*Grant, error)
	// Unlock gives the resource back, if owner holds it.
	Unlock(ctx context.Context, resource, owner string) (Status, error)
	// Renew lets owner hold the resource for so long from now, if it holds it.
	Renew(ctx context.Context, resource, owner string, expire time.Duration) (Status, error)
	// Close releases everything; locks that are held stay until they expire. It is safe twice.
	Close() error
}

// Errors of a locker; test with errors.Is.
var (
	// ErrNotSupported: the backend cannot do what is asked.
	ErrNotSupported = errors.New("not supported by this lock store")
	// ErrClosed: the locker was closed.
	ErrClosed = errors.New("lock store is closed")
)
