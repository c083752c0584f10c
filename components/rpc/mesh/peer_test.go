package mesh_test

import (
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/bolt"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// peer is a service over Bolt or Dubbo that reads and writes frames itself, without the
// proxy's engine. It answers heartbeats, and each request on a goroutine of its own.
type peer struct {
	codec  frame.Codec
	l      net.Listener
	handle func(p *peer, m *frame.Message) *frame.Message // nil: no answer
	wg     sync.WaitGroup
	stop   chan struct{} // closed when the test ends

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	total int // connections so far
}

func serve(t *testing.T, codec frame.Codec, handle func(p *peer, m *frame.Message) *frame.Message) *peer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{codec: codec, l: l, handle: handle, stop: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		close(p.stop)
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *peer) address() string { return p.l.Addr().String() }

// cut closes all connections.
func (p *peer) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *peer) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}

func (p *peer) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.conns[c] = struct{}{}
		p.total++
		p.mu.Unlock()
		p.wg.Go(func() { p.serve(c) })
	}
}

func (p *peer) serve(c net.Conn) {
	defer func() {
		_ = c.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, c)
	}()
	var writing sync.Mutex
	for {
		f, err := p.read(c)
		if err != nil {
			return
		}
		m, err := frame.Parse(p.codec, f)
		if err != nil {
			return
		}
		p.wg.Go(func() {
			var out *frame.Message
			if m.Type == frame.Heartbeat {
				reply := p.codec.Reply(m, nil)
				out = &reply
			} else if out = p.handle(p, m); out == nil {
				return
			}
			if out.Header == nil {
				out.Header = new(stream.Header)
			}
			out.ID, out.Request = m.ID, m
			b, err := p.codec.Append(nil, out)
			if err != nil {
				return
			}
			writing.Lock()
			defer writing.Unlock()
			_, _ = c.Write(b) // the other end may have gone
		})
	}
}

// read reads one frame: it has as many bytes as the codec says of what there is.
func (p *peer) read(c net.Conn) ([]byte, error) {
	f := make([]byte, 0, 64)
	for {
		size, err := p.codec.Size(f)
		switch {
		case err != nil:
			return nil, err
		case size > 0:
			whole := make([]byte, size)
			n := copy(whole, f)
			_, err := io.ReadFull(c, whole[n:])
			return whole, err
		case len(f) == cap(f):
			return nil, errors.New("no size")
		}
		if _, err := io.ReadFull(c, f[len(f):len(f)+1]); err != nil {
			return nil, err
		}
		f = f[:len(f)+1]
	}
}

// answer makes an answer with a status.
func answer(status int, body string, fields ...string) *frame.Message {
	m := &frame.Message{Type: frame.Response, Code: status, Header: new(stream.Header), Body: []byte(body)}
	for i := 0; i < len(fields); i += 2 {
		m.Header.Add(fields[i], fields[i+1])
	}
	return m
}

// echo says what has come. The method "status" asks for an answer with the
// status that the payload says, "wait" for none while the test runs.
func echo(p *peer, m *frame.Message) *frame.Message {
	switch m.Method {
	case "status":
		n, _ := strconv.Atoi(string(m.Payload()))
		return answer(n, "sorry")
	case "wait":
		<-p.stop
		return nil
	}
	if m.Type == frame.OneWay {
		return nil
	}
	return answer(bolt.Success, string(m.Payload()), "class", "the-class", "x-method", m.Method, "x-service", m.Header.Get("sofa_head_target_service"),
		"x-a", m.Header.Get("x-a"), "x-timeout", m.Timeout.String())
}
