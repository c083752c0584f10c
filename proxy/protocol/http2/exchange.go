package http2

import (
	"context"
	"errors"
	"io"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// exchange is one stream of a session: one request with its answer.
type exchange struct {
	s  *session
	id uint32
	// owner is the server's or client's part of the exchange.
	owner any

	// The reader's: the stated length of the peer's message, -1 when it is not
	// known, and how much of it has come.
	length, got int64

	// Guarded by the session's mutex.

	// sentEnd: we have ended our direction. gotEnd: the peer has ended its own.
	// gone: the stream is over, and no longer among the session's streams.
	sentEnd, gotEnd, gone bool
	// gotHead: the head of the answer is here (client).
	gotHead bool
	// sentHead: the head of the answer is queued (server).
	sentHead bool
	// err is why the stream failed.
	err error
	// pins counts who uses the exchange: the side that owns it, and the reader.
	pins int
	// sendWindow is how much we may send; receiveWindow how much the peer may;
	// consumed what was read here and not yet credited.
	sendWindow, receiveWindow, consumed int64
	queued, granted                     bool

	// sendWake holds a token when the one who sends should look again.
	sendWake             chan struct{}
	sendTimer, recvTimer *time.Timer
	recv                 receiver
	cancel               context.CancelFunc // of a server's request
}

func (x *exchange) init(s *session, owner any) {
	x.s, x.owner = s, owner
	x.recv = newReceiver()
	x.sendWake = make(chan struct{}, 1)
}

// open puts x among the session's streams. The session's mutex is held.
func (x *exchange) open(id uint32) {
	s := x.s
	x.id = id
	x.sendWindow, x.receiveWindow = s.peer.streamWindow, int64(s.opts.StreamWindow)
	x.pins = 1
	if s.streams == nil {
		s.streams = make(map[uint32]*exchange)
	}
	s.streams[id] = x
}

// clear prepares x for the next stream. Nobody uses it.
func (x *exchange) clear() {
	x.recv.reset()
	select {
	case <-x.sendWake:
	default:
	}
	*x = exchange{
		s: x.s, owner: x.owner, sendWake: x.sendWake, sendTimer: x.sendTimer, recvTimer: x.recvTimer,
		recv: receiver{wake: x.recv.wake},
	}
}

func (x *exchange) signalSend() {
	select {
	case x.sendWake <- struct{}{}:
	default:
	}
}

// fail ends both directions with err, as far as they have not ended. The
// session's mutex is held.
func (x *exchange) fail(err error) {
	if x.err == nil {
		x.err = err
	}
	x.recv.finish(err)
	x.signalSend()
}

// How a stream has ended.
type endedBy uint8

const (
	endedInOrder endedBy = iota
	endedByPeer
	endedByUs
)

// recentIDs remembers how the latest streams have ended, to tell frames that
// were on their way from frames that must not come.
type recentIDs struct {
	list []recentID
	next int
}

type recentID struct {
	id  uint32
	how endedBy
}

// maxRecent is more than the streams that may be open at a time by default.
const maxRecent = 512

func (r *recentIDs) add(id uint32, how endedBy) {
	if len(r.list) < maxRecent {
		r.list = append(r.list, recentID{id, how})
		return
	}
	r.list[r.next] = recentID{id, how}
	r.next = (r.next + 1) % maxRecent
}

func (r *recentIDs) find(id uint32) (bool, endedBy) {
	for i := range r.list {
		if r.list[i].id == id {
			return true, r.list[i].how
		}
	}
	return false, 0
}

// remove takes x off the session's streams. The session's mutex is held.
func (s *session) remove(x *exchange, how endedBy) {
	if x.gone {
		return
	}
	x.gone = true
	delete(s.streams, x.id)
	s.recent.add(x.id, how)
	x.signalSend()
	if len(s.streams) > 0 {
		return
	}
	s.lastDone = time.Now()
	switch {
	case !s.drained:
	case s.client:
		_ = s.c.Close()
	default:
		_ = s.c.SetReadDeadline(time.Unix(1, 0)) // the reader sees that it is over
	}
}

// ended takes note that a direction has ended. The session's mutex is held.
func (s *session) ended(x *exchange) {
	if x.sentEnd && x.gotEnd {
		s.remove(x, endedInOrder)
	}
}

// endOfBody takes note that the peer's message is complete.
func (s *session) endOfBody(x *exchange) {
	s.mu.Lock()
	x.gotEnd = true
	s.ended(x)
	s.mu.Unlock()
	x.recv.finish(io.EOF)
}

// resetStream takes a stream back. The session's mutex is held.
func (s *session) resetStream(x *exchange, code xhttp2.ErrCode) {
	if x.gone || s.err != nil {
		return
	}
	s.output.reset(x.id, code)
	s.remove(x, endedByUs)
	s.output.kick()
}

// unpin says that the caller does not use x any more.
func (s *session) unpin(x *exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(x)
}

// release is unpin with the session's mutex held.
func (s *session) release(x *exchange) {
	if x.pins--; x.pins == 0 {
		s.role.recycle(x)
	}
}

// limit is until when somebody waits.
type limit struct {
	done     <-chan struct{}
	deadline time.Time
}

// roundedOff is how much earlier a host that was told the limit may see it end:
// it was told in whole units.
const roundedOff = 10 * time.Millisecond

// passed reports whether the deadline is over in the eyes of the host.
func (l limit) passed() bool { return !l.deadline.IsZero() && time.Until(l.deadline) < roundedOff }

// waitSend waits until x.sendWake has a token, at most as long as a peer may
// take no bytes.
func (x *exchange) waitSend(until limit) error {
	at, stalled := until.deadline, false
	if t := x.s.c.Timeout; t > 0 {
		if end := time.Now().Add(t); at.IsZero() || end.Before(at) {
			at, stalled = end, true
		}
	}
	err := wait(x.sendWake, until.done, at, &x.sendTimer)
	if stalled && errors.Is(err, errTimeUp) {
		return errStalled
	}
	return err
}

// wait waits for a token in wake. The error is context.Canceled when done was
// closed, errTimeUp at the time at, if that is not zero.
func wait(wake, done <-chan struct{}, at time.Time, timer **time.Timer) error {
	if at.IsZero() {
		select {
		case <-wake:
			return nil
		case <-done:
			return context.Canceled
		}
	}
	d := time.Until(at)
	if d <= 0 {
		return errTimeUp
	}
	if *timer == nil {
		*timer = time.NewTimer(d)
	} else {
		(*timer).Reset(d)
	}
	defer (*timer).Stop()
	select {
	case <-wake:
		return nil
	case <-done:
		return context.Canceled
	case <-(*timer).C:
		return errTimeUp
	}
}

// read reads the peer's body.
func (x *exchange) read(p []byte, until limit) (int, error) {
	for {
		n, err, again := x.recv.take(p)
		if n > 0 {
			x.s.credit(n)
			x.s.creditStream(x, n)
		}
		if !again {
			return n, err
		}
		if err := wait(x.recv.wake, until.done, until.deadline, &x.recvTimer); err != nil {
			return 0, err
		}
	}
}

// discard drops what of the peer's body was not read.
func (x *exchange) discard() { x.s.credit(x.recv.close()) }

// bodyBuffers are what bodies are read into on their way to the output.
// They are pieces, for no other reason than that those are there.
func bodyBuffer(length int64) *piece {
	if length >= 0 && length < largePiece {
		return newPiece(int(length) + 1) // one more, to notice the end with the last byte
	}
	return newPiece(largePiece)
}

// sendBody sends body in DATA frames and then trailer, and ends our direction.
// length is what was promised, -1 for nothing. n counts body bytes. What came
// from body, not from the connection, is a *sourceError.
func (x *exchange) sendBody(body io.Reader, length int64, trailer *stream.Header, until limit) (n int64, err error) {
	buf := bodyBuffer(length)
	defer buf.free()
	for {
		m, rerr := body.Read(buf.buf)
		n += int64(m)
		last := rerr == io.EOF
		switch {
		case rerr != nil && !last:
			return n, &sourceError{rerr}
		case length >= 0 && n > length:
			return n, &sourceError{errLongBody}
		case last && length >= 0 && n < length:
			return n, &sourceError{errShortBody}
		}
		trailing := last && trailer.Len() > 0 && checkFields(trailer) == nil
		if m > 0 || last && !trailing {
			if err := x.sendData(buf.buf[:m], last && !trailing, until); err != nil {
				return n, err
			}
		}
		if trailing {
			return n, x.sendTrailer(trailer, until)
		}
		if last {
			return n, nil
		}
	}
}

// sendData queues p, in as many frames as the windows ask for.
func (x *exchange) sendData(p []byte, end bool, until limit) error {
	s := x.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		m, err := s.acquire(x, len(p), until)
		if err != nil {
			return err
		}
		last := end && m == len(p)
		s.output.data(x.id, p[:m], last)
		s.earned.Add(earnedByData)
		p = p[m:]
		s.done(x, last)
		if len(p) == 0 {
			return nil
		}
	}
}

// done is called when a frame of x was queued. The session's mutex is held.
func (s *session) done(x *exchange, end bool) {
	if end {
		x.sentEnd = true
		s.ended(x)
	}
	s.output.kick()
}

// sendTrailer queues a trailer section, the end of our direction.
func (x *exchange) sendTrailer(trailer *stream.Header, until limit) error {
	s := x.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.acquire(x, 0, until); err != nil {
		return err
	}
	s.output.headers(x.id, s.encoder.trailer(trailer), true)
	s.done(x, true)
	return nil
}
