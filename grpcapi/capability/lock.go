package capability

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/lock"
)

// Operations of Lock in an Error.
const (
	LockTry    Op = "try lock"
	LockUnlock Op = "unlock"
	LockRenew  Op = "renew"
)

// lockLead begins every key of a lock, so that locks and other things can share
// a backend.
const lockLead = "lock|||"

// LockStore is one configured component.
type LockStore struct {
	// Locker does the work.
	Locker lock.Locker
	// Prefix is put before every key.
	Prefix KeyPrefix
}

// Lock is the capability over the components it was made from.
type Lock struct {
	stores map[string]LockStore
}

// NewLock takes them by their names. The map is copied.
func NewLock(stores map[string]LockStore) *Lock {
	return &Lock{stores: maps.Clone(stores)}
}

// TryLock takes a resource for owner, for so long. nil and no error says that it
// is held already, by whomever. A grant that comes so late that it may be over
// is none.
func (l *Lock) TryLock(ctx context.Context, store, resource, owner string, expire time.Duration) (*lock.Grant, error) {
	c, key, err := l.check(LockTry, store, resource, owner, expire)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	grant, err := c.Locker.TryLock(ctx, key, owner, expire)
	if err != nil {
		return nil, lockError(ctx, LockTry, store, resource, err)
	}
	if time.Since(began) >= expire {
		return nil, nil
	}
	return grant, nil
}

// Unlock gives a resource back, if owner holds it.
func (l *Lock) Unlock(ctx context.Context, store, resource, owner string) (lock.Status, error) {
	c, key, err := l.check(LockUnlock, store, resource, owner, time.Second)
	if err != nil {
		return 0, err
	}
	status, err := c.Locker.Unlock(ctx, key, owner)
	if err != nil {
		return 0, lockError(ctx, LockUnlock, store, resource, err)
	}
	return status, nil
}

// Renew lets owner hold a resource for so long from now, if it holds it. A renewal
// that comes so late that it may be over says that the lock is not there.
func (l *Lock) Renew(ctx context.Context, store, resource, owner string, expire time.Duration) (lock.Status, error) {
	c, key, err := l.check(LockRenew, store, resource, owner, expire)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	status, err := c.Locker.Renew(ctx, key, owner, expire)
	if err != nil {
		return 0, lockError(ctx, LockRenew, store, resource, err)
	}
	if status == lock.Done && time.Since(began) >= expire {
		return lock.NotLocked, nil
	}
	return status, nil
}

// check checks a request and returns the component with the key to lock there.
func (l *Lock) check(op Op, store, resource, owner string, expire time.Duration) (c LockStore, key string, err error) {
	var stores map[string]LockStore
	if l != nil {
		stores = l.stores
	}
	bad := func(kind Kind, format string, args ...any) (LockStore, string, error) {
		return c, "", &Error{Kind: kind, Capability: LockName, Op: op, Component: store, Key: resource, Msg: fmt.Sprintf(format, args...)}
	}
	c, err = find(stores, LockName, op, store)
	switch {
	case len(stores) == 0:
		return c, "", err
	case resource == "":
		return bad(InvalidArgument, "ResourceId is empty in lock store %s", store)
	case owner == "":
		return bad(InvalidArgument, "LockOwner is empty in lock store %s", store)
	case expire <= 0:
		return bad(InvalidArgument, "Expire is not positive in lock store %s", store)
	case err != nil:
		return c, "", err
	case strings.Contains(resource, keySeparator):
		return bad(IllegalKey, "resource %q can't contain %q, which separates prefix and key: choose another name", brief(resource), keySeparator)
	}
	return c, lockLead + c.Prefix.Apply(resource), nil
}

// lockError turns what a locker returned into an Error.
func lockError(ctx context.Context, op Op, store, resource string, err error) *Error {
	kind := Internal
	switch {
	case errors.Is(err, lock.ErrNotSupported):
		kind = NotSupported
	case errors.Is(err, lock.ErrInvalid):
		kind = InvalidArgument
	default:
		if k, ok := lateKind(ctx, err); ok {
			kind = k
		} else if components.IsAway(err) {
			kind = Unavailable
		}
	}
	return &Error{Kind: kind, Capability: LockName, Op: op, Component: store, Key: resource, Err: err}
}
