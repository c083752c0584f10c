package http2

import xhttp2 "golang.org/x/net/http2"

// maxWindow is the largest window there may be (RFC 9113 section 6.9.1).
const maxWindow = 1<<31 - 1

// connFlow is a connection's flow control. The session's mutex guards it.
type connFlow struct {
	send    int64 // how much we may send
	receive int64 // how much the peer may send
}

// credit gives n bytes back to the peer's connection window, in larger portions.
func (s *session) credit(n int) {
	if n <= 0 || s.consumed.Add(int64(n)) < int64(s.opts.ConnectionWindow)/4 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Another goroutine may have been here first.
	if all := s.consumed.Swap(0); all > 0 && s.err == nil {
		s.flow.receive += all
		s.output.windowUpdate(0, uint32(all))
		s.output.kick()
	}
}

// creditStream gives n bytes back to the window of x, in larger portions.
func (s *session) creditStream(x *exchange, n int) {
	if n <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	x.consumed += int64(n)
	if x.gotEnd || x.gone || x.consumed < int64(s.opts.StreamWindow)/4 {
		return
	}
	x.receiveWindow += x.consumed
	s.output.windowUpdate(x.id, uint32(x.consumed))
	x.consumed = 0
	s.output.kick()
}

// windowFrame lets this end send more.
func (s *session) windowFrame(id uint32, n int64) error {
	if err := s.useless(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == 0 {
		if s.flow.send+n > maxWindow {
			return &connError{xhttp2.ErrCodeFlowControl, "the connection's window is too large"}
		}
		s.flow.send += n
		s.output.turns.grant(s)
		return nil
	}
	x := s.streams[id]
	if x == nil {
		if s.idleStream(id) {
			return &connError{xhttp2.ErrCodeProtocol, "WINDOW_UPDATE for a stream that was never opened"}
		}
		return nil
	}
	if x.sendWindow+n > maxWindow {
		return &streamError{id, xhttp2.ErrCodeFlowControl, "the stream's window is too large"}
	}
	x.widen(n)
	return nil
}

// resizeWindows obeys a change of the initial window, which holds for the open
// streams too (RFC 9113 section 6.9.2). mu is held.
func (s *session) resizeWindows(size int64) error {
	delta := size - s.peer.streamWindow
	s.peer.streamWindow = size
	for _, x := range s.streams {
		if x.sendWindow+delta > maxWindow {
			return &connError{xhttp2.ErrCodeFlowControl, "a stream's window is too large"}
		}
		x.widen(delta)
	}
	return nil
}

// widen adds n, which may be negative, to the send window. The session's mutex is held.
func (x *exchange) widen(n int64) {
	x.sendWindow += n
	if x.sendWindow > 0 {
		x.signalSend()
	}
}

// acquire waits until x may queue up to want bytes of its body, and returns
// how many; want 0 is a header block. The session's mutex is held when it is
// called and when it returns, but not in between.
func (s *session) acquire(x *exchange, want int, until limit) (int, error) {
	for {
		if err := s.stopped(x); err != nil {
			s.passOn(x)
			return 0, err
		}
		if want == 0 {
			if (x.granted || len(s.output.turns.heads) == 0) && !s.output.full() {
				x.granted = false
				return 0, nil
			}
			s.queue(x, &s.output.turns.heads)
		} else if x.sendWindow > 0 {
			if (x.granted || len(s.output.turns.bodies) == 0) && !s.output.full() && s.flow.send > 0 {
				x.granted = false
				n := min(int64(want), x.sendWindow, s.flow.send, maxFrame)
				x.sendWindow -= n
				s.flow.send -= n
				return int(n), nil
			}
			s.queue(x, &s.output.turns.bodies)
		} else {
			s.passOn(x)
		}
		s.mu.Unlock()
		err := x.waitSend(until)
		s.mu.Lock()
		if err != nil {
			s.passOn(x)
			return 0, err
		}
	}
}

// stopped returns why nothing can be sent on x any more. mu is held.
func (s *session) stopped(x *exchange) error {
	switch {
	case s.err != nil:
		return s.err
	case x.err != nil:
		return x.err
	case x.gone:
		return errAbandons
	}
	return nil
}

// passOn gives up the place of x in the queue, or its turn. mu is held.
func (s *session) passOn(x *exchange) {
	s.output.turns.leave(x)
	if x.granted {
		x.granted = false
		s.output.turns.grant(s)
	}
}

// queue has x wait for its turn.
func (s *session) queue(x *exchange, list *[]*exchange) {
	if !x.queued {
		x.queued, x.granted = true, false
		*list = append(*list, x)
	}
}
