package proxytest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
)

// Network is a network in memory on which hosts have addresses. The zero value
// is ready to use, and empty: a connection to nobody is refused. Its methods
// are safe for concurrent use.
type Network struct {
	mu    sync.Mutex
	hosts map[string]func(net.Conn)
	dials map[string]int
	gates map[string]func() bool
	conns map[net.Conn]string
	wg    sync.WaitGroup
}

// Gate has connections to an address refused while open returns false.
func (n *Network) Gate(address string, open func() bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gates == nil {
		n.gates = make(map[string]func() bool)
	}
	n.gates[address] = open
}

// Cut breaks all connections to an address off.
func (n *Network) Cut(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c, at := range n.conns {
		if at == address {
			_ = c.Close()
		}
	}
}

// Dial connects to the host at address; it is a proxy.Options.Dial.
func (n *Network) Dial(_ context.Context, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dials == nil {
		n.dials = make(map[string]int)
	}
	n.dials[address]++
	host, ok := n.hosts[address]
	if gate := n.gates[address]; gate != nil && !gate() {
		ok = false
	}
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: "memory", Addr: conn.PipeAddr(address), Err: syscall.ECONNREFUSED}
	}
	near, far := conn.NewPipe("proxy", address)
	if n.conns == nil {
		n.conns = make(map[net.Conn]string)
	}
	n.conns[far] = address
	n.wg.Go(func() { host(far) })
	return near, nil
}

// Dials returns how often somebody dialed address.
func (n *Network) Dials(address string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials[address]
}

// Host puts a host on the network: serve is called with each connection, which
// it owns, in a goroutine of its own. serve nil takes the host off again.
func (n *Network) Host(address string, serve func(net.Conn)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if serve == nil {
		delete(n.hosts, address)
		return
	}
	if n.hosts == nil {
		n.hosts = make(map[string]func(net.Conn))
	}
	n.hosts[address] = serve
}

// HTTP puts an HTTP server of package net/http on the network, until the end of
// the test, or until kill: then it is off the network, with its connections
// closed.
func (n *Network) HTTP(t testing.TB, address string, h http.HandlerFunc) (kill func()) {
	t.Helper()
	l := &memoryListener{address: address, conns: make(chan net.Conn), done: make(chan struct{})}
	srv := &http.Server{Handler: h}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("host %s: %v", address, err)
		}
	})
	n.Host(address, l.take)
	var once sync.Once
	kill = func() {
		once.Do(func() {
			n.Host(address, nil)
			_ = srv.Close()
			wg.Wait()
		})
	}
	t.Cleanup(func() {
		kill()
		n.wg.Wait()
	})
	return kill
}

// Echo is a handler that answers with the name and what it was asked: method,
// URL, and the body.
func Echo(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, 0, 64)
		for buf := make([]byte, 1024); ; {
			k, err := r.Body.Read(buf)
			if body = append(body, buf[:k]...); err != nil {
				break
			}
		}
		_, _ = fmt.Fprintf(w, "%s: %s %s %s", name, r.Method, r.URL.RequestURI(), body)
	}
}

// memoryListener is a net.Listener that is given its connections.
type memoryListener struct {
	address string
	conns   chan net.Conn
	once    sync.Once
	done    chan struct{}
}

func (l *memoryListener) take(c net.Conn) {
	select {
	case l.conns <- c:
	case <-l.done:
		_ = c.Close()
	}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *memoryListener) Addr() net.Addr { return conn.PipeAddr(l.address) }
