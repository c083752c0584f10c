package etcd

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ottavo-runtime/ottavo/components/state"
)

// Write implements state.Store.
func (s *Store) Write(ctx context.Context, op state.Op) error { return s.Transact(ctx, []state.Op{op}) }

// Transact implements state.Transactor. It takes as many keys as the server takes
// operations, 128 by default.
func (s *Store) Transact(ctx context.Context, ops []state.Op) error {
	for _, op := range ops {
		if err := checkOp(op); err != nil {
			return err
		}
	}
	if err := s.call(ctx, func(context.Context) error { return nil }); err != nil || len(ops) == 0 {
		return err
	}
	plans, err := state.Plans(ops)
	if err != nil {
		return err
	}
	if len(plans) > s.settings.maxOps {
		return fmt.Errorf("%w: a transaction over %d keys, etcd takes %d (maxTxnOps)", state.ErrInvalid, len(plans), s.settings.maxOps)
	}
	return s.call(ctx, func(ctx context.Context) error { return s.commit(ctx, plans) })
}

func checkOp(op state.Op) error {
	if err := op.Check(); err != nil {
		return err
	}
	if op.HasETag {
		if n, err := strconv.ParseInt(op.ETag, 10, 64); err != nil || n <= 0 {
			return fmt.Errorf("%w %q (key %q): it is a number", state.ErrETagInvalid, op.ETag, op.Key)
		}
	}
	return nil
}

// commit carries out what a transaction comes to, or fails with an ErrETagMismatch.
func (s *Store) commit(ctx context.Context, plans []state.Plan) (err error) {
	var conditions []clientv3.Cmp
	writes := make([]clientv3.Op, 0, len(plans))
	var leases []clientv3.LeaseID
	// A lease whose item was not written would live until its end.
	defer func() {
		if err != nil {
			s.revoke(ctx, leases)
		}
	}()
	for _, p := range plans {
		key := s.settings.prefix + p.Key
		if p.First.HasETag {
			revision, _ := strconv.ParseInt(p.First.ETag, 10, 64) // was checked
			conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(key), "=", revision))
		} else if p.First.CreateOnly() {
			conditions = append(conditions, clientv3.Compare(clientv3.CreateRevision(key), "=", 0))
		}
		if p.Last.Delete {
			writes = append(writes, clientv3.OpDelete(key))
			continue
		}
		seconds := wholeSeconds(p.Last.TTL)
		value, err := s.layout.encode(p.Last.Value, seconds)
		if err != nil {
			return err
		}
		var opts []clientv3.OpOption
		if seconds > 0 {
			lease, err := s.client.Grant(ctx, seconds)
			if err != nil {
				return fmt.Errorf("a lease of %d seconds for key %q: %w", seconds, p.Key, err)
			}
			leases = append(leases, lease.ID)
			opts = append(opts, clientv3.WithLease(lease.ID))
		}
		writes = append(writes, clientv3.OpPut(key, value, opts...))
	}
	resp, err := s.client.Txn(ctx).If(conditions...).Then(writes...).Commit()
	if err != nil {
		return err
	}
	if !resp.Succeeded {
		if len(plans) == 1 {
			return fmt.Errorf("%w (key %q)", state.ErrETagMismatch, plans[0].Key)
		}
		return state.ErrETagMismatch
	}
	return nil
}

// wholeSeconds rounds a time to live up: an item never ends too early.
func wholeSeconds(ttl time.Duration) int64 {
	seconds := int64(ttl / time.Second)
	if ttl%time.Second > 0 {
		seconds++
	}
	return min(seconds, math.MaxInt32)
}

// revoke gives leases back, also when ctx has ended. What cannot be given back ends
// by itself.
func (s *Store) revoke(ctx context.Context, leases []clientv3.LeaseID) {
	if len(leases) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	for _, id := range leases {
		if _, err := s.client.Revoke(ctx, id); err != nil {
			return
		}
	}
}
