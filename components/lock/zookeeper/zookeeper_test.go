package zookeeper

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components/internal/backendtest"
	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/components/lock/locktest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func backend() backendtest.Backend[lock.Locker, *Locker] {
	return backendtest.Backend[lock.Locker, *Locker]{
		Path: "lock.test", Type: Type, New: New,
		Address: "zookeeperHosts", Metadata: map[string]any{"sessionTimeout": "30"},
	}
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "lock", Type)
	server := testserver.ZooKeeper(t)
	locktest.Run(t, locktest.Options{
		Expire: 500 * time.Millisecond, Late: 400 * time.Millisecond,
		New: backend().Maker(server.Addr, nil),
	})
}

// Pauses of the server and breaks of the network leave calls without an outcome,
// and never two owners.
func TestHistoryWithFaults(t *testing.T) {
	server := testserver.ZooKeeper(t)
	link := testserver.NewLink(t, server.Addr)
	short := map[string]any{"sessionTimeout": "1"}
	lockers := []lock.Locker{backend().Open(t, server.Addr, short), backend().Open(t, link.Addr, short)}
	_, _ = locktest.History(t, lockers, locktest.HistoryOptions{
		Expire: 300 * time.Millisecond, Timeout: 300 * time.Millisecond, Calls: 40,
		Faults: func(done <-chan struct{}) {
			testserver.Rounds(done, 100*time.Millisecond, server.Pause, server.Resume, link.Hold, link.Mend, link.Cut, link.Mend)
		},
	})
}

// A lock outlives the session and the process that made it, as it does a restart
// of the server.
func TestLocksOutliveSessions(t *testing.T) {
	server := testserver.ZooKeeper(t)
	first := backend().Open(t, server.Addr, nil)
	if g, err := first.TryLock(t.Context(), "r", "me", time.Minute); err != nil || g == nil {
		t.Fatal(g, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	server.Start()
	second := backend().Open(t, server.Addr, nil)
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
	l := backend().Open(t, server.Addr, nil)
	layotto := backend().Open(t, server.Addr, nil)
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
	first := backend().Open(t, server.Addr, nil)
	for name, expire := range map[string]time.Duration{"lock|||over": time.Millisecond, "lock|||held": time.Hour} {
		if g, err := first.TryLock(t.Context(), name, "me", expire); err != nil || g == nil {
			t.Fatal(g, err)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := backend().Open(t, server.Addr, nil)
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
	if len(second.expired) != 1 || time.Until(second.expired["/lock|||held"]) < 50*time.Minute {
		t.Errorf("noted: %v", second.expired)
	}
}

func TestFaults(t *testing.T) {
	server := testserver.ZooKeeper(t)
	locktest.Outages(t, backend().Open(t, server.Addr, map[string]any{"sessionTimeout": "2"}), locktest.Outage{
		Hang: server.Pause, Resume: server.Resume, Stop: server.Stop, Start: server.Start,
		Addr: server.Addr,
		New: func(ctx context.Context) (lock.Locker, error) {
			return backend().Try(ctx, server.Addr, map[string]any{"sessionTimeout": "200ms"})
		},
	})
}

func TestPassword(t *testing.T) {
	server := testserver.ZooKeeper(t)
	mine := backend().Open(t, server.Addr, map[string]any{"zookeeperPassword": "me:sesame"})
	if g, err := mine.TryLock(t.Context(), "r", "a", time.Minute); err != nil || g == nil {
		t.Fatal(g, err)
	}
	other := backend().Open(t, server.Addr, nil)
	if _, err := other.TryLock(t.Context(), "r", "b", time.Minute); err == nil || !strings.Contains(err.Error(), "zookeeperPassword") {
		t.Errorf("without the password: %v", err)
	}
	if _, err := backend().Try(t.Context(), " ; ", nil); err == nil || !strings.Contains(err.Error(), "lock.test.metadata.zookeeperHosts") {
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
