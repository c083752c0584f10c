package testserver

import (
	"net"
	"sync"
	"testing"
	"time"
)

// A Link is a way to a server that can be cut, held and slowed down, for servers
// that cannot be paused themselves. Its methods are safe for concurrent use.
type Link struct {
	// Addr is the host:port to connect to instead of the server's.
	Addr string

	target string
	t      testing.TB
	work   sync.WaitGroup

	mu    sync.Mutex
	door  net.Listener // nil while nobody is let in
	conns map[net.Conn]struct{}
	cut   bool
	delay time.Duration
	held  chan struct{} // not nil: bytes wait until it is closed
	ended chan struct{}
}

// NewLink makes a link to target; it ends with the test.
func NewLink(t testing.TB, target string) *Link {
	t.Helper()
	listener, err := net.Listen("tcp", Addr(t)) // one that Mend can have again after Refuse
	if err != nil {
		t.Fatal(err)
	}
	l := &Link{Addr: listener.Addr().String(), target: target, t: t, door: listener, conns: map[net.Conn]struct{}{}, ended: make(chan struct{})}
	t.Cleanup(l.close)
	l.work.Go(func() { l.accept(listener) })
	return l
}

// Cut breaks all connections; new ones break at once, until Mend.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	l.breakAll()
}

// Refuse breaks all connections and refuses new ones, until Mend.
func (l *Link) Refuse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	l.shut()
	l.breakAll()
}

// Hold keeps all bytes back, in both directions, until Mend: to both sides the
// other one hangs.
func (l *Link) Hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = make(chan struct{})
	}
}

// Delay lets each piece of bytes wait that long, in each direction.
func (l *Link) Delay(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = d
}

// Mend ends Cut, Refuse, Hold and Delay.
func (l *Link) Mend() {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.door == nil {
		door, err := net.Listen("tcp", l.Addr)
		if err != nil {
			l.t.Fatalf("testserver: listening again: %v", err)
		}
		l.door = door
		l.work.Go(func() { l.accept(door) })
	}
	l.cut, l.delay = false, 0
	if l.held != nil {
		close(l.held)
		l.held = nil
	}
}

func (l *Link) close() {
	close(l.ended)
	l.Refuse()
	l.work.Wait()
}

// shut is called with mu held.
func (l *Link) shut() {
	if l.door != nil {
		_ = l.door.Close() // it was good until now
		l.door = nil
	}
}

// breakAll is called with mu held.
func (l *Link) breakAll() {
	for c := range l.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, as of a peer that is gone
		}
		_ = c.Close()
	}
	clear(l.conns)
}

func (l *Link) accept(door net.Listener) {
	for {
		c, err := door.Accept()
		if err != nil {
			return
		}
		l.work.Go(func() { l.serve(c) })
	}
}

// keep notes a connection, or closes it when the link is cut.
func (l *Link) keep(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		_ = c.Close()
		return false
	}
	l.conns[c] = struct{}{}
	return true
}

func (l *Link) serve(down net.Conn) {
	if !l.keep(down) {
		return
	}
	defer down.Close() //nolint:errcheck // it was given up
	up, err := net.DialTimeout("tcp", l.target, 10*time.Second)
	if err != nil || !l.keep(up) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.copy(up, down) })
	both.Go(func() { l.copy(down, up) })
	both.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, up)
	delete(l.conns, down)
}

// copy moves bytes one way until either side ends, and then ends both.
func (l *Link) copy(to, from net.Conn) {
	defer to.Close()   //nolint:errcheck // it was given up
	defer from.Close() //nolint:errcheck // it was given up
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if !l.wait() {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// wait is what Hold and Delay ask for; false when the link has ended.
func (l *Link) wait() bool {
	l.mu.Lock()
	delay, held := l.delay, l.held
	l.mu.Unlock()
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.ended:
			return false
		}
	}
	if held != nil {
		select {
		case <-held:
		case <-l.ended:
			return false
		}
	}
	return true
}
