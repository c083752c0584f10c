package capability_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/components/lock/memory"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

// spyLocker notes the keys it is asked for, and answers late or with an error.
type spyLocker struct {
	lock.Locker
	keys  []string
	delay time.Duration
	err   error
}

func (s *spyLocker) note(key string) error {
	s.keys = append(s.keys, key)
	time.Sleep(s.delay) // in a bubble only
	return s.err
}

func (s *spyLocker) TryLock(ctx context.Context, resource, owner string, expire time.Duration) (*lock.Grant, error) {
	if err := s.note(resource); err != nil {
		return nil, err
	}
	return s.Locker.TryLock(ctx, resource, owner, expire)
}

func (s *spyLocker) Unlock(ctx context.Context, resource, owner string) (lock.Status, error) {
	if err := s.note(resource); err != nil {
		return 0, err
	}
	return s.Locker.Unlock(ctx, resource, owner)
}

func (s *spyLocker) Renew(ctx context.Context, resource, owner string, expire time.Duration) (lock.Status, error) {
	status, err := s.Locker.Renew(ctx, resource, owner, expire)
	return status, errors.Join(err, s.note(resource))
}

func newSpyLocker(t *testing.T) *spyLocker {
	t.Helper()
	l, err := memory.New(t.Context(), components.Env{}, components.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return &spyLocker{Locker: l}
}

// lockOf returns a Lock with the component "s" that has that keyPrefix, for the
// application "App".
func lockOf(t *testing.T, l lock.Locker, keyPrefix string) *capability.Lock {
	t.Helper()
	p, err := capability.ParseKeyPrefix(keyPrefix, capability.PrefixAppID, "App", "s")
	if err != nil {
		t.Fatal(err)
	}
	return capability.NewLock(map[string]capability.LockStore{"s": {Locker: l, Prefix: p}})
}

func TestLockKeys(t *testing.T) {
	for prefix, want := range map[string]string{
		"": "lock|||App||K", "appid": "lock|||App||K", "none": "lock|||K", "NAME": "lock|||s||K", "Mine": "lock|||mine||K",
	} {
		spy := newSpyLocker(t)
		l := lockOf(t, spy, prefix)
		if g, err := l.TryLock(t.Context(), "s", "K", "o", time.Minute); err != nil || g == nil {
			t.Fatal(g, err)
		}
		if status, err := l.Renew(t.Context(), "s", "K", "o", time.Minute); err != nil || status != lock.Done {
			t.Fatal(status, err)
		}
		if status, err := l.Unlock(t.Context(), "s", "K", "o"); err != nil || status != lock.Done {
			t.Fatal(status, err)
		}
		for i, key := range spy.keys {
			if key != want {
				t.Errorf("keyPrefix %q: call %d has the key %q, want %q", prefix, i, key, want)
			}
		}
	}
}

func TestLockRequests(t *testing.T) {
	l := lockOf(t, newSpyLocker(t), "")
	var none *capability.Lock
	for _, tt := range []struct {
		lock                   *capability.Lock
		store, resource, owner string
		expire                 time.Duration
		kind                   capability.Kind
	}{
		{none, "s", "", "", 0, capability.NotConfigured},
		{capability.NewLock(nil), "s", "r", "o", 1, capability.NotConfigured},
		{l, "x", "", "o", 1, capability.InvalidArgument}, // before the store is looked for
		{l, "x", "r", "", 1, capability.InvalidArgument},
		{l, "x", "r", "o", 0, capability.InvalidArgument},
		{l, "x", "r", "o", -1, capability.InvalidArgument},
		{l, "x", "r", "o", 1, capability.UnknownComponent},
		{l, "s", "a||b", "o", 1, capability.IllegalKey},
		{l, "s", "r", "o", 1, capability.InvalidArgument}, // a nanosecond is too short for the store
	} {
		_, err := tt.lock.TryLock(t.Context(), tt.store, tt.resource, tt.owner, tt.expire)
		wantError(t, err, tt.kind)
		_, err = tt.lock.Renew(t.Context(), tt.store, tt.resource, tt.owner, tt.expire)
		wantError(t, err, tt.kind)
		if tt.expire == 1 && tt.resource != "r" || tt.store == "x" && tt.expire == 1 {
			_, err = tt.lock.Unlock(t.Context(), tt.store, tt.resource, tt.owner)
			wantError(t, err, tt.kind)
		}
	}
}

// A grant that arrives when its time may be over is worth nothing, and nobody is
// told otherwise.
func TestLateGrants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spy := newSpyLocker(t)
		l := lockOf(t, spy, "")
		spy.delay = 2 * time.Second
		if g, err := l.TryLock(t.Context(), "s", "r", "o", 2*time.Second); err != nil || g != nil {
			t.Errorf("a grant after its time: %v, %v", g, err)
		}
		spy.delay = 0
		if g, err := l.TryLock(t.Context(), "s", "q", "o", 2*time.Second); err != nil || g == nil {
			t.Errorf("a grant in time: %v, %v", g, err)
		}
		spy.delay = time.Second
		if status, err := l.Renew(t.Context(), "s", "q", "o", time.Second); err != nil || status != lock.NotLocked {
			t.Errorf("a renewal after its time: %v, %v", status, err)
		}
	})
}

func TestLockErrors(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		ctx  context.Context
		err  error
		kind capability.Kind
	}{
		{t.Context(), errors.New("on fire"), capability.Internal},
		{t.Context(), fmt.Errorf("no answer within 3s: %w", context.DeadlineExceeded), capability.Deadline}, // a limit of the store's own
		{t.Context(), io.ErrUnexpectedEOF, capability.Unavailable},
		{t.Context(), components.Away(errors.New("no leader")), capability.Unavailable},
		{t.Context(), lock.ErrNotSupported, capability.NotSupported},
		{cancelled, context.Canceled, capability.Canceled},
	} {
		spy := newSpyLocker(t)
		spy.err = tt.err
		l := lockOf(t, spy, "")
		_, err := l.TryLock(tt.ctx, "s", "r", "o", time.Minute)
		if e := wantError(t, err, tt.kind); e.Key != "r" || e.Component != "s" || e.Capability != capability.LockName || e.Op != capability.LockTry {
			t.Errorf("%+v", e)
		}
		_, err = l.Unlock(tt.ctx, "s", "r", "o")
		wantError(t, err, tt.kind)
		_, err = l.Renew(tt.ctx, "s", "r", "o", time.Minute)
		wantError(t, err, tt.kind)
	}
}
