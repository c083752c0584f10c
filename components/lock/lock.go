package lock

import (
	"context"
	"errors"
	"fmt"
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

// String returns the status as a word.
func (s Status) String() string {
	switch s {
	case Done:
		return "done"
	case NotLocked:
		return "not locked"
	case NotTheOwner:
		return "not the owner"
	}
	return fmt.Sprintf("status %d", uint8(s))
}

// Grant is a lock that was got.
type Grant struct {
	// Token grows with every grant of the same resource (fencing: what a holder
	// guards may refuse smaller ones). 0: the backend has none.
	Token uint64
}

// Locker is the contract. All methods are safe for concurrent use and return
// promptly when ctx ends, with ctx's error; whether the operation happened is
// unknown then, and after any other error that does not say that nothing was
// sent. Locks are not reentrant: the owner's second TryLock fails as anybody's.
//
// Time is the backend's: a lock is held from the moment at which the backend has
// granted it, for not less than it was asked for. A backend may hold it somewhat
// longer, and says so in its package's documentation.
type Locker interface {
	// TryLock takes the resource for owner, for so long (not less than a
	// millisecond). It does not wait: nil and no error says that somebody holds it.
	TryLock(ctx context.Context, resource, owner string, expire time.Duration) (*Grant, error)
	// Unlock gives the resource back, if owner holds it.
	Unlock(ctx context.Context, resource, owner string) (Status, error)
	// Renew lets owner hold the resource for so long from now, if it holds it.
	// That may be shorter than what was left.
	Renew(ctx context.Context, resource, owner string, expire time.Duration) (Status, error)
	// Close releases everything; locks that are held stay until they expire. It is safe twice.
	Close() error
}

// Errors of a locker; test with errors.Is.
var (
	// ErrInvalid: the request is wrong, whoever holds what.
	ErrInvalid = errors.New("invalid lock request")
	// ErrNotSupported: the backend cannot do what is asked.
	ErrNotSupported = errors.New("not supported by this lock store")
	// ErrClosed: the locker was closed.
	ErrClosed = errors.New("lock store is closed")
)

// Check returns an error that wraps ErrInvalid when a lock of resource for owner
// cannot be, for so long. Backends call it first. Unlock has no expire: it passes
// any positive one.
func Check(resource, owner string, expire time.Duration) error {
	switch {
	case resource == "":
		return fmt.Errorf("%w: the resource is empty", ErrInvalid)
	case owner == "":
		return fmt.Errorf("%w: the owner is empty", ErrInvalid)
	case expire < time.Millisecond:
		return fmt.Errorf("%w: it would expire after %s; not less than 1ms", ErrInvalid, expire)
	}
	return nil
}
