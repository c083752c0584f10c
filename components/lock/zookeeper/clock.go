package zookeeper

import (
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// clock tells what the leader's clock shows at least. It never runs ahead of it, as
// long as both run equally fast.
type clock struct {
	mu     sync.Mutex
	leader time.Time // what it showed not later than
	epoch  int64     // which leader
	seen   time.Time // this moment of our own clock, which does not jump; zero: never
}

// epochOf tells under which leader a node was changed last: each has a greater number.
func epochOf(stat *zk.Stat) int64 { return stat.Mzxid >> 32 }

const (
	// fresh is how long a look at the leader's clock counts.
	fresh = 10 * time.Second
	// clockNode is changed to have such a look.
	clockNode = "/ottavo-lock-clock"
)

// set notes the time of a change that was made just now.
func (c *clock) set(stat *zk.Stat) {
	if stat == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader, c.epoch, c.seen = time.UnixMilli(stat.Mtime), epochOf(stat), time.Now()
}

// now returns what a leader's clock shows, or a little less, and which leader's; false
// when nobody has looked for long.
func (c *clock) now() (now time.Time, epoch int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	since := time.Since(c.seen)
	return c.leader.Add(since), c.epoch, !c.seen.IsZero() && since < fresh
}

// look reads the leader's clock, unless that was done lately, and under the leader of
// epoch or a later one.
func (c *clock) look(conn *zk.Conn, epoch int64) (now time.Time, whose int64, err error) {
	if now, whose, ok := c.now(); ok && whose >= epoch {
		return now, whose, nil
	}
	stat, err := conn.Set(clockNode, nil, -1)
	if err == zk.ErrNoNode { //nolint:errorlint // the library's own
		_, err = conn.Create(clockNode, nil, 0, zk.WorldACL(zk.PermAll))
		if err == nil || err == zk.ErrNodeExists { //nolint:errorlint // as above
			stat, err = conn.Set(clockNode, nil, -1)
		}
	}
	if err != nil {
		return time.Time{}, 0, err
	}
	c.set(stat)
	return time.UnixMilli(stat.Mtime), epochOf(stat), nil
}
