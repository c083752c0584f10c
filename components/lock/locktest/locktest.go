package locktest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/ottavo-runtime/ottavo/components/lock"
)

// Options say what to test.
type Options struct {
	// New makes a locker. It is called once or more per test; all that one test
	// makes see the same locks, unless Single. Every test uses resources of its
	// own. The suite closes the locker.
	New func(t *testing.T) lock.Locker
	// Single says that every locker has locks of its own.
	Single bool
	// FakeTime runs the tests of expiry in a testing/synctest bubble: exact and
	// instant. New is called inside the bubble then.
	FakeTime bool
	// Expire is the shortest expiry that the backend takes exactly; 0 is 300 ms.
	Expire time.Duration
	// Late is how much longer than asked a lock may be held; 0 is 200 ms.
	Late time.Duration
	// NoRenew says that Renew is not supported.
	NoRenew bool
	// TextOnly says that owners and resources are texts in UTF-8, as those of the
	// API are.
	TextOnly bool
	// Spurious is for History: see HistoryOptions. A call that fails is made again, as
	// the servers have only a part of a lock's time to answer.
	Spurious bool
	// NoToken says that grants have no token.
	NoToken bool
}

// Run tests the lockers that o makes.
func Run(t *testing.T, o Options) {
	t.Helper()
	if o.Expire == 0 {
		o.Expire = 300 * time.Millisecond
	}
	if o.Late == 0 {
		o.Late = 200 * time.Millisecond
	}
	for _, tt := range []struct {
		name string
		fn   func(*suite)
	}{
		{"TryUnlock", testTryUnlock},
		{"NotReentrant", testNotReentrant},
		{"Owners", testOwners},
		{"Resources", testResources},
		{"InvalidRequests", testInvalid},
		{"CancelledContext", testCancelled},
		{"Closed", testClosed},
		{"Tokens", testTokens},
		{"Shared", testShared},
		{"RenewStatus", testRenewStatus},
		{"OneWinner", testOneWinner},
		{"MutualExclusion", testMutualExclusion},
		{"NobodyStarves", testNobodyStarves},
		{"History", testHistory},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.fn(newSuite(t, o)) })
	}
	for _, tt := range []struct {
		name string
		fn   func(*suite)
	}{
		{"Expires", testExpires},
		{"ExpiredOwner", testExpiredOwner},
		{"RenewExtends", testRenewExtends},
		{"RenewShortens", testRenewShortens},
		{"RenewAfterExpiry", testRenewAfterExpiry},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if o.FakeTime {
				o := o
				o.Late = time.Nanosecond
				synctest.Test(t, func(t *testing.T) { tt.fn(newSuite(t, o)) })
				return
			}
			t.Parallel()
			tt.fn(newSuite(t, o))
		})
	}
}

// suite is one test's surroundings.
type suite struct {
	*testing.T
	ctx    context.Context
	locker lock.Locker
	opts   Options
	prefix string
}

// long is an expiry that no test sees the end of.
const long = time.Hour

func newSuite(t *testing.T, o Options) *suite {
	t.Helper()
	s := &suite{T: t, ctx: t.Context(), opts: o, prefix: rand.Text() + "/"}
	s.locker = s.another()
	return s
}

// another makes a locker that is closed at the end of the test.
func (s *suite) another() lock.Locker {
	s.Helper()
	l := s.opts.New(s.T)
	s.Cleanup(func() {
		if err := l.Close(); err != nil {
			s.Errorf("Close: %v", err)
		}
	})
	return l
}

// resource returns a name that only this test uses.
func (s *suite) resource(name string) string { return s.prefix + name }

// try returns whether owner got the resource.
func (s *suite) try(resource, owner string, expire time.Duration) *lock.Grant {
	s.Helper()
	return s.tryOn(s.locker, resource, owner, expire)
}

func (s *suite) tryOn(l lock.Locker, resource, owner string, expire time.Duration) *lock.Grant {
	s.Helper()
	g, err := l.TryLock(s.ctx, resource, owner, expire)
	for try := 1; err != nil && s.opts.Spurious && try < 5; try++ { // each server has a part of the time only
		s.Logf("TryLock(%q, %q): %v", resource, owner, err)
		g, err = l.TryLock(s.ctx, resource, owner, expire)
	}
	if err != nil {
		s.Fatalf("TryLock(%q, %q): %v", resource, owner, err)
	}
	return g
}

func (s *suite) wantGot(resource, owner string, expire time.Duration) {
	s.Helper()
	if s.try(resource, owner, expire) == nil {
		s.Fatalf("%q did not get %q, which should be free", owner, resource)
	}
}

func (s *suite) wantHeld(resource, owner string) {
	s.Helper()
	if s.try(resource, owner, long) != nil {
		s.Fatalf("%q got %q, which should be held", owner, resource)
	}
}

func (s *suite) unlock(resource, owner string, want lock.Status) {
	s.Helper()
	if got, err := s.locker.Unlock(s.ctx, resource, owner); err != nil || got != want {
		s.Fatalf("Unlock(%q, %q): %v, %v, want %v", resource, owner, got, err, want)
	}
}

func (s *suite) renew(resource, owner string, expire time.Duration, want lock.Status) {
	s.Helper()
	if got, err := s.locker.Renew(s.ctx, resource, owner, expire); err != nil || got != want {
		s.Fatalf("Renew(%q, %q): %v, %v, want %v", resource, owner, got, err, want)
	}
}

// wait lets time pass; in a bubble no real one.
func (s *suite) wait(d time.Duration) {
	s.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
		s.Fatal("the test ended while it waited")
	}
}

// every calls all methods and hands each error over.
func (s *suite) every(ctx context.Context, resource, owner string, expire time.Duration, got func(call string, err error)) {
	_, err := s.locker.TryLock(ctx, resource, owner, expire)
	got("TryLock", err)
	_, err = s.locker.Renew(ctx, resource, owner, expire)
	if !s.opts.NoRenew {
		got("Renew", err)
	}
	_, err = s.locker.Unlock(ctx, resource, owner)
	got("Unlock", err)
}

func testTryUnlock(s *suite) {
	r := s.resource("r")
	s.unlock(r, "a", lock.NotLocked)
	for range 3 {
		s.wantGot(r, "a", long)
		s.wantHeld(r, "b")
		s.unlock(r, "a", lock.Done)
		s.unlock(r, "a", lock.NotLocked)
		s.wantGot(r, "b", long)
		s.unlock(r, "b", lock.Done)
	}
}

func testNotReentrant(s *suite) {
	r := s.resource("r")
	s.wantGot(r, "a", long)
	s.wantHeld(r, "a")
	s.unlock(r, "a", lock.Done)
	s.unlock(r, "a", lock.NotLocked)
}

func testOwners(s *suite) {
	owners := []string{"a", "A", "a ", "", "日本語", "a\x00b", "a\x00", "\xff\xfe", "%s", "*", "a\nb", `{"owner":"a"}`, "1", strings.Repeat("o", 1000)}
	for i, owner := range owners {
		if owner == "" || s.opts.TextOnly && !utf8.ValidString(owner) {
			continue
		}
		r := s.resource(fmt.Sprint(i))
		s.wantGot(r, owner, long)
		for _, other := range owners {
			if other != "" && other != owner && (!s.opts.TextOnly || utf8.ValidString(other)) {
				s.unlock(r, other, lock.NotTheOwner)
			}
		}
		s.unlock(r, owner, lock.Done)
	}
}

func testResources(s *suite) {
	names := []string{
		"a", "A", "a||b", "lock|||app||a", "a:b", "a/b", "a/b/", "a/../b", "/x", "..", ".", " ", "{tag}x", "日本語🗝", "é", "%2F", "%252F", "%s%d", "*", "?#&", "a'b\"c`", strings.Repeat("k", 700),
	}
	for _, n := range names {
		s.wantGot(s.resource(n), "owner of "+n, long)
	}
	for _, n := range names {
		s.wantHeld(s.resource(n), "another")
	}
	for _, n := range names {
		s.unlock(s.resource(n), "owner of "+n, lock.Done)
	}
	s.wantGot(s.prefix, "a", long)
	s.unlock(s.prefix, "a", lock.Done)
}

func testInvalid(s *suite) {
	for _, tt := range []struct {
		resource, owner string
		expire          time.Duration
	}{{"", "a", long}, {s.resource("r"), "", long}} {
		s.every(s.ctx, tt.resource, tt.owner, tt.expire, func(call string, err error) {
			if !errors.Is(err, lock.ErrInvalid) {
				s.Errorf("%s of %+v: error %v, want ErrInvalid", call, tt, err)
			}
		})
	}
	for _, expire := range []time.Duration{0, -time.Second, time.Microsecond} {
		if _, err := s.locker.TryLock(s.ctx, s.resource("r"), "a", expire); !errors.Is(err, lock.ErrInvalid) {
			s.Errorf("TryLock for %s: error %v, want ErrInvalid", expire, err)
		}
		if _, err := s.locker.Renew(s.ctx, s.resource("r"), "a", expire); !s.opts.NoRenew && !errors.Is(err, lock.ErrInvalid) {
			s.Errorf("Renew for %s: error %v, want ErrInvalid", expire, err)
		}
	}
	s.unlock(s.resource("r"), "a", lock.NotLocked)
}

func testCancelled(s *suite) {
	r := s.resource("r")
	s.wantGot(r, "a", long)
	cancelled, cancel := context.WithCancel(s.ctx)
	cancel()
	late, cancelLate := context.WithTimeout(s.ctx, 0)
	defer cancelLate()
	for _, tt := range []struct {
		ctx  context.Context
		want error
	}{{cancelled, context.Canceled}, {late, context.DeadlineExceeded}} {
		s.every(tt.ctx, r, "a", long, func(call string, err error) {
			if !errors.Is(err, tt.want) {
				s.Errorf("%s: error %v, want %v", call, err, tt.want)
			}
		})
		s.every(tt.ctx, s.resource("other"), "a", long, func(string, error) {})
	}
	s.wantHeld(r, "b")
	s.unlock(r, "a", lock.Done)
	s.wantGot(s.resource("other"), "b", long)
	s.unlock(s.resource("other"), "b", lock.Done)
}

func testClosed(s *suite) {
	r := s.resource("r")
	s.wantGot(r, "a", long)
	other := s.another()
	for range 2 {
		if err := s.locker.Close(); err != nil {
			s.Fatalf("Close: %v", err)
		}
		s.every(s.ctx, r, "a", long, func(call string, err error) {
			if !errors.Is(err, lock.ErrClosed) {
				s.Errorf("%s after Close: error %v, want ErrClosed", call, err)
			}
		})
	}
	if !s.opts.Single {
		s.locker = other
		s.wantHeld(r, "b")
		s.unlock(r, "a", lock.Done)
	}
}

func testTokens(s *suite) {
	if s.opts.NoToken {
		s.Skip("SKIP: the backend has no tokens")
	}
	r, last := s.resource("r"), uint64(0)
	lockers := []lock.Locker{s.locker}
	if !s.opts.Single {
		lockers = append(lockers, s.another())
	}
	for i := range 30 {
		owner := fmt.Sprint(i)
		g := s.tryOn(lockers[i%len(lockers)], r, owner, long)
		if g == nil || g.Token <= last {
			s.Fatalf("grant %d: %+v after token %d", i, g, last)
		}
		last = g.Token
		if i%3 == 0 && !s.opts.NoRenew {
			s.renew(r, owner, long, lock.Done)
		}
		s.unlock(r, owner, lock.Done)
	}
}

func testShared(s *suite) {
	if s.opts.Single {
		s.Skip("SKIP: every locker has locks of its own")
	}
	r, other := s.resource("r"), s.another()
	s.wantGot(r, "a", long)
	if s.tryOn(other, r, "b", long) != nil {
		s.Fatal("two lockers granted the same resource")
	}
	if !s.opts.NoRenew {
		if status, err := other.Renew(s.ctx, r, "a", long); err != nil || status != lock.Done {
			s.Fatalf("Renew through another locker: %v, %v", status, err)
		}
	}
	if status, err := other.Unlock(s.ctx, r, "b"); err != nil || status != lock.NotTheOwner {
		s.Fatalf("Unlock through another locker: %v, %v", status, err)
	}
	if status, err := other.Unlock(s.ctx, r, "a"); err != nil || status != lock.Done {
		s.Fatalf("Unlock through another locker: %v, %v", status, err)
	}
	if s.tryOn(other, r, "b", long) == nil {
		s.Fatal("the other locker does not get what is free")
	}
	s.wantHeld(r, "a")
	s.unlock(r, "b", lock.Done)
}

func testRenewStatus(s *suite) {
	r := s.resource("r")
	if s.opts.NoRenew {
		if _, err := s.locker.Renew(s.ctx, r, "a", long); !errors.Is(err, lock.ErrNotSupported) {
			s.Errorf("Renew: %v, want ErrNotSupported", err)
		}
		return
	}
	s.renew(r, "a", long, lock.NotLocked)
	s.wantGot(r, "a", long)
	s.renew(r, "b", long, lock.NotTheOwner)
	for range 3 {
		s.renew(r, "a", long, lock.Done)
		s.wantHeld(r, "b")
	}
	s.unlock(r, "a", lock.Done)
	s.renew(r, "a", long, lock.NotLocked)
	s.wantGot(r, "b", long)
	s.unlock(r, "b", lock.Done)
}
