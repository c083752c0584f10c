package tcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/tcp/l4"
)

// session is a client's connection joined with one to a host.
type session struct {
	client   *conn.Conn
	host     net.Conn
	done     func(error)
	up, down flow // from the client to the host, and back

	start time.Time
	idle  time.Duration
	last  atomic.Int64 // when the last byte passed, in ns since start
	timer *time.Timer  // calls watch; guarded by mu until both flows have ended

	mu  sync.Mutex
	end l4.End
	err error // a *stream.Error; nil after an end in order, and when idle
	// broken says that the end was none in order; the other side is to see that.
	broken bool
	panic  string
	closed bool // by closeBoth
	over   bool // both flows have ended; nothing changes any more
}

func newSession(c *conn.Conn, up l4.Upstream, idle time.Duration) *session {
	s := &session{client: c, host: up.Conn, done: up.Done, start: time.Now(), idle: idle}
	// What stood in the way before (a look at the first bytes, a handshake)
	// may have left a deadline.
	_ = c.SetDeadline(time.Time{})
	_ = s.host.SetDeadline(time.Time{})
	s.up = flow{s: s, first: c, src: c.Conn, dst: s.host, closed: l4.ClientClosed, srcBroke: l4.ClientBroke, dstClosed: l4.HostClosed, dstBroke: l4.HostBroke}
	s.down = flow{s: s, src: s.host, dst: c.Conn, closed: l4.HostClosed, srcBroke: l4.HostBroke, dstClosed: l4.ClientClosed, dstBroke: l4.ClientBroke}
	return s
}

// run passes bytes on until the session is over.
func (s *session) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		s.cut(l4.Stopped, &stream.Error{Kind: stream.Stopping, Op: "the connection was cut off", Err: context.Cause(ctx)})
	})
	if s.idle > 0 {
		s.mu.Lock()
		s.timer = time.AfterFunc(s.idle, s.watch)
		s.mu.Unlock()
	}
	var both sync.WaitGroup
	both.Go(s.down.run)
	s.up.run()
	both.Wait()
	stop()

	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.closeBoth()
	if s.done != nil {
		var hosts error
		if s.end == l4.HostBroke {
			hosts = s.err
		}
		s.done(hosts)
	}
	if s.panic != "" {
		panic(s.panic) // the listener reports it
	}
	return s.err
}

// touch notes that a byte has passed.
func (s *session) touch() { s.last.Store(int64(time.Since(s.start))) }

// watch ends the session if it was idle for long enough, and else looks again
// when that can be so at the earliest.
func (s *session) watch() {
	left := s.idle - (time.Since(s.start) - time.Duration(s.last.Load()))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	if left > 0 {
		s.timer.Reset(left)
		return
	}
	s.note(l4.Idle, nil)
	s.closeBoth()
}

// note keeps why the session ended: the first failure or the idle timeout, or
// else which side was the first to end its direction. mu is held.
func (s *session) note(end l4.End, err *stream.Error) {
	switch {
	case s.err != nil || s.end == l4.Idle:
	case err != nil:
		s.end, s.err = end, err
	case end == l4.Idle || s.end == l4.Unknown:
		s.end = end
	}
}

// cut ends both directions at once. Neither side can take it for an end in order.
func (s *session) cut(end l4.End, err *stream.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.closed && end == l4.Stopped {
		return // why it ended is known
	}
	s.note(end, err)
	s.broken = true
	s.closeBoth()
}

// closeBoth closes both connections. mu is held.
func (s *session) closeBoth() {
	s.closed = true
	if s.broken {
		abort(s.client.Conn)
		abort(s.host)
	}
	_ = s.client.Close()
	_ = s.host.Close()
}

// abort closes a connection such that its peer sees a failure: without TLS's
// farewell, and with a reset over TCP. Others are closed by Close, as best they can.
func abort(nc net.Conn) {
	inner := nc
	for {
		t, ok := inner.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		inner = t.NetConn()
	}
	if l, ok := inner.(interface{ SetLinger(sec int) error }); ok {
		_ = l.SetLinger(0)
	}
	if inner != nc {
		_ = inner.Close()
	}
}

// run passes the bytes of one direction on, until its end.
func (f *flow) run() {
	defer func() {
		if p := recover(); p != nil {
			// A defect of ours or of a connection's: nobody else's connection
			// is to suffer. ServeConn panics in its own goroutine, where the
			// listener expects it.
			f.s.mu.Lock()
			f.s.panic = fmt.Sprintf("%v\n%s", p, debug.Stack())
			f.s.mu.Unlock()
			f.s.cut(l4.Unknown, &stream.Error{Kind: stream.Internal, Op: "passing bytes on", Err: fmt.Errorf("panic: %v", p)})
		}
	}()
	f.finish(f.copy())
}

// finish tells the rest of the session how the direction ended.
func (f *flow) finish(err error) {
	switch {
	case err == nil:
		f.ended()
	case errors.Is(err, errNotWritten): // writeFailed has told
	case errors.Is(err, net.ErrClosed): // by us: by cut or watch, or by the listener
		f.s.cut(l4.Stopped, &stream.Error{Kind: stream.Stopping, Op: "the connection was cut off", Err: err})
	default:
		f.s.cut(f.srcBroke, &stream.Error{Kind: stream.Reset, Side: side(f.srcBroke), Op: "read", Err: err})
	}
}

// ended passes the end of the direction on.
func (f *flow) ended() {
	s := f.s
	if dead(f.src) {
		// A reset is reported once, either to the write that is under way in
		// the other direction or here. If it was the write, the end that we
		// see is no end in order; wait until the write has said so.
		other := s.other(f)
		other.writing.Lock()
		defer other.writing.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(f.closed, nil)
	if s.broken || !closeWrite(f.dst) {
		s.closeBoth() // it cannot be told otherwise
	}
}

// writeFailed notes that dst takes no more, and returns errNotWritten. dst may
// still have something to say, so its direction goes on until it ends: soon if
// the connection is dead. writing is held.
func (f *flow) writeFailed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	s := f.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if conn.LeftInOrder(err) {
		s.note(f.dstClosed, nil)
		return errNotWritten
	}
	s.note(f.dstBroke, &stream.Error{Kind: stream.Reset, Side: side(f.dstBroke), Op: "write", Err: err})
	s.broken = true
	return errNotWritten
}

func (s *session) other(f *flow) *flow {
	if f == &s.up {
		return &s.down
	}
	return &s.up
}

func side(e l4.End) stream.Side {
	if e == l4.ClientBroke {
		return stream.Downstream
	}
	return stream.Upstream
}

func closeWrite(nc net.Conn) bool {
	h, ok := nc.(interface{ CloseWrite() error })
	if ok {
		_ = h.CloseWrite() // if it is dead, the other direction learns that
	}
	return ok
}
