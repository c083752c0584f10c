package ottavo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// Errors of locks; test with errors.Is.
var (
	// ErrLocked: somebody holds the lock.
	ErrLocked = errors.New("somebody holds the lock")
	// ErrNotLocked: nobody holds the lock (any more).
	ErrNotLocked = errors.New("nobody holds the lock")
	// ErrNotOwner: somebody else holds the lock.
	ErrNotOwner = errors.New("somebody else holds the lock")
)

// Lock is one lock service of the runtime. It is safe for concurrent use and costs
// nothing to make.
type Lock struct {
	api   runtimev1.RuntimeClient
	store string
}

// Lock returns the lock service with that name in the runtime's configuration.
// Whether there is one shows in the first call.
func (c *Client) Lock(name string) *Lock { return &Lock{api: c.api, store: name} }

// Grant is what became of a TryLock.
type Grant struct {
	// Got is false when somebody holds the lock, be it the same owner.
	Got bool
	// Token grows with each grant of the same lock: what the lock guards can
	// refuse whoever comes with a smaller one than it has seen. 0: the backend has none.
	Token uint64
}

// TryLock takes the lock on a resource for an owner, if nobody holds it. It is
// given back by Unlock, or by itself after expire, which is rounded up to seconds.
// The owner is any text that nobody else uses, such as a random one. It does not wait;
// Hold renews the lock by itself.
func (l *Lock) TryLock(ctx context.Context, resource, owner string, expire time.Duration) (Grant, error) {
	seconds, err := wholeSeconds(resource, expire)
	if err != nil {
		return Grant{}, err
	}
	var header metadata.MD
	resp, err := l.api.TryLock(ctx, &runtimev1.TryLockRequest{
		StoreName: l.store, ResourceId: resource, LockOwner: owner, Expire: seconds,
	}, grpc.Header(&header))
	if err != nil {
		return Grant{}, failed("TryLock", err)
	}
	grant := Grant{Got: resp.GetSuccess()}
	if token := header.Get(fencingTokenKey); len(token) > 0 {
		grant.Token, _ = strconv.ParseUint(token[0], 10, 64) // not a number: no token
	}
	return grant, nil
}

// fencingTokenKey is the header by which the runtime tells the token of a grant.
const fencingTokenKey = "ottavo-fencing-token"

// Unlock gives the lock back. ErrNotLocked and ErrNotOwner say that the owner did
// not hold it, perhaps because it had expired.
func (l *Lock) Unlock(ctx context.Context, resource, owner string) error {
	resp, err := l.api.Unlock(ctx, &runtimev1.UnlockRequest{StoreName: l.store, ResourceId: resource, LockOwner: owner})
	if err != nil {
		return failed("Unlock", err)
	}
	return lockStatus("Unlock", resource, int32(resp.GetStatus()))
}

// Renew lets the owner hold the lock for that long from now. ErrNotLocked and
// ErrNotOwner say that it did not hold it any more.
func (l *Lock) Renew(ctx context.Context, resource, owner string, expire time.Duration) error {
	seconds, err := wholeSeconds(resource, expire)
	if err != nil {
		return err
	}
	resp, err := l.api.LockKeepAlive(ctx, &runtimev1.LockKeepAliveRequest{
		StoreName: l.store, ResourceId: resource, LockOwner: owner, Expire: seconds,
	})
	if err != nil {
		return failed("LockKeepAlive", err)
	}
	return lockStatus("LockKeepAlive", resource, int32(resp.GetStatus()))
}

// lockStatus makes an error of the status that both answers have.
func lockStatus(call, resource string, status int32) error {
	var err error
	switch runtimev1.UnlockResponse_Status(status) {
	case runtimev1.UnlockResponse_SUCCESS:
		return nil
	case runtimev1.UnlockResponse_LOCK_UNEXIST:
		err = ErrNotLocked
	case runtimev1.UnlockResponse_LOCK_BELONG_TO_OTHERS:
		err = ErrNotOwner
	default:
		err = fmt.Errorf("the lock service failed (status %d)", status)
	}
	return fmt.Errorf("ottavo: %s: resource %q: %w", call, resource, err)
}

// wholeSeconds is the time of a lock as the API takes it.
func wholeSeconds(resource string, expire time.Duration) (int32, error) {
	seconds := (int64(expire) + int64(time.Second) - 1) / int64(time.Second)
	if expire <= 0 || seconds > math.MaxInt32 {
		return 0, fmt.Errorf("ottavo: lock %q: expire must be positive and below 68 years, not %s", resource, expire)
	}
	return int32(seconds), nil
}
