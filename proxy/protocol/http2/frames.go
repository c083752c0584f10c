package http2

import (
	"errors"
	"io"

	xhttp2 "golang.org/x/net/http2"
)

// frame takes one frame, whose header was read.
func (s *session) frame(fh xhttp2.FrameHeader) error {
	switch fh.Type {
	case xhttp2.FrameData:
		return s.dataFrame(fh)
	case xhttp2.FrameHeaders:
		return s.headersFrame(fh)
	case xhttp2.FramePushPromise:
		return &connError{xhttp2.ErrCodeProtocol, "PUSH_PROMISE, which was not asked for"}
	case xhttp2.FramePriority, xhttp2.FrameRSTStream, xhttp2.FrameSettings, xhttp2.FramePing, xhttp2.FrameGoAway, xhttp2.FrameWindowUpdate:
	default:
		if err := s.useless(); err != nil {
			return err
		}
		_, err := s.c.Reader().Discard(int(fh.Length))
		return err
	}
	f, err := s.reader().ReadFrameForHeader(fh)
	if err != nil {
		return s.frameError(err)
	}
	switch f := f.(type) {
	case *xhttp2.PriorityFrame:
		if f.StreamDep == f.StreamID {
			return &streamError{f.StreamID, xhttp2.ErrCodeProtocol, "a stream depends on itself"}
		}
		return s.useless()
	case *xhttp2.RSTStreamFrame:
		return s.resetFrame(f.StreamID, f.ErrCode)
	case *xhttp2.SettingsFrame:
		return s.settingsFrame(f)
	case *xhttp2.PingFrame:
		return s.pingFrame(f)
	case *xhttp2.GoAwayFrame:
		s.role.goAway(f.LastStreamID, f.ErrCode)
		return s.useless()
	case *xhttp2.WindowUpdateFrame:
		return s.windowFrame(f.StreamID, int64(f.Increment))
	}
	return nil
}

// useless draws on the peer's budget for a frame that brings nothing.
func (s *session) useless() error { return s.draw(costFrame) }

func (s *session) draw(cost int) error {
	if n := s.earned.Swap(0); n > 0 {
		s.budget.earn(int(n))
	}
	if !s.budget.draw(cost) {
		return &connError{xhttp2.ErrCodeEnhanceYourCalm, "too many frames that bring nothing"}
	}
	return nil
}

// answered checks that the peer reads the answers to its control frames. mu is held.
func (s *session) answered() error {
	if s.output.control > maxControl {
		return &connError{xhttp2.ErrCodeEnhanceYourCalm, "the answers to control frames are not read"}
	}
	return nil
}

// idleStream reports whether a stream with this id has not been there yet. mu is held.
func (s *session) idleStream(id uint32) bool {
	if s.own(id) {
		return id > s.lastOwn
	}
	return id > s.lastPeer
}

// own reports whether streams with this id are opened by this end.
func (s *session) own(id uint32) bool { return id%2 == 1 == s.client }

func (s *session) headersFrame(fh xhttp2.FrameHeader) error {
	end, err := s.readBlock(fh)
	bad, _ := errors.AsType[*streamError](err)
	if err != nil && bad == nil {
		return err
	}
	s.mu.Lock()
	x := s.streams[fh.StreamID]
	if x == nil && !s.idleStream(fh.StreamID) {
		if was, how := s.recent.find(fh.StreamID); was {
			s.mu.Unlock()
			if how == endedByUs {
				return s.useless() // it was on its way when we took the stream back
			}
			return &connError{xhttp2.ErrCodeStreamClosed, "HEADERS for a stream that has ended"}
		}
	} else if x != nil {
		x.pins++
	}
	s.mu.Unlock()
	if x != nil {
		defer s.unpin(x)
	}
	if bad != nil {
		if x == nil && !s.client {
			s.mu.Lock()
			s.lastPeer = max(s.lastPeer, fh.StreamID)
			s.mu.Unlock()
		}
		return bad
	}
	return s.role.headers(fh.StreamID, x, end)
}

func (s *session) resetFrame(id uint32, code xhttp2.ErrCode) error {
	s.mu.Lock()
	x := s.streams[id]
	if x == nil {
		idle := s.idleStream(id)
		s.mu.Unlock()
		if idle {
			return &connError{xhttp2.ErrCodeProtocol, "RST_STREAM for a stream that was never opened"}
		}
		return s.useless()
	}
	x.pins++
	x.fail(&ResetError{uint32(code)})
	s.remove(x, endedByPeer)
	s.mu.Unlock()
	s.role.reset(x, code)
	s.unpin(x)
	if s.client {
		return nil
	}
	return s.draw(costReset)
}

func (s *session) settingsFrame(f *xhttp2.SettingsFrame) error {
	if err := s.useless(); err != nil || f.IsAck() {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range f.NumSettings() {
		if err := s.setting(f.Setting(i)); err != nil {
			return err
		}
	}
	s.output.settingsAck()
	s.output.kick()
	return s.answered()
}

// setting obeys one setting. mu is held.
func (s *session) setting(v xhttp2.Setting) error {
	switch v.ID {
	case xhttp2.SettingHeaderTableSize:
		s.encoder.tableSize(v.Val)
	case xhttp2.SettingEnablePush:
		if v.Val > 1 || s.client && v.Val != 0 {
			return &connError{xhttp2.ErrCodeProtocol, "bad SETTINGS_ENABLE_PUSH"}
		}
	case xhttp2.SettingMaxConcurrentStreams:
		s.peer.maxStreams = v.Val
	case xhttp2.SettingInitialWindowSize:
		if v.Val > maxWindow {
			return &connError{xhttp2.ErrCodeFlowControl, "bad SETTINGS_INITIAL_WINDOW_SIZE"}
		}
		return s.resizeWindows(int64(v.Val))
	case xhttp2.SettingMaxFrameSize:
		// Our frames are never larger than the least that is allowed.
		if v.Val < 1<<14 || v.Val > 1<<24-1 {
			return &connError{xhttp2.ErrCodeProtocol, "bad SETTINGS_MAX_FRAME_SIZE"}
		}
	case xhttp2.SettingMaxHeaderListSize:
		s.peer.maxList = v.Val
	}
	return nil
}

func (s *session) pingFrame(f *xhttp2.PingFrame) error {
	if err := s.useless(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !f.IsAck() {
		s.output.ping(true, f.Data)
		s.output.kick()
		return s.answered()
	}
	if s.announced && f.Data == drainPing {
		s.lastGoAway()
	}
	return nil
}

// dataFrame takes part of a body. Only as much of it as the stream's window
// allowed can come, so there is always room.
func (s *session) dataFrame(fh xhttp2.FrameHeader) error {
	if fh.StreamID == 0 {
		return &connError{xhttp2.ErrCodeProtocol, "DATA for stream 0"}
	}
	n, pad, err := s.padding(fh)
	if err != nil {
		return err
	}
	end := fh.Flags.Has(xhttp2.FlagDataEndStream)
	if n == 0 && !end {
		if err := s.useless(); err != nil {
			return err
		}
	} else if n > 0 {
		s.budget.earn(earnedByData)
	}
	x, err := s.account(fh)
	if x == nil {
		_, derr := s.c.Reader().Discard(n + pad)
		s.credit(int(fh.Length))
		if derr != nil {
			return derr
		}
		return err
	}
	defer s.unpin(x)
	x.got += int64(n)
	if x.length >= 0 && (x.got > x.length || end && x.got != x.length) {
		_, derr := s.c.Reader().Discard(n + pad)
		s.credit(int(fh.Length))
		if derr != nil {
			return derr
		}
		return &streamError{fh.StreamID, xhttp2.ErrCodeProtocol, "the body is not as long as its Content-Length"}
	}
	if err := s.fill(x, n); err != nil {
		return err
	}
	if rest := int(fh.Length) - n; rest > 0 {
		if _, err := s.c.Reader().Discard(pad); err != nil {
			return err
		}
		s.credit(rest)
		s.creditStream(x, rest)
	}
	if end {
		s.endOfBody(x)
	}
	return nil
}

// fill reads n bytes of body into x's receiver.
func (s *session) fill(x *exchange, n int) error {
	br := s.c.Reader()
	for n > 0 {
		room := x.recv.room(n)
		if room == nil {
			_, err := br.Discard(n)
			s.credit(n)
			return err
		}
		if _, err := io.ReadFull(br, room); err != nil {
			x.recv.commit(0)
			return err
		}
		n -= len(room)
		if !x.recv.commit(len(room)) {
			s.credit(len(room))
		}
	}
	return nil
}

// account takes a DATA frame off the windows and returns its stream, pinned;
// nil when there is none that it could go to.
func (s *session) account(fh xhttp2.FrameHeader) (*exchange, error) {
	size := int64(fh.Length)
	s.mu.Lock()
	defer s.mu.Unlock()
	if size > s.flow.receive {
		return nil, &connError{xhttp2.ErrCodeFlowControl, "more data than the connection's window allows"}
	}
	s.flow.receive -= size
	x := s.streams[fh.StreamID]
	switch {
	case x == nil && s.idleStream(fh.StreamID):
		return nil, &connError{xhttp2.ErrCodeProtocol, "DATA for a stream that was never opened"}
	case x == nil:
		if was, how := s.recent.find(fh.StreamID); was && how == endedByUs {
			return nil, nil
		}
		return nil, &streamError{fh.StreamID, xhttp2.ErrCodeStreamClosed, "DATA for a stream that has ended"}
	case x.gotEnd:
		return nil, &streamError{fh.StreamID, xhttp2.ErrCodeStreamClosed, "DATA after the end of the stream"}
	case s.client && !x.gotHead:
		return nil, &streamError{fh.StreamID, xhttp2.ErrCodeProtocol, "DATA before HEADERS"}
	case size > x.receiveWindow:
		return nil, &streamError{fh.StreamID, xhttp2.ErrCodeFlowControl, "more data than the stream's window allows"}
	}
	x.receiveWindow -= size
	x.pins++
	return x, nil
}

// refuseStream ends a stream on which the peer broke the protocol.
func (s *session) refuseStream(bad *streamError) error {
	if err := s.draw(costReset); err != nil {
		return err
	}
	s.mu.Lock()
	x := s.streams[bad.id]
	if x == nil {
		s.output.reset(bad.id, bad.code)
		s.recent.add(bad.id, endedByUs)
		s.output.kick()
		err := s.answered()
		s.mu.Unlock()
		return err
	}
	x.pins++
	x.fail(bad)
	s.resetStream(x, bad.code)
	err := s.answered()
	s.mu.Unlock()
	s.role.reset(x, bad.code)
	s.unpin(x)
	return err
}
