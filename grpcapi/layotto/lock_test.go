package layotto_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/lock"
	lockmemory "github.com/ottavo-runtime/ottavo/components/lock/memory"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// stubLocker answers every call alike.
type stubLocker struct{ err error }

func (s stubLocker) TryLock(context.Context, string, string, time.Duration) (*lock.Grant, error) {
	return &lock.Grant{}, s.err
}

func (s stubLocker) Unlock(context.Context, string, string) (lock.Status, error) { return 0, s.err }

func (s stubLocker) Renew(context.Context, string, string, time.Duration) (lock.Status, error) {
	return 0, s.err
}

func (stubLocker) Close() error { return nil }

func locks(t *testing.T) layotto.Config {
	t.Helper()
	m, err := lockmemory.New(t.Context(), components.Env{}, components.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return layotto.Config{Lock: capability.NewLock(map[string]capability.LockStore{
		"l": {Locker: m}, "broken": {Locker: stubLocker{errDisk}}, "plain": {Locker: stubLocker{}},
		"limited": {Locker: stubLocker{lock.ErrNotSupported}},
	})}
}

func TestLock(t *testing.T) {
	client, _ := serve(t, locks(t))
	ctx := timeout(t)
	try := func(owner string) (bool, uint64) {
		t.Helper()
		var header metadata.MD
		resp, err := client.TryLock(ctx, &runtimev1.TryLockRequest{StoreName: "l", ResourceId: "r", LockOwner: owner, Expire: 100}, grpc.Header(&header))
		if err != nil {
			t.Fatal(err)
		}
		token := uint64(0)
		if values := header.Get("ottavo-fencing-token"); len(values) > 0 {
			if token, err = strconv.ParseUint(values[0], 10, 64); err != nil {
				t.Error(err)
			}
		}
		return resp.GetSuccess(), token
	}
	unlock := func(owner string, want runtimev1.UnlockResponse_Status) {
		t.Helper()
		resp, err := client.Unlock(ctx, &runtimev1.UnlockRequest{StoreName: "l", ResourceId: "r", LockOwner: owner})
		if err != nil || resp.GetStatus() != want {
			t.Errorf("Unlock by %s: %v, %v, want %v", owner, resp.GetStatus(), err, want)
		}
	}
	renew := func(owner string, want runtimev1.LockKeepAliveResponse_Status) {
		t.Helper()
		resp, err := client.LockKeepAlive(ctx, &runtimev1.LockKeepAliveRequest{StoreName: "l", ResourceId: "r", LockOwner: owner, Expire: 1})
		if err != nil || resp.GetStatus() != want {
			t.Errorf("LockKeepAlive by %s: %v, %v, want %v", owner, resp.GetStatus(), err, want)
		}
	}
	renew("a", runtimev1.LockKeepAliveResponse_LOCK_UNEXIST)
	unlock("a", runtimev1.UnlockResponse_LOCK_UNEXIST)
	got, first := try("a")
	if !got || first == 0 {
		t.Errorf("a got it: %v, token %d", got, first)
	}
	if got, token := try("b"); got || token != 0 {
		t.Errorf("b got it: %v, token %d", got, token)
	}
	renew("b", runtimev1.LockKeepAliveResponse_LOCK_BELONG_TO_OTHERS)
	unlock("b", runtimev1.UnlockResponse_LOCK_BELONG_TO_OTHERS)
	renew("a", runtimev1.LockKeepAliveResponse_SUCCESS)
	unlock("a", runtimev1.UnlockResponse_SUCCESS)
	if got, second := try("b"); !got || second <= first {
		t.Errorf("b got it: %v, token %d after %d", got, second, first)
	}
	var header metadata.MD
	resp, err := client.TryLock(ctx, &runtimev1.TryLockRequest{StoreName: "plain", ResourceId: "r", LockOwner: "a", Expire: 1}, grpc.Header(&header))
	if err != nil || !resp.GetSuccess() || len(header.Get("ottavo-fencing-token")) != 0 {
		t.Errorf("of a store without tokens: %v, %v, %v", resp, err, header)
	}
}

func TestLockFailures(t *testing.T) {
	none, _ := serve(t, layotto.Config{})
	client, _ := serve(t, locks(t))
	late, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	for _, tt := range []struct {
		ctx                    context.Context
		client                 runtimev1.RuntimeClient
		store, resource, owner string
		expire                 int32
		code                   codes.Code
		text, reason           string
	}{
		{timeout(t), none, "", "", "", 0, codes.FailedPrecondition, "lock store is not configured", "NOT_CONFIGURED"},
		{timeout(t), client, "x", "", "a", 1, codes.InvalidArgument, "ResourceId is empty in lock store x", "INVALID_ARGUMENT"},
		{timeout(t), client, "x", "r", "", 1, codes.InvalidArgument, "LockOwner is empty in lock store x", "INVALID_ARGUMENT"},
		{timeout(t), client, "x", "r", "a", 0, codes.InvalidArgument, "Expire is not positive in lock store x", "INVALID_ARGUMENT"},
		{timeout(t), client, "x", "r", "a", -5, codes.InvalidArgument, "Expire is not positive in lock store x", "INVALID_ARGUMENT"},
		{timeout(t), client, "x", "r", "a", 1, codes.InvalidArgument, "lock store x not found", "UNKNOWN_COMPONENT"},
		{
			timeout(t), client, "l", "a||b", "a", 1, codes.Unknown,
			`resource "a||b" can't contain "||", which separates prefix and key: choose another name`, "ILLEGAL_KEY",
		},
		{timeout(t), client, "broken", "r", "a", 1, codes.Unknown, "disk on fire", "INTERNAL"},
		{timeout(t), client, "limited", "r", "a", 1, codes.Unimplemented, "not supported by this lock store", "NOT_SUPPORTED"},
		{late, client, "l", "r", "a", 1, codes.DeadlineExceeded, context.DeadlineExceeded.Error(), ""},
	} {
		_, err := tt.client.TryLock(tt.ctx, &runtimev1.TryLockRequest{StoreName: tt.store, ResourceId: tt.resource, LockOwner: tt.owner, Expire: tt.expire})
		wantStatus(t, err, tt.code, tt.text, tt.reason)
		_, err = tt.client.LockKeepAlive(tt.ctx, &runtimev1.LockKeepAliveRequest{StoreName: tt.store, ResourceId: tt.resource, LockOwner: tt.owner, Expire: tt.expire})
		wantStatus(t, err, tt.code, tt.text, tt.reason)
		if tt.store != "x" || tt.expire > 0 {
			_, err = tt.client.Unlock(tt.ctx, &runtimev1.UnlockRequest{StoreName: tt.store, ResourceId: tt.resource, LockOwner: tt.owner})
			wantStatus(t, err, tt.code, tt.text, tt.reason)
		}
	}
	if !errors.Is(late.Err(), context.DeadlineExceeded) {
		t.Error("the test's time was not up")
	}
}
