package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type is the name of this backend in a configuration.
const Type = "consul"

// Metadata is the configuration.
type Metadata struct {
	// Address is host:port of an agent.
	Address string `json:"address"`
	Scheme  string `json:"scheme" enum:"http|https" default:"http"`
	// Username and Password are for a proxy before Consul that asks for them.
	Username string `json:"username"`
	Password string `json:"password"`
	// ACLToken is for Consul itself, which must allow keys and sessions to be written.
	ACLToken   string `json:"aclToken"`
	Datacenter string `json:"datacenter"`
	// KeyPrefix belongs to the caller, which puts the prefixes on; it is listed
	// here so that it counts as known.
	KeyPrefix string `json:"keyPrefix"`
}

const (
	minSession = 10 * time.Second
	maxSession = 24 * time.Hour
	// callTime bounds a call that has no other limit.
	callTime = 5 * time.Second
	// lockDelay is how long Consul refuses a key whose session has ended: what it
	// has is for holders without fencing tokens.
	lockDelay = time.Millisecond
)

// Locker keeps locks in Consul. Use New. It implements lock.Locker and
// components.Checker.
type Locker struct {
	client    *api.Client
	transport *http.Transport
	where     string
	life      context.Context
	end       context.CancelFunc
	endings   *endings
}

// New connects to Consul. It fails, after five seconds or when ctx ends, if there is
// no answer; the error names the address.
func New(ctx context.Context, _ components.Env, cfg components.Config) (lock.Locker, error) {
	var m Metadata
	decode.Defaults(&m)
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	if m.Address == "" {
		return nil, decode.Problems{{Path: decode.Join(cfg.SettingsPath(), "address"), Message: "is missing", Remedy: `for example "localhost:8500"`}}
	}
	conf := api.DefaultNonPooledConfig()
	conf.Transport.DisableKeepAlives = false
	conf.Address, conf.Scheme, conf.Token, conf.Datacenter = m.Address, m.Scheme, m.ACLToken, m.Datacenter
	conf.HttpAuth = nil
	if m.Username != "" {
		conf.HttpAuth = &api.HttpBasicAuth{Username: m.Username, Password: m.Password}
	}
	client, err := api.NewClient(conf)
	if err != nil {
		return nil, fmt.Errorf("consul %s: %w", m.Address, err)
	}
	l := &Locker{client: client, transport: conf.Transport, where: "consul " + m.Address}
	l.life, l.end = context.WithCancel(context.WithoutCancel(ctx))
	l.endings = newEndings(l.over)
	if err := l.Check(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot connect: %w", err), l.Close())
	}
	return l, nil
}

// TryLock implements lock.Locker.
func (l *Locker) TryLock(ctx context.Context, resource, owner string, expire time.Duration) (grant *lock.Grant, err error) {
	if err := check(resource, owner, expire); err != nil {
		return nil, err
	}
	err = l.call(ctx, func(ctx context.Context) error {
		// To look first saves whoever does not get it a session.
		held, err := l.get(ctx, resource)
		if err != nil || held != nil && held.Session != "" {
			return err
		}
		session, err := l.session(ctx, expire)
		if err != nil {
			return err
		}
		pair, err := l.txn(ctx, lockOp(resource, owner, session, expire))
		if pair == nil {
			l.destroy(ctx, session) // else it ends by itself, and with it what it may hold
			return err
		}
		l.endings.set(resource, hold{session, pair.ModifyIndex}, time.Now().Add(expire))
		grant = &lock.Grant{Token: pair.ModifyIndex}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return grant, nil
}

func check(resource, owner string, expire time.Duration) error {
	if err := lock.Check(resource, owner, expire); err != nil {
		return err
	}
	if expire > maxSession {
		return fmt.Errorf("%w: Consul holds no lock for longer than %s, this is for %s", lock.ErrInvalid, maxSession, expire)
	}
	return nil
}

func lockOp(resource, owner, session string, expire time.Duration) *api.KVTxnOp {
	// The flags are for people who look: until when, in milliseconds of Unix time.
	until := uint64(max(time.Now().Add(expire).UnixMilli(), 0))
	return &api.KVTxnOp{Verb: api.KVLock, Key: resource, Value: []byte(owner), Session: session, Flags: until}
}

// session makes a session that lives at least as long as a lock shall.
func (l *Locker) session(ctx context.Context, expire time.Duration) (string, error) {
	ttl := (min(max(expire, minSession), maxSession) + time.Second - 1).Truncate(time.Second)
	// Without checks of the node: an agent that is ill ends no lock.
	id, _, err := l.client.Session().CreateNoChecks(&api.SessionEntry{
		Name: "ottavo lock", TTL: ttl.String(), Behavior: api.SessionBehaviorDelete, LockDelay: lockDelay,
	}, new(api.WriteOptions).WithContext(ctx))
	return id, err
}

// destroy ends a session. That it cannot be is no failure: it ends by itself.
func (l *Locker) destroy(ctx context.Context, session string) {
	_, _ = l.client.Session().Destroy(session, new(api.WriteOptions).WithContext(ctx))
}

// txn carries out all operations or none, and returns what the last one left; nil
// and no error when one of them was refused.
func (l *Locker) txn(ctx context.Context, ops ...*api.KVTxnOp) (*api.KVPair, error) {
	all := make(api.TxnOps, len(ops))
	for i, op := range ops {
		all[i] = &api.TxnOp{KV: op}
	}
	ok, resp, _, err := l.client.Txn().Txn(all, new(api.QueryOptions).WithContext(ctx))
	switch {
	case err != nil:
		return nil, err
	case !ok:
		for _, e := range resp.Errors {
			if !refused(e.What) {
				return nil, errors.New(e.What)
			}
		}
		return nil, nil
	case len(resp.Results) == 0 || resp.Results[len(resp.Results)-1].KV == nil:
		return &api.KVPair{}, nil
	}
	return resp.Results[len(resp.Results)-1].KV, nil
}

// refused tells Consul's words for a condition that does not hold.
func refused(what string) bool {
	for _, words := range []string{"doesn't exist", "lock is already held", "lock isn't held", "index is stale", "failed index check", "nvalid session", "lock-delay", "lock delay"} {
		if strings.Contains(what, words) {
			return true
		}
	}
	return false
}

// get returns the key, nil when there is none.
func (l *Locker) get(ctx context.Context, resource string) (*api.KVPair, error) {
	return l.txn(ctx, &api.KVTxnOp{Verb: api.KVGet, Key: resource})
}

// Unlock implements lock.Locker.
func (l *Locker) Unlock(ctx context.Context, resource, owner string) (lock.Status, error) {
	if err := check(resource, owner, time.Second); err != nil {
		return 0, err
	}
	return l.change(ctx, resource, owner, func(ctx context.Context, pair *api.KVPair) (bool, error) {
		gone, err := l.txn(ctx, &api.KVTxnOp{Verb: api.KVDeleteCAS, Key: resource, Index: pair.ModifyIndex})
		if gone == nil {
			return false, err
		}
		l.endings.drop(resource)
		l.destroy(ctx, pair.Session)
		return true, nil
	})
}

// Renew implements lock.Locker: the lock goes over to a new session, which lives as
// long as it must.
func (l *Locker) Renew(ctx context.Context, resource, owner string, expire time.Duration) (lock.Status, error) {
	if err := check(resource, owner, expire); err != nil {
		return 0, err
	}
	return l.change(ctx, resource, owner, func(ctx context.Context, old *api.KVPair) (bool, error) {
		session, err := l.session(ctx, expire)
		if err != nil {
			return false, err
		}
		pair, err := l.txn(
			ctx,
			&api.KVTxnOp{Verb: api.KVCheckIndex, Key: resource, Index: old.ModifyIndex},
			&api.KVTxnOp{Verb: api.KVUnlock, Key: resource, Value: []byte(owner), Session: old.Session},
			lockOp(resource, owner, session, expire),
		)
		switch {
		case err != nil:
			return false, err // the lock may have gone over to the session: it ends by itself
		case pair == nil:
			l.destroy(ctx, session)
			return false, nil
		}
		l.endings.set(resource, hold{session, pair.ModifyIndex}, time.Now().Add(expire))
		l.destroy(ctx, old.Session)
		return true, nil
	})
}

// change does something with a lock that owner holds; do says whether it was still
// as it was found, and when it was not, it is looked at again.
func (l *Locker) change(ctx context.Context, resource, owner string, do func(ctx context.Context, pair *api.KVPair) (bool, error)) (status lock.Status, err error) {
	err = l.call(ctx, func(ctx context.Context) error {
		for {
			pair, err := l.get(ctx, resource)
			switch {
			case err != nil:
				return err
			case pair == nil || pair.Session == "":
				status = lock.NotLocked
				return nil
			case string(pair.Value) != owner:
				status = lock.NotTheOwner
				return nil
			}
			if done, err := do(ctx, pair); done || err != nil {
				status = lock.Done
				return err
			}
		}
	})
	return status, err
}

// over gives back a lock whose time is over, unless it has been renewed elsewhere.
func (l *Locker) over(resource string, h hold) {
	ctx, cancel := context.WithTimeout(l.life, callTime)
	defer cancel()
	_, _ = l.txn(ctx, &api.KVTxnOp{Verb: api.KVDeleteCAS, Key: resource, Index: h.index}) // else its session ends it
	l.destroy(ctx, h.session)
}

// call makes calls, which together have the time that ctx has, or five seconds.
func (l *Locker) call(ctx context.Context, call func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.life.Err() != nil {
		return lock.ErrClosed
	}
	limited, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	defer context.AfterFunc(l.life, cancel)() //nolint:contextcheck // ends with both
	err := call(limited)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case l.life.Err() != nil:
		return lock.ErrClosed
	case limited.Err() != nil:
		return fmt.Errorf("%s: no answer within %s: %w", l.where, callTime, err)
	case strings.Contains(err.Error(), "403"):
		return fmt.Errorf("%s: check aclToken, username and password: %w", l.where, err)
	}
	return fmt.Errorf("%s: %w", l.where, err)
}

// Check implements components.Checker: the cluster must have a leader.
func (l *Locker) Check(ctx context.Context) error {
	return l.call(ctx, func(ctx context.Context) error {
		leader, err := l.client.Status().LeaderWithQueryOptions(new(api.QueryOptions).WithContext(ctx))
		if err == nil && leader == "" {
			err = errors.New("the cluster has no leader")
		}
		return err
	})
}

// Close implements lock.Locker. Locks that are held last until Consul ends their
// sessions.
func (l *Locker) Close() error {
	l.end()
	l.endings.close()
	l.transport.CloseIdleConnections()
	return nil
}
