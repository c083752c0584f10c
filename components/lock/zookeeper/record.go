package zookeeper

import (
	"bytes"
	"strconv"
	"time"

	"github.com/go-zookeeper/zk"
)

// record is what a node says.
type record struct {
	owner  string
	expire time.Duration // 0: Layotto's, which ends with its session
}

// mark begins the data of our nodes: it is followed by the milliseconds, a line
// feed, and the owner.
var mark = []byte("ottavo-lock-1 ")

func (r record) encode() []byte {
	b := append([]byte(nil), mark...)
	b = strconv.AppendInt(b, r.expire.Milliseconds(), 10)
	return append(append(b, '\n'), r.owner...)
}

// parse reads a node. What is not ours is taken for an owner's name, as Layotto
// writes it.
func parse(data []byte, stat *zk.Stat) record {
	rest, ours := bytes.CutPrefix(data, mark)
	head, owner, whole := bytes.Cut(rest, []byte("\n"))
	ms, err := strconv.ParseInt(string(head), 10, 64)
	if !ours || !whole || err != nil || ms <= 0 || ms > int64(1<<63-1)/int64(time.Millisecond) || stat.EphemeralOwner != 0 {
		return record{owner: string(data)}
	}
	return record{owner: string(owner), expire: time.Duration(ms) * time.Millisecond}
}

// end returns when the lock ends by the leader's clock; zero when it does not by
// itself.
func (r record) end(stat *zk.Stat) time.Time {
	if r.expire == 0 {
		return time.Time{}
	}
	return time.UnixMilli(stat.Mtime).Add(r.expire)
}
