package conn

import (
	"crypto/tls"
	"net"
)

// Secure puts a layer between the connection and its user: layer is given the
// connection as it is, what the read buffer holds first, and returns what is to
// be used from then on; a TLS server, with its handshake done. Drain, Close,
// counters and deadlines go on to work. On an error the connection is of no
// more use. It must be called by the goroutine that reads and writes.
func (c *Conn) Secure(layer func(net.Conn) (net.Conn, error)) error {
	c.exact()
	below := &below{Conn: c.Conn}
	if c.r != nil {
		held, _ := c.r.Peek(c.r.Buffered())
		below.head = append([]byte(nil), held...)
		c.putReader()
	}
	if c.hasFirst {
		below.head = append([]byte{c.first[0]}, below.head...)
		c.hasFirst = false
	}
	nc, err := layer(below)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Conn, c.layered = nc, true
	return nil
}

// TLS returns what TLS knows of the connection; ok is false when there is no
// TLS on it.
func (c *Conn) TLS() (state tls.ConnectionState, ok bool) {
	t, ok := c.Conn.(*tls.Conn)
	if !ok {
		return tls.ConnectionState{}, false
	}
	return t.ConnectionState(), true
}

// below is a connection below a layer, with the bytes that were read already.
type below struct {
	net.Conn
	head []byte
}

// Read implements net.Conn.
func (b *below) Read(p []byte) (int, error) {
	if len(b.head) > 0 {
		n := copy(p, b.head)
		b.head = b.head[n:]
		return n, nil
	}
	return b.Conn.Read(p)
}

// CloseWrite ends our direction, where the connection can do that.
func (b *below) CloseWrite() error {
	if h, ok := b.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return b.Close()
}

// NetConn returns the connection itself.
func (b *below) NetConn() net.Conn { return b.Conn }

// bottom returns the connection below all layers, and whether there are any.
func bottom(nc net.Conn) (_ net.Conn, layered bool) {
	for {
		l, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nc, layered
		}
		nc, layered = l.NetConn(), true
	}
}
