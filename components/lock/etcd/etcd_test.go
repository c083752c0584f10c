package etcd

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components/internal/backendtest"
	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/components/lock/locktest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/internal/testserver/etcd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func backend() backendtest.Backend[lock.Locker, *Locker] {
	return backendtest.Backend[lock.Locker, *Locker]{
		Path: "lock.test", Type: Type, New: New,
		Address: "endpoints", Metadata: map[string]any{"dialTimeout": "30", "keyPrefixPath": "/lock"},
	}
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "lock", Type)
	server := etcd.Start(t)
	locktest.Run(t, locktest.Options{
		Expire: time.Second, Late: 1800 * time.Millisecond,
		New: backend().Maker(server.Addr, nil),
	})
}

// Breaks of the network leave calls without an outcome, and never two owners.
func TestHistoryWithFaults(t *testing.T) {
	server := etcd.Start(t)
	a, b := testserver.NewLink(t, server.Addr), testserver.NewLink(t, server.Addr)
	lockers := []lock.Locker{backend().Open(t, a.Addr, nil), backend().Open(t, b.Addr, nil), backend().Open(t, server.Addr, nil)}
	_, _ = locktest.History(t, lockers, locktest.HistoryOptions{
		Expire: 500 * time.Millisecond, Timeout: 300 * time.Millisecond, Calls: 40,
		Faults: func(done <-chan struct{}) {
			testserver.Rounds(done, 80*time.Millisecond, a.Hold, a.Mend, b.Cut, b.Mend, a.Cut, a.Mend, b.Hold, b.Mend)
		},
	})
}

// Keys are where Layotto has them, and whoever loses leaves no lease behind.
func TestLayout(t *testing.T) {
	server := etcd.Start(t)
	l := backend().Open(t, server.Addr, nil)
	ctx := t.Context()
	if g, err := l.TryLock(ctx, "lock|||app||K", "me", time.Minute); err != nil || g == nil {
		t.Fatal(g, err)
	}
	resp, err := l.client.Get(ctx, "/lock/lock|||app||K")
	if err != nil || len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != "me" || resp.Kvs[0].Lease == 0 {
		t.Fatalf("%v, %v", resp, err)
	}
	for range 5 {
		if g, err := l.TryLock(ctx, "lock|||app||K", "other", time.Minute); err != nil || g != nil {
			t.Fatal(g, err)
		}
		if status, err := l.Renew(ctx, "lock|||app||K", "me", time.Minute); err != nil || status != lock.Done {
			t.Fatal(status, err)
		}
	}
	leases, err := l.client.Leases(ctx)
	if err != nil || len(leases.Leases) != 1 {
		t.Errorf("%d leases for one lock, %v", len(leases.Leases), err)
	}
	if status, err := l.Unlock(ctx, "lock|||app||K", "me"); err != nil || status != lock.Done {
		t.Fatal(status, err)
	}
	if leases, err = l.client.Leases(ctx); err != nil || len(leases.Leases) != 0 {
		t.Errorf("%d leases for no lock, %v", len(leases.Leases), err)
	}
	lease, err := l.client.Grant(ctx, 100)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.client.Put(ctx, "/lock/lock|||app||L", "layotto", clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
	if g, err := l.TryLock(ctx, "lock|||app||L", "me", time.Minute); err != nil || g != nil {
		t.Errorf("a lock of Layotto's was taken: %v, %v", g, err)
	}
}

func TestFaults(t *testing.T) {
	server := etcd.Start(t)
	link := testserver.NewLink(t, server.Addr)
	l := backend().Open(t, link.Addr, map[string]any{"dialTimeout": "3"})
	locktest.Outages(t, l, locktest.Outage{
		Hang: link.Hold, Resume: link.Mend, Stop: server.Stop, Start: server.Start,
		Addr: link.Addr, Silent: []string{link.Addr, "dialTimeout"},
		New: func(ctx context.Context) (lock.Locker, error) {
			return backend().Try(ctx, link.Addr, map[string]any{"dialTimeout": "300ms"})
		},
	})
	link.Hold()
	defer link.Mend()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.Renew(ctx, "r", "a", time.Second); err != context.DeadlineExceeded { //nolint:errorlint // as it is
		t.Errorf("hanging, with a deadline: %v", err)
	}
}

func TestPassword(t *testing.T) {
	server := etcd.Start(t)
	admin := backend().Open(t, server.Addr, nil).client
	ctx := t.Context()
	_, e1 := admin.UserAdd(ctx, "root", "sesame")
	_, e2 := admin.UserGrantRole(ctx, "root", "root")
	_, e3 := admin.AuthEnable(ctx)
	if err := errors.Join(e1, e2, e3); err != nil {
		t.Fatal(err)
	}
	for _, m := range []map[string]any{nil, {"username": "root", "password": "wrong-one"}} {
		if _, err := backend().Try(ctx, server.Addr, m); err == nil || strings.Contains(err.Error(), "wrong-one") || !strings.Contains(err.Error(), server.Addr) {
			t.Errorf("%v: %v", m, err)
		}
	}
	l := backend().Open(t, server.Addr, map[string]any{"username": "root", "password": "sesame"})
	if g, err := l.TryLock(ctx, "r", "a", time.Minute); err != nil || g == nil {
		t.Errorf("with the password: %v, %v", g, err)
	}
}

func TestMetadata(t *testing.T) {
	for text, m := range map[string]map[string]any{
		"lock.test.metadata.endpoints": {"endpoints": " ; "},
		"lock.test.metadata.tlsCert":   {"tlsCa": "/no/such/file"},
	} {
		if _, err := backend().Try(t.Context(), "127.0.0.1:1", m); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v: %v, want %q", m, err, text)
		}
	}
}
