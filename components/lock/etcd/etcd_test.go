package etcd

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/components/lock/locktest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/internal/testserver/etcd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func tryNew(ctx context.Context, endpoints string, more map[string]any) (*Locker, error) {
	metadata := map[string]any{"endpoints": endpoints, "dialTimeout": "1", "keyPrefixPath": "/lock"}
	for k, v := range more {
		metadata[k] = v
	}
	l, err := New(ctx, components.Env{}, components.Config{Name: "test", Type: Type, Path: "lock.test", Metadata: metadata})
	if err != nil {
		return nil, err
	}
	return l.(*Locker), nil
}

func newLocker(t *testing.T, endpoints string) *Locker {
	t.Helper()
	l, err := tryNew(t.Context(), endpoints, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "lock", Type)
	server := etcd.Start(t)
	locktest.Run(t, locktest.Options{
		Expire: time.Second, Late: 1800 * time.Millisecond,
		New: func(t *testing.T) lock.Locker {
			l, err := tryNew(t.Context(), server.Addr, map[string]any{"dialTimeout": "10s"})
			if err != nil {
				t.Fatal(err)
			}
			return l
		},
	})
}

// Breaks of the network leave calls without an outcome, and never two owners.
func TestHistoryWithFaults(t *testing.T) {
	server := etcd.Start(t)
	a, b := testserver.NewLink(t, server.Addr), testserver.NewLink(t, server.Addr)
	lockers := []lock.Locker{newLocker(t, a.Addr), newLocker(t, b.Addr), newLocker(t, server.Addr)}
	_, _ = locktest.History(t, lockers, locktest.HistoryOptions{
		Expire: 500 * time.Millisecond, Timeout: 300 * time.Millisecond, Calls: 40,
		Faults: func(done <-chan struct{}) {
			for {
				for _, step := range []func(){a.Hold, a.Mend, b.Cut, b.Mend, a.Cut, a.Mend, b.Hold, b.Mend} {
					step()
					select {
					case <-done:
						return
					case <-time.After(80 * time.Millisecond):
					}
				}
			}
		},
	})
}

// Keys are where Layotto has them, and whoever loses leaves no lease behind.
func TestLayout(t *testing.T) {
	server := etcd.Start(t)
	l := newLocker(t, server.Addr)
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
	l := newLocker(t, link.Addr)
	try := func() error {
		_, err := l.TryLock(t.Context(), "r", "a", time.Second)
		return err
	}
	if err := errors.Join(try(), l.Check(t.Context())); err != nil {
		t.Fatal(err)
	}
	link.Hold()
	began := time.Now()
	if err := try(); err == nil || !strings.Contains(err.Error(), link.Addr) || !strings.Contains(err.Error(), "dialTimeout") {
		t.Errorf("hanging: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.Renew(ctx, "r", "a", time.Second); !errors.Is(err, context.DeadlineExceeded) || err != context.DeadlineExceeded { //nolint:errorlint // as it is
		t.Errorf("hanging, with a deadline: %v", err)
	}
	link.Mend()
	eventually(t, try)
	server.Stop()
	if err := try(); err == nil || !strings.Contains(err.Error(), link.Addr) {
		t.Errorf("down: %v", err)
	}
	if err := l.Check(t.Context()); err == nil {
		t.Error("Check finds nothing wrong with a server that is down")
	}
	if _, err := tryNew(t.Context(), server.Addr, map[string]any{"dialTimeout": "300ms"}); err == nil ||
		!strings.Contains(err.Error(), "cannot connect") || !strings.Contains(err.Error(), server.Addr) {
		t.Errorf("down at the start: %v", err)
	}
	server.Start()
	eventually(t, func() error { return errors.Join(try(), l.Check(t.Context())) })
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("it took %s", d)
	}
}

func TestPassword(t *testing.T) {
	server := etcd.Start(t)
	admin := newLocker(t, server.Addr).client
	ctx := t.Context()
	_, e1 := admin.UserAdd(ctx, "root", "sesame")
	_, e2 := admin.UserGrantRole(ctx, "root", "root")
	_, e3 := admin.AuthEnable(ctx)
	if err := errors.Join(e1, e2, e3); err != nil {
		t.Fatal(err)
	}
	for _, m := range []map[string]any{nil, {"username": "root", "password": "wrong-one"}} {
		if _, err := tryNew(ctx, server.Addr, m); err == nil || strings.Contains(err.Error(), "wrong-one") || !strings.Contains(err.Error(), server.Addr) {
			t.Errorf("%v: %v", m, err)
		}
	}
	l, err := tryNew(ctx, server.Addr, map[string]any{"username": "root", "password": "sesame"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	if g, err := l.TryLock(ctx, "r", "a", time.Minute); err != nil || g == nil {
		t.Errorf("with the password: %v, %v", g, err)
	}
}

func TestMetadata(t *testing.T) {
	for text, m := range map[string]map[string]any{
		"lock.test.metadata.endpoints": {"endpoints": " ; "},
		"lock.test.metadata.tlsCert":   {"tlsCa": "/no/such/file"},
	} {
		if _, err := tryNew(t.Context(), "127.0.0.1:1", m); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v: %v, want %q", m, err, text)
		}
	}
}

func eventually(t *testing.T, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}
