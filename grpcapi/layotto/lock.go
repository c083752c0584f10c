package layotto

import (
	"context"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/ottavo-runtime/ottavo/components/lock"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// fencingTokenKey is the response header of TryLock that holds the grant's
// fencing token, in decimal. The message of the API has no place for it.
const fencingTokenKey = "ottavo-fencing-token"

// TryLock takes a lock, if nobody holds it.
func (r *runtimeServer) TryLock(ctx context.Context, req *runtimev1.TryLockRequest) (*runtimev1.TryLockResponse, error) {
	grant, err := r.Lock.TryLock(ctx, req.GetStoreName(), req.GetResourceId(), req.GetLockOwner(), seconds(req.GetExpire()))
	if err != nil {
		return nil, toStatus(err)
	}
	if grant == nil {
		return &runtimev1.TryLockResponse{}, nil
	}
	if grant.Token != 0 {
		if err := grpc.SetHeader(ctx, metadata.Pairs(fencingTokenKey, strconv.FormatUint(grant.Token, 10))); err != nil {
			return nil, toStatus(err)
		}
	}
	return &runtimev1.TryLockResponse{Success: true}, nil
}

// Unlock gives a lock back.
func (r *runtimeServer) Unlock(ctx context.Context, req *runtimev1.UnlockRequest) (*runtimev1.UnlockResponse, error) {
	status, err := r.Lock.Unlock(ctx, req.GetStoreName(), req.GetResourceId(), req.GetLockOwner())
	if err != nil {
		return nil, toStatus(err)
	}
	return &runtimev1.UnlockResponse{Status: runtimev1.UnlockResponse_Status(lockStatus(status))}, nil
}

// LockKeepAlive gives a held lock a new time to live.
func (r *runtimeServer) LockKeepAlive(ctx context.Context, req *runtimev1.LockKeepAliveRequest) (*runtimev1.LockKeepAliveResponse, error) {
	status, err := r.Lock.Renew(ctx, req.GetStoreName(), req.GetResourceId(), req.GetLockOwner(), seconds(req.GetExpire()))
	if err != nil {
		return nil, toStatus(err)
	}
	return &runtimev1.LockKeepAliveResponse{Status: runtimev1.LockKeepAliveResponse_Status(lockStatus(status))}, nil
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }

// lockStatus returns the number that both enums of the API have for a status.
func lockStatus(s lock.Status) int32 {
	switch s {
	case lock.Done:
		return int32(runtimev1.UnlockResponse_SUCCESS)
	case lock.NotLocked:
		return int32(runtimev1.UnlockResponse_LOCK_UNEXIST)
	case lock.NotTheOwner:
		return int32(runtimev1.UnlockResponse_LOCK_BELONG_TO_OTHERS)
	}
	return int32(runtimev1.UnlockResponse_INTERNAL_ERROR)
}
