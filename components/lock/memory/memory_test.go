package memory

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/components/lock/locktest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newLocker(tb testing.TB) *Locker {
	tb.Helper()
	l, err := New(tb.Context(), components.Env{}, components.Config{Name: "test", Type: Type, Path: "lock.test"})
	if err != nil {
		tb.Fatal(err)
	}
	return l.(*Locker)
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "lock", Type)
	locktest.Run(t, locktest.Options{
		New: func(t *testing.T) lock.Locker { return newLocker(t) }, Single: true, FakeTime: true,
	})
}

// What has expired costs no memory once somebody calls, and needs no goroutine.
func TestExpiredIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocker(t)
		for i := range 1000 {
			if _, err := l.TryLock(t.Context(), fmt.Sprint(i), "a", time.Duration(i+1)*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(500 * time.Second)
		if _, err := l.Unlock(t.Context(), "none", "a"); err != nil {
			t.Fatal(err)
		}
		if len(l.held) != 500 || len(l.ends) != 500 {
			t.Errorf("%d locks and %d ends, want 500", len(l.held), len(l.ends))
		}
		for i := range 1000 {
			status, err := l.Renew(t.Context(), fmt.Sprint(i), "a", time.Hour)
			if want := map[bool]lock.Status{true: lock.NotLocked, false: lock.Done}[i < 500]; err != nil || status != want {
				t.Fatalf("%d: %v, %v", i, status, err)
			}
		}
	})
}

func BenchmarkTryUnlock(b *testing.B) {
	l := newLocker(b)
	for b.Loop() {
		if g, err := l.TryLock(b.Context(), "r", "a", time.Minute); err != nil || g == nil {
			b.Fatal(g, err)
		}
		if _, err := l.Unlock(b.Context(), "r", "a"); err != nil {
			b.Fatal(err)
		}
	}
}
