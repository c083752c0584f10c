package zookeeper

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/components/lock/locktest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func tryNew(ctx context.Context, hosts string, more map[string]any) (*Locker, error) {
	metadata := map[string]any{"zookeeperHosts": hosts, "sessionTimeout": "1"}
	for k, v := range more {
		metadata[k] = v
	}
	l, err := New(ctx, components.Env{}, components.Config{Name: "test", Type: Type, Path: "lock.test", Metadata: metadata})
	if err != nil {
		return nil, err
	}
	return l.(*Locker), nil
}

func newLocker(t *testing.T, hosts string) *Locker {
	t.Helper()
	l, err := tryNew(t.Context(), hosts, nil)
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
	server := testserver.ZooKeeper(t)
	locktest.Run(t, locktest.Options{
		Expire: 500 * time.Millisecond, Late: 400 * time.Millisecond,
		New: func(t *testing.T) lock.Locker {
			l, err := tryNew(t.Context(), server.Addr, map[string]any{"sessionTimeout": "5s"})
			if err != nil {
				t.Fatal(err)
			}
			return l
		},
	})
}

// Pauses of the server and breaks of the network leave calls without an outcome,
// and never two owners.
func TestHistoryWithFaults(t *testing.T) {
	server := testserver.ZooKeeper(t)
	link := testserver.NewLink(t, server.Addr)
	lockers := []lock.Locker{newLocker(t, server.Addr), newLocker(t, link.Addr)}
	_, _ = locktest.History(t, lockers, locktest.HistoryOptions{
		Expire: 300 * time.Millisecond, Timeout: 300 * time.Millisecond, Calls: 40,
		Faults: func(done <-chan struct{}) {
			for {
				for _, step := range []func(){server.Pause, server.Resume, link.Hold, link.Mend, link.Cut, link.Mend} {
					step()
					select {
					case <-done:
						server.Resume()
						return
					case <-time.After(100 * time.Millisecond):
					}
				}
			}
		},
	})
}

// A lock outlives the session and the process that made it, as it does a restart
// of the server.
func TestLocksOutliveSessions(t *testing.T) {
	server := testserver.ZooKeeper(t)
	first := newLocker(t, server.Addr)
	if g, err := first.TryLock(t.Context(), "r", "me", time.Minute); err != nil || g == nil {
		t.Fatal(g, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	server.Start()
	second := newLocker(t, server.Addr)
	if g, err := second.TryLock(t.Context(), "r", "other", time.Minute); err != nil || g != nil {
		t.Fatalf("taken from its owner: %v, %v", g, err)
	}
	if status, err := second.Renew(t.Context(), "r", "me", time.Minute); err != nil || status != lock.Done {
		t.Fatal(status, err)
	}
	if status, err := second.Unlock(t.Context(), "r", "me"); err != nil || status != lock.Done {
		t.Fatal(status, err)
	}
}

// Layotto's nodes are respected, whatever their owner is called.
func TestLayotto(t *testing.T) {
	server := testserver.ZooKeeper(t)
	l := newLocker(t, server.Addr)
	layotto := newLocker(t, server.Addr)
	for _, owner := range []string{"layotto", "ottavo-lock-1 1\nsly"} {
		if _, err := layotto.conn().Create("/lock|||app||K", []byte(owner), zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err != nil {
			t.Fatal(err)
		}
		if g, err := l.TryLock(t.Context(), "lock|||app||K", "me", time.Minute); err != nil || g != nil {
			t.Errorf("%v, %v", g, err)
		}
		if status, err := l.Unlock(t.Context(), "lock|||app||K", "me"); err != nil || status != lock.NotTheOwner {
			t.Errorf("%v, %v", status, err)
		}
		if status, err := l.Renew(t.Context(), "lock|||app||K", owner, time.Minute); err != nil || status != lock.Done {
			t.Errorf("%v, %v", status, err)
		}
		if status, err := l.Unlock(t.Context(), "lock|||app||K", owner); err != nil || status != lock.Done {
			t.Errorf("%v, %v", status, err)
		}
	}
}

// Nodes that nobody wants again are removed: by who made them, or who comes after.
func TestSweep(t *testing.T) {
	server := testserver.ZooKeeper(t)
	first := newLocker(t, server.Addr)
	for name, expire := range map[string]time.Duration{"lock|||over": time.Millisecond, "lock|||held": time.Minute} {
		if g, err := first.TryLock(t.Context(), name, "me", expire); err != nil || g == nil {
			t.Fatal(g, err)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := newLocker(t, server.Addr)
	second.findLeftovers()
	for _, path := range second.due() {
		second.remove(path)
	}
	for name, want := range map[string]bool{"/lock|||over": false, "/lock|||held": true} {
		if there, _, err := second.conn().Exists(name); err != nil || there != want {
			t.Errorf("%s: there %v, %v", name, there, err)
		}
	}
	second.mu.Lock()
	defer second.mu.Unlock()
	if len(second.expired) != 1 || time.Until(second.expired["/lock|||held"]) < 50*time.Second {
		t.Errorf("noted: %v", second.expired)
	}
}

func TestFaults(t *testing.T) {
	server := testserver.ZooKeeper(t)
	l := newLocker(t, server.Addr)
	try := func() error {
		_, err := l.TryLock(t.Context(), "r", "a", time.Millisecond)
		return err
	}
	if err := errors.Join(try(), l.Check(t.Context())); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.Renew(ctx, "r", "a", time.Second); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hanging, with a deadline: %v", err)
	}
	server.Resume()
	eventually(t, try)
	server.Stop()
	began := time.Now()
	if err := try(); err == nil || !strings.Contains(err.Error(), server.Addr) {
		t.Errorf("down: %v", err)
	}
	if err := l.Check(t.Context()); err == nil {
		t.Error("Check finds nothing wrong with a server that is down")
	}
	if _, err := tryNew(t.Context(), server.Addr, map[string]any{"sessionTimeout": "200ms"}); err == nil ||
		!strings.Contains(err.Error(), "cannot connect") || !strings.Contains(err.Error(), server.Addr) {
		t.Errorf("down at the start: %v", err)
	}
	if d := time.Since(began); d > 15*time.Second {
		t.Errorf("it took %s", d)
	}
	server.Start()
	eventually(t, func() error { return errors.Join(try(), l.Check(t.Context())) })
}

func TestPassword(t *testing.T) {
	server := testserver.ZooKeeper(t)
	mine, err := tryNew(t.Context(), server.Addr, map[string]any{"zookeeperPassword": "me:sesame"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := mine.Close(); err != nil {
			t.Error(err)
		}
	}()
	if g, err := mine.TryLock(t.Context(), "r", "a", time.Minute); err != nil || g == nil {
		t.Fatal(g, err)
	}
	other := newLocker(t, server.Addr)
	if _, err := other.TryLock(t.Context(), "r", "b", time.Minute); err == nil || !strings.Contains(err.Error(), "zookeeperPassword") {
		t.Errorf("without the password: %v", err)
	}
	if _, err := tryNew(t.Context(), " ; ", nil); err == nil || !strings.Contains(err.Error(), "lock.test.metadata.zookeeperHosts") {
		t.Errorf("without hosts: %v", err)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte("layotto"))
	f.Add(record{"me", time.Second}.encode())
	f.Add([]byte("ottavo-lock-1 -5\nx"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := parse(data, &zk.Stat{})
		if r.expire < 0 {
			t.Errorf("%q: %s", data, r.expire)
		}
		if r.expire == 0 && r.owner != string(data) {
			t.Errorf("%q: the owner is %q", data, r.owner)
		}
		if own := (record{string(data), time.Second}); parse(own.encode(), &zk.Stat{}) != own {
			t.Errorf("%q as an owner", data)
		}
	})
}

func eventually(t *testing.T, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
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
