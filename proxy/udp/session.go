package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/tcp/l4"
)

// maxWaiting is how many datagrams wait while a host is being connected.
const maxWaiting = 16

// session passes one client's datagrams on to a host, and the answers back.
type session struct {
	s    *server
	from key
	back []byte // for the socket's write

	start time.Time
	last  atomic.Int64 // when the last datagram passed, in ns since start

	mu sync.Mutex
	// host is where datagrams go; nil while one is being connected.
	host hostSocket
	// waiting are datagrams that came meanwhile.
	waiting [][]byte
	timer   *time.Timer // calls watch
	over    bool
	record  l4.Record
}

// hostSocket is a connection to a host.
type hostSocket interface {
	// read waits for a datagram and calls f with it, while it holds a buffer.
	read(f func(b []byte)) error
	// write sends a datagram, or fails, without waiting.
	write(b []byte) error
	close()
}

func newSession(s *server, from key) *session {
	local := s.socket.local()
	if from.local.IsValid() {
		local = netip.AddrPortFrom(from.local, local.Port())
	}
	ss := &session{s: s, from: from, back: s.socket.back(from), start: time.Now()}
	ss.record = l4.Record{
		Listener:    s.p.deps.Listener,
		Label:       s.p.cfg.StatPrefix,
		Source:      netip.AddrPortFrom(from.client.Addr().Unmap(), from.client.Port()),
		Destination: netip.AddrPortFrom(local.Addr().Unmap(), local.Port()),
		Start:       ss.start,
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.timer = time.AfterFunc(s.p.cfg.IdleTimeout, ss.watch)
	return ss
}

// touch notes that a datagram has passed.
func (ss *session) touch() { ss.last.Store(int64(time.Since(ss.start))) }

// watch ends the session if it was idle for long enough, and else looks again
// when that can be so at the earliest.
func (ss *session) watch() {
	left := ss.s.p.cfg.IdleTimeout - (time.Since(ss.start) - time.Duration(ss.last.Load()))
	ss.mu.Lock()
	defer ss.mu.Unlock()
	switch {
	case ss.over:
	case left > 0:
		ss.timer.Reset(left)
	default:
		ss.endLocked(l4.Idle, nil)
	}
}

// end ends the session, once.
func (ss *session) end(end l4.End, err *stream.Error) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.endLocked(end, err)
}

func (ss *session) endLocked(end l4.End, err *stream.Error) {
	if ss.over {
		return
	}
	ss.over = true
	ss.record.End = end
	if err != nil {
		ss.record.Err = err
	}
	ss.timer.Stop()
	ss.s.p.dropped.Add(int64(len(ss.waiting)))
	ss.waiting = nil
	if ss.host != nil {
		ss.host.close()
		ss.host = nil
	}
}

// take passes a datagram of the client on. It reports false, having done
// nothing, when the session is over.
func (ss *session) take(b []byte) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.over {
		return false
	}
	ss.touch()
	ss.send(b)
	return true
}

// send sends a datagram to the host, or keeps it until there is one. mu is held.
func (ss *session) send(b []byte) {
	if ss.host != nil {
		err := ss.host.write(b)
		if err == nil {
			ss.record.Sent += int64(len(b))
			return
		}
		if !unreachable(err) {
			ss.s.p.dropped.Add(1)
			return
		}
		// The error is about an earlier datagram, this one was not sent.
		ss.host.close() // run notices
		ss.host = nil
	}
	if len(ss.waiting) == maxWaiting {
		ss.s.p.dropped.Add(1)
		return
	}
	ss.waiting = append(ss.waiting, slices.Clone(b))
}

// unreachable reports whether a host, or the network before it, has refused a
// datagram (by ICMP).
func unreachable(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)
}

// run connects to hosts and brings answers back until the session is over.
func (ss *session) run() {
	defer func() {
		if p := recover(); p != nil {
			ss.s.p.deps.Log.Error("panic while serving a session", "listener", ss.record.Listener,
				"peer", ss.from.client.String(), "panic", p, "stack", string(debug.Stack()))
			ss.end(l4.Unknown, &stream.Error{Kind: stream.Internal, Op: "passing datagrams on", Err: fmt.Errorf("panic: %v", p)})
		}
		ss.s.forget(ss)
		ss.s.p.sessions.Add(-1)
		ss.record.Duration = time.Since(ss.start)
		ss.s.p.deps.Record(ss.record) // nobody changes it any more
	}()
	var tried []string // hosts that refused, since the last answer
	for {
		answered, err := ss.useHost(tried)
		if err == nil {
			return
		}
		if answered {
			tried = nil
		}
		ss.mu.Lock()
		host := ss.record.Host
		ss.mu.Unlock()
		if tried = append(tried, host); len(tried) >= ss.s.p.cfg.MaxConnectAttempts {
			ss.end(l4.HostBroke, &stream.Error{Kind: stream.Connect, Side: stream.Upstream, Op: "host " + host, Err: err})
			return
		}
	}
}

// useHost connects to a host and passes datagrams until the session is over
// (nil), or the host does not want to (its error).
func (ss *session) useHost(tried []string) (answered bool, refusal error) {
	up, attempts, err := ss.s.p.deps.Dial.Connect(ss.s.ctx, l4.Attempt{
		Network:     "udp",
		Cluster:     ss.record.Cluster,
		Source:      ss.record.Source,
		Destination: ss.record.Destination,
		Tried:       slices.Clone(tried),
	}, ss.s.p.cfg.MaxConnectAttempts)
	if err == nil {
		defer func() {
			_ = up.Conn.Close()
			if up.Done != nil {
				up.Done(refusal)
			}
		}()
	}
	ss.mu.Lock()
	ss.record.Attempts += attempts
	ss.record.Host = up.Host
	if err != nil {
		end := l4.NotConnected
		if ss.s.ctx.Err() != nil {
			end = l4.Stopped
		}
		ss.endLocked(end, stream.AsError(err))
	}
	if ss.over {
		ss.mu.Unlock()
		return false, nil
	}
	if ss.record.Connect == 0 {
		ss.record.Connect = time.Since(ss.start)
	}
	host := newHostSocket(up.Conn)
	ss.host = host
	waiting := ss.waiting
	ss.waiting = nil
	for _, b := range waiting {
		ss.send(b)
	}
	ss.mu.Unlock()

	answer := func(b []byte) {
		answered = true
		ss.answer(b)
	}
	for {
		err := host.read(answer)
		if err == nil {
			continue
		}
		ss.mu.Lock()
		defer ss.mu.Unlock()
		switch {
		case ss.over:
			return answered, nil
		case unreachable(err):
			host.close()
			ss.host = nil
			return answered, err
		case errors.Is(err, net.ErrClosed): // by send
			return answered, syscall.ECONNREFUSED
		}
		ss.endLocked(l4.HostBroke, &stream.Error{Kind: stream.Reset, Side: stream.Upstream, Op: "host " + up.Host, Err: err})
		return answered, nil
	}
}

// answer sends a datagram of the host to the client.
func (ss *session) answer(b []byte) {
	ss.touch()
	if err := ss.s.socket.write(b, ss.from.client, ss.back); err != nil {
		ss.s.p.dropped.Add(1)
		return
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if !ss.over {
		ss.record.Received += int64(len(b))
	}
}
