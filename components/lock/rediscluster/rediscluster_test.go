package rediscluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/go-redis/redis/v8"
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
		Address: "redisHosts",
	}
}

func servers(t *testing.T, n int) (all []*testserver.RedisServer, hosts string) {
	t.Helper()
	var addrs []string
	for range n {
		s := testserver.Redis(t)
		all, addrs = append(all, s), append(addrs, s.Addr)
	}
	return all, strings.Join(addrs, ",")
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "lock", Type)
	_, hosts := servers(t, 3)
	locktest.Run(t, locktest.Options{Spurious: true, Expire: time.Second, Late: 500 * time.Millisecond, New: backend().Maker(hosts, nil)})
}

// With one of three servers away, whichever, everything works, and what a client is
// told is what is so.
func TestMinorityAway(t *testing.T) {
	all, hosts := servers(t, 3)
	l := backend().Open(t, hosts, nil)
	ctx := t.Context()
	for i, s := range all {
		for how, fault := range map[string][2]func(){"down": {s.Stop, s.Start}, "hanging": {s.Pause, s.Resume}} {
			// What a server that hung does once it is back may be in the way for a while.
			r := fmt.Sprint(i, how)
			fault[0]()
			began := time.Now()
			if g, err := l.TryLock(ctx, r, "a", time.Hour); err != nil || g == nil || g.Token == 0 {
				t.Errorf("server %d %s: TryLock: %v, %v", i, how, g, err)
			}
			if g, err := l.TryLock(ctx, r, "b", time.Hour); err != nil || g != nil {
				t.Errorf("server %d %s: TryLock by another: %v, %v", i, how, g, err)
			}
			if status, err := l.Unlock(ctx, r, "b"); err != nil || status != lock.NotTheOwner {
				t.Errorf("server %d %s: Unlock by another: %v, %v", i, how, status, err)
			}
			if status, err := l.Renew(ctx, r, "a", time.Hour); err != nil || status != lock.Done {
				t.Errorf("server %d %s: Renew: %v, %v", i, how, status, err)
			}
			if err := l.Check(ctx); err != nil {
				t.Errorf("server %d %s: Check: %v", i, how, err)
			}
			if status, err := l.Unlock(ctx, r, "a"); err != nil || status != lock.Done {
				t.Errorf("server %d %s: Unlock: %v, %v", i, how, status, err)
			}
			if d := time.Since(began); d > time.Minute {
				t.Errorf("server %d %s: it took %s", i, how, d)
			}
			fault[1]()
			testserver.Eventually(t, testserver.Patience, func() error { return l.nodes[i].Check(t.Context()) })
		}
	}
}

func TestMajorityAway(t *testing.T) {
	all, hosts := servers(t, 3)
	l := backend().Open(t, hosts, nil)
	ctx := t.Context()
	all[0].Stop()
	all[2].Stop()
	for range 2 {
		g, err := l.TryLock(ctx, "r", "a", time.Minute)
		if g != nil || err == nil || !strings.Contains(err.Error(), "1 of 3 servers answered, and 2 are needed") || !strings.Contains(err.Error(), all[0].Addr) {
			t.Errorf("TryLock: %v, %v", g, err)
		}
	}
	if _, err := l.Unlock(ctx, "r", "a"); err == nil {
		t.Error("Unlock: no error")
	}
	if err := l.Check(ctx); err == nil {
		t.Error("Check: no error")
	}
	if got := all[1].Command("EXISTS", "r"); got != ":0" {
		t.Errorf("what was taken in vain was not given back: %s", got)
	}
	if _, err := backend().Try(ctx, hosts, nil); err == nil || !strings.Contains(err.Error(), "cannot connect") {
		t.Errorf("at the start: %v", err)
	}
	all[0].Start()
	testserver.Eventually(t, testserver.Patience, func() error {
		g, err := l.TryLock(ctx, "r", "a", time.Minute)
		if err == nil && g == nil {
			err = errors.New("refused")
		}
		return err
	})
}

// Tokens grow whichever servers make up the majority.
func TestTokensOverMajorities(t *testing.T) {
	all, hosts := servers(t, 3)
	l := backend().Open(t, hosts, nil)
	last := uint64(0)
	for i := range 9 {
		s := all[i%3]
		s.Pause()
		g, err := l.TryLock(t.Context(), "r", "a", time.Hour)
		if err != nil || g == nil || g.Token <= last {
			t.Fatalf("%v, %v, after %d", g, err, last)
		}
		last = g.Token
		if status, err := l.Unlock(t.Context(), "r", "a"); err != nil || status != lock.Done {
			t.Fatal(status, err)
		}
		s.Resume()
		testserver.Eventually(t, testserver.Patience, func() error { return l.nodes[i%3].Check(t.Context()) })
		// What the server had held back it may have done just now.
		if err := l.nodes[i%3].Do(t.Context(), true, func(ctx context.Context, r goredis.UniversalClient) error { return r.Del(ctx, "r").Err() }); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHistoryWithFaults(t *testing.T) {
	all, hosts := servers(t, 3)
	link := testserver.NewLink(t, all[2].Addr)
	lockers := []lock.Locker{backend().Open(t, hosts, nil), backend().Open(t, strings.Join([]string{all[0].Addr, all[1].Addr, link.Addr}, ","), nil)}
	_, _ = locktest.History(t, lockers, locktest.HistoryOptions{
		Expire: 200 * time.Millisecond, Timeout: 400 * time.Millisecond, Calls: 40, Spurious: true,
		Faults: func(done <-chan struct{}) {
			testserver.Rounds(done, 60*time.Millisecond, all[0].Pause, all[0].Resume, all[1].Pause, all[1].Resume, link.Hold, link.Mend, link.Cut, link.Mend)
		},
	})
}

func TestConcurrencyAndDeadline(t *testing.T) {
	all, hosts := servers(t, 3)
	l := backend().Open(t, hosts, map[string]any{"concurrency": "1"})
	if g, err := l.TryLock(t.Context(), "r", "a", time.Hour); err != nil || g == nil {
		t.Errorf("%v, %v", g, err)
	}
	all[0].Pause()
	all[1].Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.TryLock(ctx, "q", "a", time.Hour); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a deadline: %v", err)
	}
	all[0].Resume()
	all[1].Resume()
	if _, err := backend().Try(t.Context(), " , ", nil); err == nil || !strings.Contains(err.Error(), "lock.test.metadata.redisHosts") {
		t.Errorf("without hosts: %v", err)
	}
}

func TestStatus(t *testing.T) {
	yes, none := reply{code: done}, reply{code: free}
	b, c, down := reply{code: others, text: "b"}, reply{code: others, text: "c"}, reply{err: errors.New("down")}
	l := &Locker{quorum: 2}
	for _, tt := range []struct {
		replies []reply
		want    lock.Status
		unknown bool
	}{
		{[]reply{yes, yes, none}, lock.Done, false},
		{[]reply{yes, yes, down}, lock.Done, false},
		{[]reply{yes, none, none}, lock.NotLocked, false}, // what is left of a try that failed
		{[]reply{b, b, down}, lock.NotTheOwner, false},
		{[]reply{b, c, yes}, lock.NotLocked, false}, // nobody has a majority
		{[]reply{none, none, down}, lock.NotLocked, false},
		{[]reply{yes, none, down}, 0, true},
		{[]reply{b, none, down}, 0, true},
		{[]reply{b, yes, down}, 0, true},
		{[]reply{yes, down, down}, 0, true},
	} {
		status, err := l.status(t.Context(), tt.replies)
		if (err != nil) != tt.unknown || err == nil && status != tt.want {
			t.Errorf("%v: %v, %v, want %v", tt.replies, status, err, tt.want)
		}
	}
}

// What a slow server is still to do for an owner's last lock cannot meet its next
// one: that waits. Other owners do not.
func TestSlowServerMeetsNoLaterLock(t *testing.T) {
	all, hosts := servers(t, 3)
	l := backend().Open(t, hosts, nil)
	take := func(within time.Duration, owner string) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		g, err := l.TryLock(ctx, "r", owner, time.Hour)
		if err == nil && g == nil {
			return errors.New("somebody holds it")
		}
		return err
	}
	if err := take(testserver.Patience, "a"); err != nil {
		t.Fatal(err)
	}
	all[2].Pause()
	if status, err := l.Unlock(t.Context(), "r", "a"); err != nil || status != lock.Done {
		t.Fatal(status, err)
	}
	if err := take(100*time.Millisecond, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the owner, while a server has not unlocked yet: %v", err)
	}
	if err := take(testserver.Patience, "b"); err != nil {
		t.Errorf("another owner: %v", err)
	}
	all[2].Resume()
	if status, err := l.Unlock(t.Context(), "r", "b"); err != nil || status != lock.Done {
		t.Fatal(status, err)
	}
	if err := take(testserver.Patience, "a"); err != nil {
		t.Errorf("the owner, when the server is back: %v", err)
	}
}
