package conn

// Stale looks, without waiting, whether the peer has ended the connection, or
// sent something although nobody asked: either way no request should be sent
// on it. Where that cannot be seen it reports false.
func (c *Conn) Stale() bool {
	if c.closed.Load() {
		return true
	}
	// Below TLS, what has come may be no answer: tickets, new keys.
	nc, layered := bottom(c.Conn)
	if p, ok := nc.(*PipeConn); ok {
		return p.in.stale(layered)
	}
	return socketStale(nc, layered)
}

// stale reports whether the direction has ended or, unless bytes may come
// unasked, holds some.
func (h *half) stale(unasked bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	ended := h.reader.state != sideOpen || h.writer.state != sideOpen && h.count == 0
	return ended || h.count > 0 && !unasked
}
