package rpc

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// tap stands on the way to an address: it passes connections on, counts what goes
// through, and breaks them off when it is told to.
type tap struct {
	addr string
	// opened counts connections, and there and back bytes.
	opened, there, back atomic.Int64

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// newTap returns a tap to an address that works until the end of the test.
func newTap(t testing.TB, to string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{addr: l.Addr().String(), conns: make(map[net.Conn]struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				t.Errorf("on the way to %s: %v", to, err)
				_ = near.Close()
				continue
			}
			p.opened.Add(1)
			p.keep(near, far)
			wg.Go(func() { p.pass(far, near, &p.there) })
			wg.Go(func() { p.pass(near, far, &p.back) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		wg.Wait()
		p.cut() // one that came in between
	})
	return p
}

func (p *tap) keep(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.conns[c] = struct{}{}
	}
}

// pass passes bytes on until one of the two ends.
func (p *tap) pass(dst, src net.Conn, count *atomic.Int64) {
	defer func() {
		_, _ = dst.Close(), src.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, dst)
		delete(p.conns, src)
	}()
	_, _ = io.Copy(counter{dst, count}, src)
}

// cut breaks all connections off.
func (p *tap) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// counter counts the bytes that are written.
type counter struct {
	io.Writer
	count *atomic.Int64
}

func (c counter) Write(b []byte) (int, error) {
	c.count.Add(int64(len(b)))
	return c.Writer.Write(b)
}
