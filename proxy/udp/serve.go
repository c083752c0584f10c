package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/tcp/l4"
)

// maxDatagram is the size of the largest datagram in bytes.
const maxDatagram = 64 << 10

// server is one socket with the sessions of its clients.
type server struct {
	p      *Proxy
	ctx    context.Context
	socket socket

	mu       sync.Mutex
	sessions map[key]*session
	running  sync.WaitGroup
}

// key is what a session is found by.
type key struct {
	client netip.AddrPort
	// local is the address that the client wrote to, if the socket has
	// several; else not valid.
	local netip.Addr
}

// socket is where clients' datagrams come in.
type socket interface {
	// read waits for a datagram and puts it into b. It is called from one
	// goroutine and must not allocate.
	read(b []byte) (n int, from key, err error)
	// back returns what write needs to answer a client from the address that
	// it wrote to, nil if nothing.
	back(to key) []byte
	// write sends an answer. It is called from many goroutines.
	write(b []byte, to netip.AddrPort, back []byte) error
	close()
	// local is where the socket is bound; not valid if that is no IP address.
	local() netip.AddrPort
}

// Serve passes datagrams on that arrive at pc, until ctx ends (nil) or the
// socket fails for good. It owns pc and closes it; when it returns all sessions
// have ended. Several calls may share a Proxy, and its limit.
func (p *Proxy) Serve(ctx context.Context, pc net.PacketConn) error {
	ctx, cancel := context.WithCancel(ctx)
	s := &server{p: p, ctx: ctx, socket: newSocket(pc), sessions: make(map[key]*session)}
	stop := context.AfterFunc(ctx, s.socket.close)
	err := s.receive()
	cancel()
	stop()
	s.socket.close()
	s.closeAll()
	s.running.Wait()
	return err
}

// receive takes datagrams until ctx ends or the socket fails for good.
func (s *server) receive() error {
	b := make([]byte, maxDatagram)
	const longest = time.Second
	for pause := time.Duration(0); ; {
		n, from, err := s.socket.read(b)
		switch {
		case err == nil:
			pause = 0
			s.take(from, b[:n])
			continue
		case s.ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("listener %q: %w", s.p.deps.Listener, err)
		}
		// Somebody's complaint about an answer, or a shortage.
		pause = min(max(2*pause, 5*time.Millisecond), longest)
		s.p.deps.Log.Warn("cannot receive a datagram, trying again", "listener", s.p.deps.Listener, "error", err, "in", pause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			timer.Stop()
		}
	}
}

// take passes one datagram on. b is reused afterwards.
func (s *server) take(from key, b []byte) {
	for {
		s.mu.Lock()
		ss := s.sessions[from]
		s.mu.Unlock()
		if ss == nil {
			if ss = s.open(from); ss == nil {
				return
			}
		}
		if ss.take(b) {
			return
		}
		s.forget(ss) // it ended just now
	}
}

// open makes a session, nil if there can be none.
func (s *server) open(from key) *session {
	if n := s.p.sessions.Add(1); n > int64(s.p.cfg.MaxSessions) {
		s.p.sessions.Add(-1)
		s.p.full()
		return nil
	}
	ss := newSession(s, from)
	cluster, ok := s.p.routes.Cluster(ss.record.Source, ss.record.Destination)
	if !ok {
		s.p.sessions.Add(-1)
		s.p.refused.Add(1)
		return nil
	}
	ss.record.Cluster = cluster
	s.p.opened.Add(1)
	s.mu.Lock()
	s.sessions[from] = ss
	s.mu.Unlock()
	s.running.Go(ss.run)
	return ss
}

// forget has the client's next datagram open another session.
func (s *server) forget(ss *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[ss.from] == ss {
		delete(s.sessions, ss.from)
	}
}

func (s *server) closeAll() {
	s.mu.Lock()
	all := make([]*session, 0, len(s.sessions))
	for _, ss := range s.sessions {
		all = append(all, ss)
	}
	s.mu.Unlock()
	for _, ss := range all {
		ss.end(l4.Stopped, &stream.Error{Kind: stream.Stopping, Op: "the session was cut off"})
	}
}
