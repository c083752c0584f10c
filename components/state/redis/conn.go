package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// errNotSent is wrapped by errors of a connection that was found dead before
// anything was written to it: whatever was to be sent may be sent again.
var errNotSent = errors.New("the connection was closed by the server while it was idle")

// idleAfter is how long a connection must have been idle to be looked at
// before it is written to: looking costs a system call, which does not matter
// when there is that little to do.
const idleAfter = time.Millisecond

// dialer returns the function that opens connections. They are cut off when
// life ends.
func (s *settings) dialer(life context.Context) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		if s.dial > 0 {
			ctx, cancel = context.WithTimeout(ctx, s.dial)
			defer cancel()
		}
		d := net.Dialer{KeepAlive: time.Minute}
		raw, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, &dialError{err}
		}
		c := &conn{Conn: raw}
		if s.tls == nil {
			return c, nil
		}
		config := s.tls.Clone()
		if config.ServerName, _, err = net.SplitHostPort(addr); err != nil {
			config.ServerName = "localhost" // a unix socket
		}
		secure := tls.Client(c, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, &dialError{errors.Join(tlsError(addr, err), c.Close())}
		}
		return secure, nil
	}
}

func tlsError(addr string, err error) error {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("TLS with %s: %w: give its authority as caCert (or, for tests only, set insecureSkipTLSVerify)", addr, err)
	}
	return fmt.Errorf("TLS with %s: %w", addr, err)
}

// dialError is an error from before anything could be sent.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// Timeout is asked for by go-redis.
func (e *dialError) Timeout() bool {
	t, ok := errors.AsType[net.Error](e.err)
	return ok && t.Timeout()
}

// conn notices, before it writes to a connection that has been idle, that the
// server has closed it. Without that the loss would show only after the write,
// when nobody can tell any more whether the server has seen it. It is used by
// one goroutine at a time.
type conn struct {
	net.Conn
	read time.Time // when the last read ended; zero once something was written
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read = time.Now()
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	if !c.read.IsZero() && time.Since(c.read) > idleAfter {
		if raw, ok := c.Conn.(syscall.Conn); ok && closedByPeer(raw) {
			return 0, errNotSent
		}
	}
	c.read = time.Time{}
	return c.Conn.Write(b)
}
