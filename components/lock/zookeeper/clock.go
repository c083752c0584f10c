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
	seen   time.Time // this moment of our own clock, which does not jump; zero: never
}

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
	c.leader, c.seen = time.UnixMilli(stat.Mtime), time.Now()
}

// now returns what the leader's clock shows, or a little less; false when nobody
// has looked for long.
func (c *clock) now() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	since := time.Since(c.seen)
	return c.leader.Add(since), !c.seen.IsZero() && since < fresh
}

// look reads the leader's clock, unless that was done lately.
func (c *clock) look(conn *zk.Conn) (time.Time, error) {
	if now, ok := c.now(); ok {
		return now, nil
	}
	stat, err := conn.Set(clockNode, nil, -1)
	if err == zk.ErrNoNode { //nolint:errorlint // the library's own
		_, err = conn.Create(clockNode, nil, 0, zk.WorldACL(zk.PermAll))
		if err == nil || err == zk.ErrNodeExists { //nolint:errorlint // as above
			stat, err = conn.Set(clockNode, nil, -1)
		}
	}
	if err != nil {
		return time.Time{}, err
	}
	c.set(stat)
	now, _ := c.now()
	return now, nil
}
