package mqtt

import (
	"log/slog"
	"net"
	"sync"

	"github.com/mochi-mqtt/server/v2/listeners"
)

// listener accepts connections for the server. Unlike the server's own, it can be
// stopped before the server is closed: a client that comes while the server waits for
// its clients to end is a data race in the server.
type listener struct {
	net.Listener
	serving sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	conns   map[net.Conn]bool
}

func listen(addr string) (*listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &listener{Listener: l, conns: make(map[net.Conn]bool)}, nil
}

// ID, Protocol, Address and Init are what the server asks of a listener.
func (*listener) ID() string                { return "tcp" }
func (*listener) Protocol() string          { return "tcp" }
func (l *listener) Address() string         { return l.Addr().String() }
func (*listener) Init(*slog.Logger) error   { return nil }
func (l *listener) Close(listeners.CloseFn) { l.stop() }

// Serve hands connections to the server until stop.
func (l *listener) Serve(establish listeners.EstablishFn) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if !l.begin(c) {
			_ = c.Close()
			continue
		}
		go func() {
			defer l.serving.Done()
			_ = establish(l.ID(), c) // the client's end
			l.mu.Lock()
			defer l.mu.Unlock()
			delete(l.conns, c)
		}()
	}
}

func (l *listener) begin(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopped {
		l.conns[c] = true
		l.serving.Add(1)
	}
	return !l.stopped
}

// stop breaks all connections and returns when the server has done with them.
func (l *listener) stop() {
	l.mu.Lock()
	l.stopped = true
	for c := range l.conns {
		_ = c.Close()
	}
	l.mu.Unlock()
	_ = l.Listener.Close()
	l.serving.Wait()
}
