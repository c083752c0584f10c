package zookeeper

import (
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// lookedAt has a locker remember a clock that is an hour ahead, of another leader than
// the real one: of an earlier one (-1), or a later one (+1).
func lookedAt(t *testing.T, l *Locker, leader int64) {
	t.Helper()
	if _, _, err := l.clock.look(l.conn(), 0); err != nil {
		t.Fatal(err)
	}
	l.clock.mu.Lock()
	defer l.clock.mu.Unlock()
	l.clock.leader, l.clock.epoch, l.clock.seen = l.clock.leader.Add(time.Hour), l.clock.epoch+leader, time.Now()
}

// TestLeaders has locks looked at with the clock of another leader than the one under
// which they were taken: that takes them from nobody.
func TestLeaders(t *testing.T) {
	server := testserver.ZooKeeper(t)
	mine, other := backend().Open(t, server.Addr, nil), backend().Open(t, server.Addr, nil)
	t.Run("earlier", func(t *testing.T) { testEarlierLeader(t, mine, other) })
	t.Run("later", func(t *testing.T) { testLaterLeader(t, mine, other) })
	t.Run("later, sweep", func(t *testing.T) { testSweepUnderLaterLeader(t, mine, other) })
}

// The clock of a leader that is none any more says nothing of a lock that was taken
// under the next one.
func testEarlierLeader(t *testing.T, mine, other *Locker) {
	if g, err := mine.TryLock(t.Context(), "earlier", "me", time.Minute); err != nil || g == nil {
		t.Fatal(g, err)
	}
	for range 2 {
		lookedAt(t, other, -1)
		if g, err := other.TryLock(t.Context(), "earlier", "other", time.Minute); err != nil || g != nil {
			t.Errorf("taken from its owner: %v, %v", g, err)
		}
		lookedAt(t, other, -1)
		if status, err := other.Unlock(t.Context(), "earlier", "me"); err != nil || status != lock.Done {
			t.Errorf("given back: %s, %v", status, err)
		}
		lookedAt(t, other, -1)
		if g, err := mine.TryLock(t.Context(), "earlier", "me", time.Minute); err != nil || g == nil {
			t.Fatal(g, err)
		}
	}
}

// Nor does the clock of a new leader of one that was taken under an earlier one: its
// time is counted anew, once.
func testLaterLeader(t *testing.T, mine, other *Locker) {
	const expire = 500 * time.Millisecond
	first, err := mine.TryLock(t.Context(), "later", "me", expire)
	if err != nil || first == nil {
		t.Fatal(first, err)
	}
	lookedAt(t, other, +1)
	if status, err := other.Renew(t.Context(), "later", "other", expire); err != nil || status != lock.NotTheOwner {
		t.Errorf("Renew of another owner: %s, %v", status, err)
	}
	lookedAt(t, other, +1)
	began := time.Now()
	if g, err := other.TryLock(t.Context(), "later", "other", expire); err != nil || g != nil {
		t.Fatalf("taken from its owner: %v, %v", g, err)
	}
	// By now the node was written under the leader that there is.
	for {
		g, err := other.TryLock(t.Context(), "later", "other", expire)
		if err != nil {
			t.Fatal(err)
		}
		if g == nil {
			if time.Since(began) > testserver.Patience {
				t.Fatal("the lock never ends")
			}
			continue
		}
		if took := time.Since(began); took < expire {
			t.Errorf("the lock ended after %s, want not before %s", took, expire)
		}
		if g.Token <= first.Token {
			t.Errorf("the token %d after %d", g.Token, first.Token)
		}
		return
	}
}

// Nodes that are swept away are looked at in the same way.
func testSweepUnderLaterLeader(t *testing.T, mine, other *Locker) {
	if g, err := mine.TryLock(t.Context(), "lock|||swept", "me", time.Hour); err != nil || g == nil {
		t.Fatal(g, err)
	}
	lookedAt(t, other, +1)
	other.remove("/lock|||swept")
	if there, stat, err := other.conn().Exists("/lock|||swept"); err != nil || !there || stat.Version != 2 {
		t.Errorf("the node: there %t, %+v, %v; want it written again", there, stat, err)
	}
	other.mu.Lock()
	defer other.mu.Unlock()
	if at, noted := other.expired["/lock|||swept"]; !noted || time.Until(at) < 50*time.Minute {
		t.Errorf("it is to be looked at again in %s, noted: %t", time.Until(at), noted)
	}
}
