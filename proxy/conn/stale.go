package conn

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// Stale looks, without waiting, whether the peer has ended the connection, or
// sent something although nobody asked: either way no request should be sent
// on it. Where that cannot be seen it reports false.
func (c *Conn) Stale() bool {
	if c.closed.Load() || c.PeerDraining() {
		return true
	}
	// Below TLS, what has come may be no answer: tickets, new keys.
	arrived, ended := c.look()
	return ended || arrived > 0 && !c.layered
}

// look looks, without waiting, at what the peer has sent that nobody has read:
// whether there are bytes, and whether the connection has ended (behind them,
// as far as that can be seen). Where nothing can be seen it returns nothing.
func (c *Conn) look() (arrived int, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	nc, _ := bottom(c.Conn)
	if p, ok := nc.(*PipeConn); ok {
		return p.in.look()
	}
	if c.looker == nil {
		c.looker = newSocketLooker(nc)
	}
	return c.looker.look()
}

func (h *half) look() (arrived int, ended bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ended = h.reader.state != sideOpen || h.writer.state != sideOpen && h.count == 0
	return h.count, ended
}

// WaitHangUp waits, once the peer has ended its direction (a read has said
// io.EOF), until it has hung up altogether, and returns nil then: it has reset the
// connection, or the other end of a pipe is closed. A peer that has closed its
// socket in order is not known to have done more than end its direction before
// something is sent to it. Any other end of the wait is an error:
// os.ErrDeadlineExceeded at the read deadline, net.ErrClosed after our own Close,
// errors.ErrUnsupported where hanging up cannot be seen. Nobody may read
// meanwhile; writing is allowed.
func (c *Conn) WaitHangUp() error {
	nc, _ := bottom(c.under())
	for {
		var err error
		if p, ok := nc.(*PipeConn); ok {
			err = p.wrap("wait", p.in.waitClosed())
		} else {
			err = socketWaitHangUp(nc)
		}
		if !c.resumes(err) {
			return err
		}
	}
}

// waitClosed waits until the writing end is closed, and not only shut.
func (h *half) waitClosed() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.writer.state != sideClosed {
		switch {
		case h.reader.state == sideClosed:
			return net.ErrClosed
		case h.reader.expired():
			return os.ErrDeadlineExceeded
		}
		h.reader.wait()
	}
	return nil
}

// LeftInOrder reports whether a write failed because the peer had ended its
// direction before, and now does not read either. Had it broken off, the error
// would be another one.
func LeftInOrder(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}
