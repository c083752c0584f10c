package consul

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

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
		Address: "address", Metadata: map[string]any{"scheme": "http"},
	}
}

// There is no Consul to be had here: this is against a stand-in, see fake.
func TestConformance(t *testing.T) {
	matrix.Backend(t, "lock", Type)
	f := newFake(t)
	locktest.Run(t, locktest.Options{New: backend().Maker(f.addr(), nil)})
}

func TestHistoryWithFaults(t *testing.T) {
	f := newFake(t)
	link := testserver.NewLink(t, f.addr())
	lockers := []lock.Locker{backend().Open(t, f.addr(), nil), backend().Open(t, link.Addr, nil)}
	_, _ = locktest.History(t, lockers, locktest.HistoryOptions{
		Timeout: 150 * time.Millisecond, Calls: 50,
		Faults: func(done <-chan struct{}) {
			testserver.Rounds(done, 50*time.Millisecond, link.Hold, link.Mend, link.Cut, link.Mend)
		},
	})
}

// A hundred locks need no more than one goroutine, and no session is left behind.
func TestManyLocks(t *testing.T) {
	f := newFake(t)
	l := backend().Open(t, f.addr(), nil)
	for i := range 100 {
		if g, err := l.TryLock(t.Context(), fmt.Sprint(i), "me", time.Hour); err != nil || g == nil {
			t.Fatal(g, err)
		}
		if g, err := l.TryLock(t.Context(), fmt.Sprint(i), "other", time.Hour); err != nil || g != nil {
			t.Fatal(g, err)
		}
	}
	for i := range 100 {
		if i%2 == 0 {
			if status, err := l.Renew(t.Context(), fmt.Sprint(i), "me", 100*time.Millisecond); err != nil || status != lock.Done {
				t.Fatal(status, err)
			}
		} else if status, err := l.Unlock(t.Context(), fmt.Sprint(i), "me"); err != nil || status != lock.Done {
			t.Fatal(status, err)
		}
	}
	testserver.Eventually(t, testserver.Patience, func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.keys)+len(f.sessions) > 0 {
			return fmt.Errorf("%d keys and %d sessions are left", len(f.keys), len(f.sessions))
		}
		return nil
	})
	testserver.Eventually(t, testserver.Patience, func() error {
		l.endings.mu.Lock()
		defer l.endings.mu.Unlock()
		if l.endings.running || len(l.endings.locks) > 0 {
			return errors.New("the goroutine still runs")
		}
		return nil
	})
}

// When the process is gone, Consul ends the lock; while another renews it, the one
// that took it leaves it alone.
func TestOtherProcess(t *testing.T) {
	f := newFake(t)
	f.hasty = true
	first, second := backend().Open(t, f.addr(), nil), backend().Open(t, f.addr(), nil)
	take := func(r string) {
		t.Helper()
		if g, err := first.TryLock(t.Context(), r, "me", 200*time.Millisecond); err != nil || g == nil {
			t.Fatal(g, err)
		}
	}
	var renewed string
	testserver.OnceOf(t, func(try int) error { // on a machine that stands still it may be over before
		renewed = fmt.Sprint("renewed ", try)
		take(renewed)
		if status, err := second.Renew(t.Context(), renewed, "me", 10*time.Minute); err != nil || status != lock.Done {
			return errors.Join(errors.New(status.String()), err)
		}
		return nil
	})
	take("left")
	testserver.Eventually(t, testserver.Patience, func() error {
		if g, err := second.TryLock(t.Context(), "left", "other", time.Minute); err != nil || g == nil {
			return fmt.Errorf("still held: %w", err)
		}
		return nil
	})
	if g, err := second.TryLock(t.Context(), renewed, "other", time.Minute); err != nil || g != nil {
		t.Errorf("the process that took it has ended what another renewed: %v, %v", g, err)
	}
	if g, err := first.TryLock(t.Context(), "orphan", "me", time.Second); err != nil || g == nil {
		t.Fatal(g, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	testserver.Eventually(t, testserver.Patience, func() error {
		if g, err := second.TryLock(t.Context(), "orphan", "other", time.Minute); err != nil || g == nil {
			return fmt.Errorf("still held: %w", err)
		}
		return nil
	})
	if d := time.Since(began); d < time.Second {
		t.Errorf("it was over after %s", d)
	}
}

func TestFaults(t *testing.T) {
	f := newFake(t)
	f.token = "sesame"
	if _, err := backend().Try(t.Context(), f.addr(), map[string]any{"aclToken": "wrong-one"}); err == nil || !strings.Contains(err.Error(), "check aclToken") || strings.Contains(err.Error(), "wrong-one") {
		t.Errorf("a wrong token: %v", err)
	}
	link := testserver.NewLink(t, f.addr())
	l := backend().Open(t, link.Addr, map[string]any{"aclToken": "sesame", "username": "me", "password": "pass"})
	link.Hold()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.TryLock(ctx, "r", "a", time.Minute); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hanging: %v", err)
	}
	link.Cut()
	if _, err := l.Unlock(t.Context(), "r", "a"); err == nil || !strings.Contains(err.Error(), link.Addr) {
		t.Errorf("down: %v", err)
	}
	if err := l.Check(t.Context()); err == nil {
		t.Error("Check finds nothing wrong")
	}
	if _, err := backend().Try(t.Context(), link.Addr, nil); err == nil || !strings.Contains(err.Error(), "cannot connect") {
		t.Errorf("down at the start: %v", err)
	}
	link.Mend()
	if g, err := l.TryLock(t.Context(), "q", "a", time.Minute); err != nil || g == nil {
		t.Errorf("up again: %v, %v", g, err)
	}
	f.mu.Lock()
	f.leader = ""
	f.mu.Unlock()
	if err := l.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "leader") {
		t.Errorf("without a leader: %v", err)
	}
	if _, err := l.TryLock(t.Context(), "r", "a", 25*time.Hour); !errors.Is(err, lock.ErrInvalid) {
		t.Errorf("for too long: %v", err)
	}
	if _, err := backend().Try(t.Context(), "", nil); err == nil || !strings.Contains(err.Error(), "lock.test.metadata.address") {
		t.Errorf("without an address: %v", err)
	}
}
