package conn

// Stale looks, without waiting, whether the peer has ended the connection, or
// sent something although nobody asked: either way no request should be sent
// on it. Where that cannot be seen it reports false.
func (c *Conn) Stale() bool {
	if c.closed.Load() {
		return true
	}
	if p, ok := c.Conn.(*PipeConn); ok {
		return p.in.stale()
	}
	return socketStale(c.Conn)
}

func (h *half) stale() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count > 0 || h.reader.state != sideOpen || h.writer.state != sideOpen
}
