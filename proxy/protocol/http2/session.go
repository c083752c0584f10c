package http2

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
)

// role is what the two ends of a connection do differently. The session's
// reader calls it.
type role interface {
	// greeted says that the peer's first SETTINGS have come.
	greeted()
	// headers takes the header block in s.block, which came for stream id; x
	// is that stream, nil when it is not open. end says that no more follows.
	headers(id uint32, x *exchange, end bool) error
	// goAway takes the peer's announcement that it will not serve streams
	// above last.
	goAway(last uint32, code xhttp2.ErrCode)
	// reset says that the peer took x back.
	reset(x *exchange, code xhttp2.ErrCode)
	// recycle takes an exchange that nobody uses any more.
	recycle(x *exchange)
	// quiet says that nothing has arrived for a while.
	quiet()
}

// session is one HTTP/2 connection, from either end.
type session struct {
	c      *conn.Conn
	role   role
	client bool
	opts   Options

	// idle is how long a connection without streams may be silent; 0 is for
	// ever. alive is the same for one with streams, before the peer is asked.
	idle, alive time.Duration

	// What only the reader uses.
	framer *xhttp2.Framer // see reader
	block  block
	budget budget
	goingAway
	pinged time.Time // when the peer was asked; zero: no answer is due

	mu sync.Mutex
	// err is why the session has ended; nil while it has not.
	err     error
	streams map[uint32]*exchange
	recent  recentIDs
	// lastPeer is the highest stream id that the peer has used.
	lastPeer uint32
	// lastOwn is the highest that this end has used; a client begins with 1.
	lastOwn  uint32
	lastDone time.Time // when a stream last ended
	// drained: the peer was told the last stream that we serve.
	drained bool
	peer    peerSettings
	flow    connFlow
	output  output
	encoder encoder
	// consumed counts bytes read by our side that the peer's connection
	// window was not yet credited with.
	consumed atomic.Int64
	// earned is what the peer's budget is to grow by.
	earned atomic.Int64
}

// peerSettings are what the peer said in SETTINGS.
type peerSettings struct {
	maxStreams   uint32
	streamWindow int64
	maxList      uint32 // of header fields; 0: not said
}

// goingAway is how far the orderly end of a session has come.
type goingAway struct {
	announced bool      // the peer was told that there is an end
	until     time.Time // when it is told the last stream
}

// buffered is the read side of a connection, whatever buffer it has at the moment.
type buffered struct{ c *conn.Conn }

func (b buffered) Read(p []byte) (int, error) { return b.c.Reader().Read(p) }

func newSession(c *conn.Conn, r role, opts Options, client bool) *session {
	s := &session{c: c, role: r, client: client, opts: opts, alive: keepAlive}
	s.block.init(opts.MaxHeaderBytes)
	s.budget = budget{left: budgetFull, at: time.Now()}
	s.peer = peerSettings{maxStreams: 100, streamWindow: 65535}
	s.flow = connFlow{send: 65535, receive: int64(opts.ConnectionWindow)}
	s.output.init(s)
	s.encoder.limit = tableSize
	return s
}

// reader returns what parses frames. It knows nothing from one frame to the
// next, so that an idle connection does without.
func (s *session) reader() *xhttp2.Framer {
	if s.framer == nil {
		s.framer = xhttp2.NewFramer(nil, buffered{s.c})
		s.framer.SetMaxReadFrameSize(maxFrame)
	}
	return s.framer
}

// greet queues what this end says first.
func (s *session) greet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	settings := []xhttp2.Setting{
		{ID: xhttp2.SettingInitialWindowSize, Val: uint32(s.opts.StreamWindow)},
		{ID: xhttp2.SettingMaxHeaderListSize, Val: uint32(s.opts.MaxHeaderBytes)},
	}
	if s.client {
		s.output.frames(len(preface))
		s.output.ordered = append(s.output.ordered, preface...)
		settings = append(settings, xhttp2.Setting{ID: xhttp2.SettingEnablePush, Val: 0})
	} else {
		settings = append(settings, xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: uint32(s.opts.MaxStreams)})
	}
	s.output.settings(settings)
	if n := s.opts.ConnectionWindow - 65535; n > 0 {
		// In order: the preface comes first.
		s.output.ordered = appendWindowUpdate(s.output.ordered, 0, uint32(n))
	}
	s.output.kick()
}

// run reads frames until the session ends, and returns why.
func (s *session) run() error {
	first := true
	for {
		if err := s.waitFrame(); err != nil {
			return err
		}
		fh, err := s.frameHeader()
		if err != nil {
			return err
		}
		if first && (fh.Type != xhttp2.FrameSettings || fh.Flags.Has(xhttp2.FlagSettingsAck)) {
			return &connError{xhttp2.ErrCodeProtocol, "the connection does not begin with SETTINGS"}
		}
		err = s.frame(fh)
		if first && err == nil {
			s.role.greeted()
		}
		first = false
		if bad, ok := errors.AsType[*streamError](err); ok {
			err = s.refuseStream(bad)
		}
		if err != nil {
			return err
		}
	}
}

// waitFrame waits until a frame begins.
func (s *session) waitFrame() error {
	if s.c.Reader().Buffered() > 0 {
		s.pinged = time.Time{}
		return nil
	}
	begin := time.Now()
	for {
		next, err := s.nextLook(begin, time.Now())
		if err != nil {
			return err
		}
		err = s.waitByte(next)
		switch {
		case err == nil:
			s.pinged = time.Time{}
			return nil
		case errors.Is(err, conn.ErrDraining):
			s.announceEnd()
			begin = time.Now()
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		}
	}
}

// quiet gives back what an idle connection need not hold.
func (s *session) quiet() {
	s.block.quiet()
	s.framer = nil
	s.mu.Lock()
	s.encoder.quiet()
	s.recent = recentIDs{} // what was on its way has come
	if len(s.streams) == 0 {
		s.streams = nil
		s.encoder.forget()
	}
	s.mu.Unlock()
	s.role.quiet()
}

// waitByte waits at most d for a byte.
func (s *session) waitByte(d time.Duration) error {
	if !s.announced {
		return s.c.WaitOrDrain(d, s.quiet)
	}
	s.mu.Lock()
	if s.drained && len(s.streams) == 0 {
		s.mu.Unlock()
		return errDone
	}
	// Under the lock, so that whoever ends the last stream can shorten it.
	_ = s.c.SetReadDeadline(time.Now().Add(d))
	s.mu.Unlock()
	_, err := s.c.Reader().Peek(1)
	return err
}

// nextLook returns how long to wait for the peer, from now, until something
// is to be done; an error when that is to end the session. The wait began at begin.
func (s *session) nextLook(begin, now time.Time) (time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	next := time.Hour
	if s.client {
		// A stream that is opened meanwhile does not wake who waits.
		next = s.alive
	}
	if s.announced && !s.drained {
		if now.Before(s.until) {
			next = s.until.Sub(now)
		} else {
			s.lastGoAway()
		}
	}
	if s.drained && len(s.streams) == 0 {
		return 0, errDone
	}
	if len(s.streams) == 0 {
		since := begin
		if s.lastDone.After(since) {
			since = s.lastDone
		}
		if s.idle > 0 {
			if left := s.idle - now.Sub(since); left > 0 {
				next = min(next, left)
			} else {
				return 0, errIdle
			}
		}
		return next, nil
	}
	if !s.pinged.IsZero() {
		left := pingWait - now.Sub(s.pinged)
		if left <= 0 {
			return 0, errSilent
		}
		return min(next, left), nil
	}
	left := s.alive - now.Sub(begin)
	if left <= 0 {
		s.pinged = now
		s.output.ping(false, [8]byte{'a', 'l', 'i', 'v', 'e'})
		s.output.kick()
		left = pingWait
	}
	return min(next, left), nil
}

// patience bounds the wait for the n bytes that follow, if they are not there yet.
func (s *session) patience(n int) {
	if s.c.Reader().Buffered() < n {
		_ = s.c.SetReadDeadline(time.Now().Add(s.opts.HeadTimeout))
	}
}

// frameHeader reads the next frame's header.
func (s *session) frameHeader() (xhttp2.FrameHeader, error) {
	s.patience(9)
	fh, err := s.reader().ReadFrameHeader()
	if err == nil {
		s.patience(int(fh.Length))
		return fh, nil
	}
	return fh, s.frameError(err)
}

// frameError turns the framer's errors into ours.
func (s *session) frameError(err error) error {
	if code, ok := errors.AsType[xhttp2.ConnectionError](err); ok {
		reason := "malformed frame"
		if detail := s.reader().ErrorDetail(); detail != nil {
			reason = detail.Error()
		}
		return &connError{xhttp2.ErrCode(code), reason}
	}
	if bad, ok := errors.AsType[xhttp2.StreamError](err); ok {
		return &streamError{bad.StreamID, bad.Code, "malformed frame"}
	}
	if errors.Is(err, xhttp2.ErrFrameTooLarge) {
		return &connError{xhttp2.ErrCodeFrameSize, "a frame is larger than allowed"}
	}
	if errors.Is(err, io.EOF) {
		// A frame began, or none: the difference matters to nobody.
		return io.EOF
	}
	return err
}

// announceEnd begins the orderly end: the peer hears that it shall use another
// connection; what it has sent meanwhile is still served.
func (s *session) announceEnd() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.announced {
		return
	}
	s.announced = true
	s.until = time.Now().Add(drainWait)
	s.output.goAway(1<<31-1, xhttp2.ErrCodeNo, "")
	s.output.ping(false, drainPing)
	s.output.kick()
}

// drainPing is the ping behind the first GOAWAY. Once its answer is here, so
// is every request that was sent before the peer knew.
var drainPing = [8]byte{'d', 'r', 'a', 'i', 'n'}

// lastGoAway tells the peer which of its streams we have seen. mu is held.
func (s *session) lastGoAway() {
	if !s.drained {
		s.drained = true
		s.output.goAway(s.lastPeer, xhttp2.ErrCodeNo, "")
		s.output.kick()
	}
}

// fail ends the session: all streams fail with err, writes too. It does not
// close the connection. Only the first call does something.
func (s *session) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err = err
	if errors.Is(err, io.EOF) {
		err = errCut // io.EOF is how a body ends that is whole
	}
	for id, x := range s.streams {
		delete(s.streams, id)
		x.gone = true
		x.fail(err)
	}
	s.output.turns.clear()
}

// broken is called by the writer when the connection takes no bytes any more.
func (s *session) broken(err error) {
	s.fail(err)
	_ = s.c.Close()
}

// end says good-bye after run has returned why, and waits until the writer is
// done. It returns the first cause of the end. Nobody uses the connection then;
// it is not closed in any case.
func (s *session) end(why error) error {
	code, text := xhttp2.ErrCodeNo, ""
	bye := errors.Is(why, errIdle)
	if bad, ok := errors.AsType[*connError](why); ok {
		bye, code, text = true, bad.code, bad.reason
	}
	s.blame(why)
	s.mu.Lock()
	if bye && s.err == nil {
		s.output.goAway(s.lastPeer, code, text)
		s.output.kick()
	}
	s.mu.Unlock()
	s.fail(why)
	if bye || errors.Is(why, errDone) {
		s.linger()
	} else {
		_ = s.c.Close()
	}
	s.output.wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// blame notes why the connection ends, where only the session knows.
func (s *session) blame(why error) {
	switch {
	case errors.As(why, new(*connError)):
		s.c.SetCause(conn.ProtocolError)
	case errors.Is(why, errDone), errors.Is(why, errIdle) && s.c.Draining():
		s.c.SetCause(conn.Drained)
	case errors.Is(why, errIdle):
		s.c.SetCause(conn.IdleTimeout)
	case errors.Is(why, errSilent):
		s.c.SetCause(conn.Timeout)
	}
}

// linger lets the peer read our last frames: to close with bytes of its own
// unread would reset the connection and take them along.
func (s *session) linger() {
	// The writer is given as long as the linger takes.
	stop := time.AfterFunc(2*lingerTime, func() { _ = s.c.Close() })
	defer stop.Stop()
	s.output.wait()
	_ = s.c.CloseWrite()
	_ = s.c.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, s.c, lingerBytes)
}

// newDecoder makes the decoder of the peer's header blocks.
func newDecoder(emit func(hpack.HeaderField)) *hpack.Decoder {
	return hpack.NewDecoder(tableSize, emit)
}
