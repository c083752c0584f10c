package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/etcdnode"
	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type is the name of this backend in a configuration.
const Type = "etcd"

// Metadata is the configuration.
type Metadata struct {
	etcdnode.Metadata
	// KeyPrefix belongs to the caller, which puts the prefixes on; it is listed
	// here so that it counts as known.
	KeyPrefix string `json:"keyPrefix"`
}

// maxLease is the longest lease that etcd grants.
const maxLease = 9_000_000_000 * time.Second

// Locker keeps locks in etcd. Use New. It implements lock.Locker and
// components.Checker.
type Locker struct {
	client *etcdnode.Client
}

// New connects to etcd. It fails, within dialTimeout or when ctx ends, if etcd
// does not answer; the error names its address.
func New(ctx context.Context, _ components.Env, cfg components.Config) (lock.Locker, error) {
	var m Metadata
	decode.Defaults(&m)
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	client, err := etcdnode.Open(ctx, m.Metadata, cfg.SettingsPath())
	if err != nil {
		return nil, err
	}
	return &Locker{client: client}, nil
}

// TryLock implements lock.Locker.
func (l *Locker) TryLock(ctx context.Context, resource, owner string, expire time.Duration) (grant *lock.Grant, err error) {
	if err := lock.Check(resource, owner, expire); err != nil {
		return nil, err
	}
	err = l.call(ctx, func(ctx context.Context) error {
		key := l.client.Key(resource)
		// To look first saves whoever does not get it a lease.
		found, err := l.client.Get(ctx, key, clientv3.WithCountOnly())
		if err != nil || found.Count > 0 {
			return err
		}
		lease, err := l.client.Grant(ctx, leaseTime(expire))
		if err != nil {
			return err
		}
		resp, err := l.client.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
			Then(clientv3.OpPut(key, owner, clientv3.WithLease(lease.ID))).
			Commit()
		switch {
		case err != nil:
			return err // the lease ends by itself, and with it what may have been put
		case !resp.Succeeded:
			return l.revoke(ctx, lease.ID)
		}
		grant = &lock.Grant{Token: uint64(max(resp.Header.Revision, 0))}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return grant, nil
}

// leaseTime returns the whole seconds that a lease needs.
func leaseTime(expire time.Duration) int64 {
	return int64((min(expire, maxLease) + time.Second - 1) / time.Second)
}

// revoke ends a lease that nothing is bound to. That it cannot be is no failure: it
// ends by itself.
func (l *Locker) revoke(ctx context.Context, id clientv3.LeaseID) error {
	_, _ = l.client.Revoke(ctx, id)
	return nil
}

// Unlock implements lock.Locker.
func (l *Locker) Unlock(ctx context.Context, resource, owner string) (lock.Status, error) {
	if err := lock.Check(resource, owner, time.Second); err != nil {
		return 0, err
	}
	return l.change(ctx, resource, owner, func(ctx context.Context, key string, held clientv3.Cmp, lease clientv3.LeaseID) (bool, error) {
		resp, err := l.client.Txn(ctx).If(held).Then(clientv3.OpDelete(key)).Commit()
		if err != nil || !resp.Succeeded {
			return false, err
		}
		return true, l.revoke(ctx, lease)
	})
}

// Renew implements lock.Locker.
func (l *Locker) Renew(ctx context.Context, resource, owner string, expire time.Duration) (lock.Status, error) {
	if err := lock.Check(resource, owner, expire); err != nil {
		return 0, err
	}
	return l.change(ctx, resource, owner, func(ctx context.Context, key string, held clientv3.Cmp, old clientv3.LeaseID) (bool, error) {
		lease, err := l.client.Grant(ctx, leaseTime(expire))
		if err != nil {
			return false, err
		}
		resp, err := l.client.Txn(ctx).If(held).Then(clientv3.OpPut(key, owner, clientv3.WithLease(lease.ID))).Commit()
		switch {
		case err != nil:
			return false, err
		case !resp.Succeeded:
			return false, l.revoke(ctx, lease.ID)
		}
		return true, l.revoke(ctx, old)
	})
}

// change does something with a lock that owner holds: do is given the condition
// under which it is still the one that was found, and says whether it was. When it
// was not, the lock is looked for again.
func (l *Locker) change(ctx context.Context, resource, owner string, do func(ctx context.Context, key string, held clientv3.Cmp, lease clientv3.LeaseID) (bool, error)) (status lock.Status, err error) {
	err = l.call(ctx, func(ctx context.Context) error {
		key := l.client.Key(resource)
		for {
			found, err := l.client.Get(ctx, key)
			if err != nil {
				return err
			}
			if len(found.Kvs) == 0 {
				status = lock.NotLocked
				return nil
			}
			kv := found.Kvs[0]
			if string(kv.Value) != owner {
				status = lock.NotTheOwner
				return nil
			}
			done, err := do(ctx, key, clientv3.Compare(clientv3.ModRevision(key), "=", kv.ModRevision), clientv3.LeaseID(kv.Lease))
			if done || err != nil {
				status = lock.Done
				return err
			}
		}
	})
	return status, err
}

func (l *Locker) call(ctx context.Context, call func(context.Context) error) error {
	err := l.client.Call(ctx, call)
	if errors.Is(err, etcdnode.ErrClosed) {
		return lock.ErrClosed
	}
	return err
}

// Check implements components.Checker: it reads a key.
func (l *Locker) Check(ctx context.Context) error { return l.client.Check(ctx) }

// Close implements lock.Locker.
func (l *Locker) Close() error {
	if err := l.client.Close(); err != nil {
		return fmt.Errorf("closing: %w", err)
	}
	return nil
}
