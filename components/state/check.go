package state

import (
	"errors"
	"fmt"
)

// ErrInvalid: the request itself is wrong (an empty key, a negative TTL); no
// store would carry it out. Test with errors.Is.
var ErrInvalid = errors.New("invalid state request")

// Check reports what is wrong with the request by itself, as an ErrInvalid.
// Every store calls it before anything else.
func (g Get) Check() error {
	if g.Key == "" {
		return fmt.Errorf("%w: the key is empty", ErrInvalid)
	}
	return nil
}

// Check reports what is wrong with the operation by itself, as an ErrInvalid.
// Every store calls it before anything else.
func (op Op) Check() error {
	if op.Key == "" {
		return fmt.Errorf("%w: the key is empty", ErrInvalid)
	}
	if op.TTL < 0 && !op.Delete {
		return fmt.Errorf("%w: the time to live of key %q is negative (%s)", ErrInvalid, op.Key, op.TTL)
	}
	return nil
}

// CreateOnly tells whether op may only succeed when its key does not exist:
// a first-write of a value without an etag. A delete without an etag is never
// conditional, whatever its concurrency: there is nothing it could create.
func (op Op) CreateOnly() bool {
	return op.Options.Concurrency == FirstWrite && !op.HasETag && !op.Delete
}

// Conditional tells whether the outcome of op depends on what is stored.
func (op Op) Conditional() bool { return op.HasETag || op.CreateOnly() }

// Precondition decides whether op may happen to a key that exists or not and,
// when it does, has the given etag: nil, or an ErrETagMismatch naming the key.
// It is the one place that says who wins; a store whose backend decides by
// itself (a script, a SQL statement) must come to the same result.
func (op Op) Precondition(exists bool, etag string) error {
	switch {
	case op.HasETag && !exists:
		return fmt.Errorf("%w (key %q does not exist)", ErrETagMismatch, op.Key)
	case op.HasETag && op.ETag != etag:
		return fmt.Errorf("%w (key %q)", ErrETagMismatch, op.Key)
	case op.CreateOnly() && exists:
		return fmt.Errorf("%w (key %q exists already)", ErrETagMismatch, op.Key)
	}
	return nil
}
