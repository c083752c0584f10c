package redisnode

import (
	"errors"
	"net"
	"time"
)

// errDead says that the server had closed the connection before anything was
// written to it.
var errDead = errors.New("the server closed the connection while nobody used it")

// conn looks, before it is written to after some rest, whether the server has
// closed it: afterwards nobody could tell whether it has seen what was written. It
// is used by one goroutine at a time.
type conn struct {
	net.Conn
	idle time.Time // since when; zero while an answer is awaited
}

// restful is how long a connection must have had nothing to do to be looked at.
const restful = time.Millisecond

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.idle = time.Now()
	return n, err
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	if !c.idle.IsZero() && time.Since(c.idle) > restful && hungUp(c.Conn) {
		return 0, errDead
	}
	c.idle = time.Time{}
	return c.Conn.Write(b)
}
