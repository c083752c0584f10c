package listener

import (
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
)

// fullEvery is the least time between two complaints about the limit.
const fullEvery = 10 * time.Second

// Serve is for a connection that another listener took and that turned out to
// be for l: it runs serve, and until that returns the connection is l's as
// well. It counts towards the limit of l, and ends with l, as with the other.
// The error, then without serve having run, is ErrStopped or ErrFull, or else
// what serve returned.
func (l *Listener) Serve(c *conn.Conn, serve func() error) error {
	if err := l.join(c); err != nil {
		return err
	}
	returned := false
	defer func() {
		if !returned {
			c.SetCause(conn.Panic)
		}
		l.leave(c)
	}()
	err := serve()
	l.settle(c, err)
	returned = true
	return err
}

// join makes c a connection of l until leave, or says why it cannot be one.
func (l *Listener) join(c *conn.Conn) error {
	l.mu.Lock()
	if l.stopping {
		l.mu.Unlock()
		return ErrStopped
	}
	if limit := l.opts.MaxConnections; limit > 0 && len(l.conns) >= limit {
		complain := time.Since(l.fullSaid) >= fullEvery
		if complain {
			l.fullSaid = time.Now()
		}
		l.mu.Unlock()
		n := l.refused.Add(1)
		l.closed[conn.Limit].Add(1)
		if complain {
			l.opts.Log.Warn("connections are refused: the limit is reached", "listener", l.opts.Name, "max_connections", limit, "refused", n)
		}
		return ErrFull
	}
	c.Timeout = l.opts.WriteTimeout
	l.conns[c] = struct{}{}
	l.serving.Add(1)
	l.mu.Unlock()
	l.accepted.Add(1)
	return nil
}

// settle names the cause of a connection's end, after serving it ended with err.
func (l *Listener) settle(c *conn.Conn, err error) {
	if l.base.Err() != nil {
		c.SetCause(conn.CutOff)
	}
	c.Settle(err)
}

// leave ends what join began.
func (l *Listener) leave(c *conn.Conn) {
	l.closed[c.Cause()].Add(1)
	l.mu.Lock()
	delete(l.conns, c)
	l.mu.Unlock()
	l.serving.Done()
}
