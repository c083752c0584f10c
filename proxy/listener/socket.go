package listener

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// socket is an open socket. Its connections go to the listener that owns it at
// the moment, so that another can take it over without a gap.
type socket struct {
	net.Listener
	owner atomic.Pointer[Listener]
	taken atomic.Bool // somebody is in accept
	once  sync.Once
	// done is closed by close, left when nobody is in accept any more.
	done, left chan struct{}
}

func newSocket(nl net.Listener, owner *Listener) *socket {
	s := &socket{Listener: nl, done: make(chan struct{}), left: make(chan struct{})}
	s.owner.Store(owner)
	return s
}

// close closes the socket. When it returns, all connections that were taken
// from it have been delivered.
func (s *socket) close() {
	s.once.Do(func() {
		s.takeQueued()
		close(s.done)
		_ = s.Listener.Close()
		if s.taken.Swap(true) {
			<-s.left
		}
	})
}

// maxQueued is the most connections that takeQueued takes.
const maxQueued = 4096

// takeQueued takes the connections that the system has accepted and nobody has
// asked for yet: their callers may have sent requests, which closing the socket
// would cost. A flood of new ones does not hold up the end.
func (s *socket) takeQueued() {
	for range maxQueued {
		nc := acceptNow(s.Listener)
		if nc == nil {
			return
		}
		s.deliver(nc)
	}
}

// longestPause is the most time between two tries to accept.
const longestPause = time.Second

// accept takes connections until the socket is closed (nil) or fails for good.
// While somebody does so already it returns nil at once.
func (s *socket) accept(log *slog.Logger) error {
	if s.taken.Swap(true) {
		return nil
	}
	defer close(s.left)
	for pause := time.Duration(0); ; {
		nc, err := s.Accept()
		if err == nil {
			pause = 0
			s.deliver(nc)
			continue
		}
		select {
		case <-s.done:
			return nil
		default:
		}
		name := s.owner.Load().opts.Name
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("listener %q: %w", name, err)
		}
		pause = min(max(2*pause, 5*time.Millisecond), longestPause)
		log.Warn("cannot accept a connection, trying again", "listener", name, "error", err, "in", pause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-s.done:
			timer.Stop()
			return nil
		}
	}
}

// deliver hands a connection to the owner.
func (s *socket) deliver(nc net.Conn) {
	for {
		owner := s.owner.Load()
		err := owner.take(nc)
		if err == nil {
			return
		}
		if !errors.Is(err, ErrStopped) || s.owner.Load() == owner {
			_ = nc.Close()
			return
		}
		// Another has taken the socket over meanwhile, and nc is for that one.
	}
}
