package proxy

import (
	"errors"
	"iter"
	"net/netip"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/listener/origdst"
	"github.com/ottavo-runtime/ottavo/proxy/tcp/l4"
)

// captured returns the frontend that is to answer a connection that a firewall
// brought to f: the one whose address is where the connection wanted to go,
// else f itself. It notes that destination on the connection.
func (s *Server) captured(f *frontend, c *conn.Conn) (*frontend, error) {
	capture := f.current.Load().capture
	if capture.Mode == origdst.Off || f.listener.Addr() == nil {
		return f, nil
	}
	destination, err := capture.Destination(c.Conn)
	if errors.Is(err, origdst.ErrNotRedirected) {
		return f, nil // the caller dialed us
	}
	if err != nil {
		return nil, err
	}
	c.Destination = destination
	s.mu.Lock()
	defer s.mu.Unlock()
	name, ok := origdst.Choose(destination, f.listener.Name(), s.addresses(), capture.FallbackToLocal)
	if !ok {
		return f, nil
	}
	return s.listeners[name], nil
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
