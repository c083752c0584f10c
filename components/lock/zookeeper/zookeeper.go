package zookeeper

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/zknode"
	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type is the name of this backend in a configuration.
const Type = "zookeeper"

// Metadata is the configuration.
type Metadata struct {
	zknode.Metadata
	// KeyPrefix belongs to the caller, which puts the prefixes on; it is listed
	// here so that it counts as known.
	KeyPrefix string `json:"keyPrefix"`
}

// maxVersion is the version with which a node is made anew: the numbers are of 32
// bits, and -1 has a meaning of its own.
const maxVersion = 1 << 30

// Locker keeps locks in ZooKeeper. Use New. It implements lock.Locker and
// components.Checker.
type Locker struct {
	client *zknode.Client
	clock  clock

	mu      sync.Mutex
	closed  bool
	expired map[string]time.Time // nodes that may be over then, by our clock
	quit    chan struct{}
	sweeper sync.WaitGroup
}

// New connects to ZooKeeper. It fails, within twice sessionTimeout or when ctx
// ends, if there is no session; the error names the servers.
func New(ctx context.Context, env components.Env, cfg components.Config) (lock.Locker, error) {
	var m Metadata
	decode.Defaults(&m)
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	client, err := zknode.Open(ctx, m.Metadata, cfg.SettingsPath(), env.Log, cfg.Warn)
	if err != nil {
		return nil, err
	}
	l := &Locker{client: client, expired: make(map[string]time.Time), quit: make(chan struct{})}
	l.sweeper.Go(l.sweep)
	return l, nil
}

// TryLock implements lock.Locker.
func (l *Locker) TryLock(ctx context.Context, resource, owner string, expire time.Duration) (*lock.Grant, error) {
	if err := lock.Check(resource, owner, expire); err != nil {
		return nil, err
	}
	path, data := zknode.Path(resource), record{owner, expire}.encode()
	var grant *lock.Grant
	err := l.do(ctx, func(conn *zk.Conn) error {
		stat, err := l.take(conn, path, data)
		if err == nil && stat != nil {
			grant = &lock.Grant{Token: uint64(stat.Mzxid)}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if grant != nil {
		l.sweepAt(path, expire)
	}
	return grant, nil
}

// take makes the node, or takes it over when the lock is over. It returns nil and
// no error when it is held.
func (l *Locker) take(conn *zk.Conn, path string, data []byte) (*zk.Stat, error) {
	for {
		before, stat, err := conn.Get(path)
		if err == zk.ErrNoNode { //nolint:errorlint // the library's own
			// Setting what was just made tells when it was made, and as which change.
			results, err := conn.Multi(
				&zk.CreateRequest{Path: path, Data: data, Acl: l.client.ACL},
				&zk.SetDataRequest{Path: path, Data: data, Version: 0},
			)
			if err == zk.ErrNodeExists { //nolint:errorlint // as above
				continue
			}
			if err != nil {
				return nil, err
			}
			l.clock.set(results[1].Stat)
			return results[1].Stat, nil
		}
		if err != nil {
			return nil, err
		}
		state, err := l.look(conn, before, stat)
		if err != nil || state == held {
			return nil, err
		}
		if state == unclear {
			if err := l.countAnew(conn, path, before, stat); !moved(err) {
				return nil, err
			}
			continue
		}
		if stat.Version > maxVersion {
			if err := conn.Delete(path, stat.Version); err != nil && !moved(err) {
				return nil, err
			}
			continue
		}
		taken, err := conn.Set(path, data, stat.Version)
		if moved(err) {
			continue
		}
		l.clock.set(taken)
		return taken, err
	}
}

// moved tells that somebody else has changed the node meanwhile.
func moved(err error) bool { return err == zk.ErrBadVersion || err == zk.ErrNoNode } //nolint:errorlint // the library's own

// standing is how a node's lock stands.
type standing uint8

const (
	held standing = iota
	over
	// unclear: the node was written under another leader than the one whose clock is
	// read, which may show another time.
	unclear
)

// look tells how the lock of a node stands.
func (l *Locker) look(conn *zk.Conn, data []byte, stat *zk.Stat) (standing, error) {
	end := parse(data, stat).end(stat)
	if end.IsZero() {
		return held, nil
	}
	now, epoch, err := l.clock.look(conn, epochOf(stat))
	switch {
	case err != nil:
		return held, err
	case epoch != epochOf(stat):
		return unclear, nil
	case now.Before(end):
		return held, nil
	}
	return over, nil
}

// countAnew writes a node as it is, so that the time of its lock is counted anew, by
// the clock of the leader that there is now. The lock lasts longer for it, and never
// shorter.
func (l *Locker) countAnew(conn *zk.Conn, path string, data []byte, stat *zk.Stat) error {
	if stat.Version > maxVersion { // whoever wants the lock next makes it anew
		_, err := conn.Multi(
			&zk.DeleteRequest{Path: path, Version: stat.Version},
			&zk.CreateRequest{Path: path, Data: data, Acl: l.client.ACL},
		)
		return err
	}
	stat, err := conn.Set(path, data, stat.Version)
	if err == nil {
		l.clock.set(stat)
	}
	return err
}

// Unlock implements lock.Locker.
func (l *Locker) Unlock(ctx context.Context, resource, owner string) (lock.Status, error) {
	if err := lock.Check(resource, owner, time.Second); err != nil {
		return 0, err
	}
	return l.change(ctx, resource, owner, func(conn *zk.Conn, path string, stat *zk.Stat) error {
		return conn.Delete(path, stat.Version)
	})
}

// Renew implements lock.Locker.
func (l *Locker) Renew(ctx context.Context, resource, owner string, expire time.Duration) (lock.Status, error) {
	if err := lock.Check(resource, owner, expire); err != nil {
		return 0, err
	}
	data := record{owner, expire}.encode()
	status, err := l.change(ctx, resource, owner, func(conn *zk.Conn, path string, stat *zk.Stat) error {
		if stat.EphemeralOwner == 0 && stat.Version < maxVersion {
			renewed, err := conn.Set(path, data, stat.Version)
			l.clock.set(renewed)
			return err
		}
		_, err := conn.Multi(
			&zk.DeleteRequest{Path: path, Version: stat.Version},
			&zk.CreateRequest{Path: path, Data: data, Acl: l.client.ACL},
		)
		return err
	})
	if err == nil && status == lock.Done {
		l.sweepAt(zknode.Path(resource), expire)
	}
	return status, err
}

// change does something with the node of a lock that owner holds; do fails when
// the node is no longer what stat says, and then all is looked at again.
func (l *Locker) change(ctx context.Context, resource, owner string, do func(conn *zk.Conn, path string, stat *zk.Stat) error) (lock.Status, error) {
	path := zknode.Path(resource)
	var status lock.Status
	err := l.do(ctx, func(conn *zk.Conn) error {
		for {
			data, stat, err := conn.Get(path)
			if err == zk.ErrNoNode { //nolint:errorlint // the library's own
				status = lock.NotLocked
				return nil
			}
			if err != nil {
				return err
			}
			state, err := l.look(conn, data, stat)
			switch {
			case err != nil:
				return err
			case state == over:
				status = lock.NotLocked
				return nil
			case parse(data, stat).owner != owner:
				status = lock.NotTheOwner
				return nil
			}
			if err = do(conn, path, stat); !moved(err) {
				status = lock.Done
				return err
			}
		}
	})
	if err != nil {
		return 0, err // the call may go on, and status be its own
	}
	return status, nil
}

func (l *Locker) do(ctx context.Context, call func(*zk.Conn) error) error {
	err := l.client.Do(ctx, call)
	if errors.Is(err, zknode.ErrClosed) {
		return lock.ErrClosed
	}
	return err
}

// Check implements components.Checker: it asks for the root.
func (l *Locker) Check(ctx context.Context) error { return l.client.Check(ctx) }

// Close implements lock.Locker.
func (l *Locker) Close() error {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	l.mu.Unlock()
	if first {
		close(l.quit)
	}
	err := l.client.Close()
	l.sweeper.Wait()
	return err
}
