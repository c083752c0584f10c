package pluggable

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/lock"
	lockv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/lock"
)

// locker is a lock service in a process of its own.
type locker struct {
	*link
	client lockv1.LockClient
}

func newLock(ctx context.Context, l *link, _ Socket, env components.Env, cfg components.Config) (lock.Locker, error) {
	if err := l.startOwn(ctx, lockv1.Lock_ServiceDesc, "lock", env, cfg, nil); err != nil {
		return nil, err
	}
	return &locker{l, lockv1.NewLockClient(l)}, nil
}

func (l *locker) said(ctx context.Context, err error) error {
	return l.explain(ctx, err, kindErrors{closed: lock.ErrClosed, codes: map[codes.Code]error{
		codes.InvalidArgument: lock.ErrInvalid, codes.Unimplemented: lock.ErrNotSupported,
	}})
}

// millis is a time in milliseconds, not less than it is.
func millis(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

// status is the kind's word for a process's.
func (l *locker) status(s lockv1.Status) (lock.Status, error) {
	switch s {
	case lockv1.Status_DONE:
		return lock.Done, nil
	case lockv1.Status_NOT_LOCKED:
		return lock.NotLocked, nil
	case lockv1.Status_NOT_THE_OWNER:
		return lock.NotTheOwner, nil
	}
	return 0, l.failure(fmt.Sprintf("its process answered with the status %d, which there is not", s))
}

// TryLock implements lock.Locker.
func (l *locker) TryLock(ctx context.Context, resource, owner string, expire time.Duration) (*lock.Grant, error) {
	if err := lock.Check(resource, owner, expire); err != nil {
		return nil, err
	}
	resp, err := l.client.TryLock(ctx, &lockv1.TryLockRequest{Resource: resource, Owner: owner, ExpireMillis: millis(expire)})
	if err != nil || !resp.GetGranted() {
		return nil, l.said(ctx, err)
	}
	return &lock.Grant{Token: resp.GetToken()}, nil
}

// Unlock implements lock.Locker.
func (l *locker) Unlock(ctx context.Context, resource, owner string) (lock.Status, error) {
	if err := lock.Check(resource, owner, time.Second); err != nil {
		return 0, err
	}
	resp, err := l.client.Unlock(ctx, &lockv1.UnlockRequest{Resource: resource, Owner: owner})
	if err != nil {
		return 0, l.said(ctx, err)
	}
	return l.status(resp.GetStatus())
}

// Renew implements lock.Locker.
func (l *locker) Renew(ctx context.Context, resource, owner string, expire time.Duration) (lock.Status, error) {
	if err := lock.Check(resource, owner, expire); err != nil {
		return 0, err
	}
	resp, err := l.client.Renew(ctx, &lockv1.RenewRequest{Resource: resource, Owner: owner, ExpireMillis: millis(expire)})
	if err != nil {
		return 0, l.said(ctx, err)
	}
	return l.status(resp.GetStatus())
}

// Close implements lock.Locker.
func (l *locker) Close() error {
	l.close()
	return nil
}
