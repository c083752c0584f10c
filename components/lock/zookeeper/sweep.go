package zookeeper

import (
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
)

const (
	// sweepPause is the shortest time between two sweeps.
	sweepPause = 10 * time.Second
	// leftovers is how many nodes of earlier processes are looked at.
	leftovers = 10000
	// lead begins the names of nodes that are locks.
	lead = "lock|||"
)

// sweepAt notes when a node may have to be removed.
func (l *Locker) sweepAt(path string, expire time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expired[path] = time.Now().Add(expire)
}

// sweep removes nodes of locks that are over: nobody else would, if nobody wants
// them again. One goroutine does it, at its leisure.
func (l *Locker) sweep() {
	l.findLeftovers()
	tick := time.NewTicker(sweepPause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-l.quit:
			return
		}
		for _, path := range l.due() {
			select {
			case <-l.quit:
				return
			default:
				l.remove(path)
			}
		}
	}
}

// due returns the nodes whose time has come.
func (l *Locker) due() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var paths []string
	for path, at := range l.expired {
		if time.Now().After(at) {
			paths = append(paths, path)
		}
	}
	return paths
}

// remove removes a node, if its lock is over. What cannot be looked at now stays
// noted.
func (l *Locker) remove(path string) {
	conn := l.conn()
	data, stat, err := conn.Get(path)
	if err == nil {
		var state standing
		state, err = l.look(conn, data, stat)
		r := parse(data, stat)
		switch {
		case err != nil || r.expire == 0:
		case state == over:
			err = conn.Delete(path, stat.Version)
		case state == unclear:
			if err = l.countAnew(conn, path, data, stat); err == nil {
				l.sweepAt(path, r.expire)
				return
			}
		default:
			now, _, _ := l.clock.now()
			l.sweepAt(path, r.end(stat).Sub(now))
			return
		}
	}
	if err == nil || moved(err) {
		l.mu.Lock()
		delete(l.expired, path)
		l.mu.Unlock()
	}
}

// findLeftovers notes what earlier processes may have left.
func (l *Locker) findLeftovers() {
	names, _, err := l.conn().Children("/")
	if err != nil {
		return // another start will find them
	}
	for i, name := range names {
		if i < leftovers && strings.HasPrefix(name, lead) {
			l.sweepAt("/"+name, 0)
		}
	}
}

func (l *Locker) conn() *zk.Conn { return l.client.Conn() }
