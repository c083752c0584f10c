package locktest

import (
	"errors"
	"fmt"
	"time"

	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// awaitFree waits until owner gets the resource, which is not before the end of
// expire, counted from the call that set it, which began at since and had returned at
// until. An error says that it was later than Late.
func (s *suite) awaitFree(resource, owner string, expire time.Duration, since, until time.Time) error {
	s.Helper()
	for {
		began := time.Now()
		got := s.try(resource, owner, long) != nil
		ended := time.Now()
		if got {
			if ended.Before(since.Add(expire)) {
				s.Fatalf("the lock was over after %s, %s too early", ended.Sub(since), since.Add(expire).Sub(ended))
			}
			return nil
		}
		if began.After(until.Add(expire + s.opts.Late)) {
			return fmt.Errorf("the lock is held %s after it was to expire, more than %s", began.Sub(until.Add(expire)), s.opts.Late)
		}
		step := max(s.opts.Late/50, time.Nanosecond)
		s.wait(max(step, min(time.Until(since.Add(expire))-step, s.opts.Expire/4)))
	}
}

// onceOf is testserver.OnceOf, each time with a resource of its own.
func (s *suite) onceOf(step func(resource string) error) {
	s.Helper()
	testserver.OnceOf(s, func(try int) error { return step(s.resource(fmt.Sprint("try ", try))) })
}

// late is an error of a lock that had not expired when its time and Late were over.
func late(what string, status lock.Status) error {
	return fmt.Errorf("%s of what is to be over: %s", what, status)
}

func testExpires(s *suite) {
	for _, expire := range []time.Duration{s.opts.Expire, s.opts.Expire * 3 / 2} {
		s.onceOf(func(r string) error {
			r += expire.String()
			since := time.Now()
			s.wantGot(r, "a", expire)
			if err := s.awaitFree(r, "b", expire, since, time.Now()); err != nil {
				return err
			}
			s.unlock(r, "a", lock.NotTheOwner)
			s.unlock(r, "b", lock.Done)
			return nil
		})
	}
}

// Whoever held the lock until it expired has no rights in it any more, whether
// somebody else has taken it or not.
func testExpiredOwner(s *suite) {
	s.onceOf(func(r string) error {
		s.wantGot(r, "a", s.opts.Expire)
		s.wait(s.opts.Expire + s.opts.Late)
		if status, err := s.locker.Unlock(s.ctx, r, "a"); err != nil || status != lock.NotLocked {
			return errors.Join(late("Unlock", status), err)
		}
		s.wantGot(r, "a", s.opts.Expire)
		s.wait(s.opts.Expire + s.opts.Late)
		if s.try(r, "b", long) == nil {
			return late("TryLock", lock.NotTheOwner)
		}
		s.unlock(r, "a", lock.NotTheOwner)
		s.wantHeld(r, "a")
		s.unlock(r, "b", lock.Done)
		return nil
	})
}

func testRenewExtends(s *suite) {
	if s.opts.NoRenew {
		s.Skip("SKIP: Renew is not supported")
	}
	for expire := s.opts.Expire; !renewExtends(s, s.resource(expire.String()), expire); expire *= 2 {
		if expire > 30*time.Second {
			s.Fatalf("the machine is too slow to renew a lock within %s", expire)
		}
	}
}

// renewExtends returns false when the machine was so slow that the lock was free to
// expire before it was renewed, or expired late.
func renewExtends(s *suite, r string, expire time.Duration) bool {
	s.Helper()
	since := time.Now()
	s.wantGot(r, "a", expire)
	for range 4 {
		s.wait(expire / 2)
		began := time.Now()
		status, err := s.locker.Renew(s.ctx, r, "a", expire)
		switch {
		case time.Since(since) >= expire:
			return false
		case err != nil || status != lock.Done:
			s.Fatalf("Renew(%q, \"a\"): %v, %v, want %v", r, status, err, lock.Done)
		}
		since = began
		got := s.try(r, "b", long) != nil
		switch {
		case time.Since(since) >= expire:
			return false
		case got:
			s.Fatalf("\"b\" got %q, which should be held", r)
		}
	}
	if err := s.awaitFree(r, "b", expire, since, time.Now()); err != nil {
		s.Logf("with a lock for %s: %v", expire, err)
		return false
	}
	s.unlock(r, "b", lock.Done)
	return true
}

func testRenewShortens(s *suite) {
	if s.opts.NoRenew {
		s.Skip("SKIP: Renew is not supported")
	}
	s.onceOf(func(r string) error {
		s.wantGot(r, "a", long)
		since := time.Now()
		s.renew(r, "a", s.opts.Expire, lock.Done)
		if err := s.awaitFree(r, "b", s.opts.Expire, since, time.Now()); err != nil {
			return err
		}
		s.unlock(r, "b", lock.Done)
		return nil
	})
}

func testRenewAfterExpiry(s *suite) {
	if s.opts.NoRenew {
		s.Skip("SKIP: Renew is not supported")
	}
	s.onceOf(func(r string) error {
		s.wantGot(r, "a", s.opts.Expire)
		s.wait(s.opts.Expire + s.opts.Late)
		if status, err := s.locker.Renew(s.ctx, r, "a", long); err != nil || status != lock.NotLocked {
			return errors.Join(late("Renew", status), err)
		}
		s.wantGot(r, "b", long)
		s.renew(r, "a", long, lock.NotTheOwner)
		s.unlock(r, "b", lock.Done)
		return nil
	})
}
