package proxy

import (
	"context"
	"errors"
	"iter"
	"net"
	"net/netip"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/listener"
	"github.com/ottavo-runtime/ottavo/proxy/listener/origdst"
	"github.com/ottavo-runtime/ottavo/proxy/tcp/l4"
)

// capture reports whether a firewall brought c to f, and notes on c where it
// wanted to go then. What came without a socket, or was dialed, is not captured.
func (f *frontend) capture(c *conn.Conn) (captured bool, err error) {
	capture := f.current.Load().capture
	if capture.Mode == origdst.Off || f.listener.Addr() == nil {
		return false, nil
	}
	if _, ok := c.Conn.(*net.TCPConn); !ok {
		return false, nil
	}
	destination, err := capture.Destination(c.Conn)
	if errors.Is(err, origdst.ErrNotRedirected) {
		return false, nil
	}
	c.Destination = destination
	return err == nil, err
}

// handOver has a captured connection answered by the listener whose address is
// where it wanted to go, else by f itself.
func (f *frontend) handOver(ctx context.Context, c *conn.Conn) error {
	for owner := f.server.destined(f, c); owner != f; {
		err := owner.listener.Serve(c, func() error { return owner.answer(ctx, c) })
		if !errors.Is(err, listener.ErrStopped) {
			return err
		}
		before := owner
		if owner = f.server.destined(f, c); owner == before {
			return err // the whole server stops
		}
	}
	return f.answer(ctx, c)
}

// destined returns the frontend of the listener that is to have a connection
// that f's brought.
func (s *Server) destined(f *frontend, c *conn.Conn) *frontend {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, ok := origdst.Choose(c.Destination, f.listener.Name(), s.addresses(), f.current.Load().capture.FallbackToLocal)
	if owner := s.listeners[name]; ok && owner != nil {
		return owner
	}
	return f
}

// addresses iterates over the listeners' names and addresses. mu is held.
func (s *Server) addresses() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for name, f := range s.listeners {
			if !yield(name, f.cfg.Address) {
				return
			}
		}
	}
}

// destination is where a connection wanted to go, as far as it is known.
func destination(c *conn.Conn) netip.AddrPort {
	if c.Destination.IsValid() {
		return c.Destination
	}
	return l4.AddrPort(c.LocalAddr())
}
