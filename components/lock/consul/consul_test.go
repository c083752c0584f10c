package consul

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/components/lock/locktest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func tryNew(ctx context.Context, addr string, more map[string]any) (*Locker, error) {
	metadata := map[string]any{"address": addr, "scheme": "http"}
	for k, v := range more {
		metadata[k] = v
	}
	l, err := New(ctx, components.Env{}, components.Config{Name: "test", Type: Type, Path: "lock.test", Metadata: metadata})
	if err != nil {
		return nil, err
	}
	return l.(*Locker), nil
}

func newLocker(t *testing.T, addr string) *Locker {
	t.Helper()
	l, err := tryNew(t.Context(), addr, nil)
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

// There is no Consul to be had here: this is against a stand-in, see fake.
func TestConformance(t *testing.T) {
	matrix.Backend(t, "lock", Type)
	f := newFake(t)
	locktest.Run(t, locktest.Options{New: func(t *testing.T) lock.Locker {
		l, err := tryNew(t.Context(), f.addr(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}})
}

func TestHistoryWithFaults(t *testing.T) {
	f := newFake(t)
	link := testserver.NewLink(t, f.addr())
	lockers := []lock.Locker{newLocker(t, f.addr()), newLocker(t, link.Addr)}
	_, _ = locktest.History(t, lockers, locktest.HistoryOptions{
		Timeout: 150 * time.Millisecond, Calls: 50,
		Faults: func(done <-chan struct{}) {
			for {
				for _, step := range []func(){link.Hold, link.Mend, link.Cut, link.Mend} {
					step()
					select {
					case <-done:
						return
					case <-time.After(50 * time.Millisecond):
					}
				}
			}
		},
	})
}

// A hundred locks need no more than one goroutine, and no session is left behind.
func TestManyLocks(t *testing.T) {
	f := newFake(t)
	l := newLocker(t, f.addr())
	for i := range 100 {
		if g, err := l.TryLock(t.Context(), fmt.Sprint(i), "me", time.Minute); err != nil || g == nil {
			t.Fatal(g, err)
		}
		if g, err := l.TryLock(t.Context(), fmt.Sprint(i), "other", time.Minute); err != nil || g != nil {
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
	eventually(t, func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.keys)+len(f.sessions) > 0 {
			return fmt.Errorf("%d keys and %d sessions are left", len(f.keys), len(f.sessions))
		}
		return nil
	})
	eventually(t, func() error {
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
	first, second := newLocker(t, f.addr()), newLocker(t, f.addr())
	for _, r := range []string{"renewed", "left"} {
		if g, err := first.TryLock(t.Context(), r, "me", 200*time.Millisecond); err != nil || g == nil {
			t.Fatal(g, err)
		}
	}
	if status, err := second.Renew(t.Context(), "renewed", "me", time.Minute); err != nil || status != lock.Done {
		t.Fatal(status, err)
	}
	eventually(t, func() error {
		if g, err := second.TryLock(t.Context(), "left", "other", time.Minute); err != nil || g == nil {
			return fmt.Errorf("still held: %w", err)
		}
		return nil
	})
	if g, err := second.TryLock(t.Context(), "renewed", "other", time.Minute); err != nil || g != nil {
		t.Errorf("the process that took it has ended what another renewed: %v, %v", g, err)
	}
	if g, err := first.TryLock(t.Context(), "orphan", "me", time.Second); err != nil || g == nil {
		t.Fatal(g, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	eventually(t, func() error {
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
	if _, err := tryNew(t.Context(), f.addr(), map[string]any{"aclToken": "wrong-one"}); err == nil || !strings.Contains(err.Error(), "check aclToken") || strings.Contains(err.Error(), "wrong-one") {
		t.Errorf("a wrong token: %v", err)
	}
	link := testserver.NewLink(t, f.addr())
	l, err := tryNew(t.Context(), link.Addr, map[string]any{"aclToken": "sesame", "username": "me", "password": "pass"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
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
	if _, err := tryNew(t.Context(), link.Addr, nil); err == nil || !strings.Contains(err.Error(), "cannot connect") {
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
	if _, err := tryNew(t.Context(), "", nil); err == nil || !strings.Contains(err.Error(), "lock.test.metadata.address") {
		t.Errorf("without an address: %v", err)
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
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}
