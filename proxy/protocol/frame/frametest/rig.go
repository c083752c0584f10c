package frametest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// peer is an end of a connection that the test plays.
type peer struct {
	net.Conn
	s   *suite
	buf []byte
}

// send writes frames at once.
func (p *peer) send(frames ...[]byte) {
	p.s.Helper()
	if _, err := p.Write(slices.Concat(frames...)); err != nil {
		p.s.Fatalf("write: %v", err)
	}
}

// next reads a frame; the error is that of the connection.
func (p *peer) next() (*frame.Message, error) {
	for {
		n, err := p.s.codec.Size(p.buf)
		if err != nil {
			return nil, err
		}
		if n > 0 && n <= len(p.buf) {
			f := p.buf[:n:n]
			p.buf = p.buf[n:]
			return frame.Parse(p.s.codec, f)
		}
		b := make([]byte, 4096)
		n, err = p.Read(b)
		if p.buf = append(p.buf, b[:n]...); err != nil && n == 0 {
			return nil, err
		}
	}
}

// receive reads a frame of this type.
func (p *peer) receive(want frame.Type) *frame.Message {
	p.s.Helper()
	_ = p.SetReadDeadline(time.Now().Add(time.Hour))
	m, err := p.next()
	if err != nil || m.Type != want {
		p.s.Fatalf("got %+v, %v; want a frame of type %d", m, err, want)
	}
	return m
}

// nothing fails the test if anything comes within a minute but the end.
func (p *peer) nothing() {
	p.s.Helper()
	_ = p.SetReadDeadline(time.Now().Add(time.Minute))
	if m, err := p.next(); err == nil {
		p.s.Fatalf("got %+v, want nothing", m)
	}
	_ = p.SetReadDeadline(time.Time{})
}

// ended fails the test if the connection is not ended within an hour.
func (p *peer) ended() {
	p.s.Helper()
	_ = p.SetReadDeadline(time.Now().Add(time.Hour))
	if m, err := p.next(); !errors.Is(err, io.EOF) {
		p.s.Fatalf("got %+v, %v; want the end of the connection", m, err)
	}
}

// served is a connection to a server.
type served struct {
	*peer
	conn *conn.Conn // the server's end
	// over gets what ServeConn has returned.
	over chan error
}

// serve has h answer the frames of a connection.
func (s *suite) serve(h stream.Handler, extend map[string]any) *served {
	s.Helper()
	srv, err := frame.New(s.codec, frame.Options{}).NewServer(protocol.ServerOptions{Extend: extend})
	if err != nil {
		s.Fatal(err)
	}
	near, far := conn.NewPipe("caller", "server")
	v := &served{peer: &peer{Conn: near, s: s}, conn: conn.New(far), over: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		err := srv.ServeConn(ctx, v.conn, h)
		_ = v.conn.Close()
		v.conn.Free()
		v.over <- err
	})
	s.Cleanup(func() {
		_ = near.Close()
		cancel()
		wg.Wait()
	})
	return v
}

// dial makes a client whose host the test plays.
func (s *suite) dial(codec frame.Codec, opts frame.Options) (protocol.Client, *peer) {
	near, far := conn.NewPipe("client", "host")
	cl := frame.New(codec, opts).NewClient(conn.New(near), protocol.ClientOptions{})
	s.Cleanup(func() {
		_ = cl.Close()
		_ = far.Close()
	})
	return cl, &peer{Conn: far, s: s}
}

// request is a request as a server has read it from a frame: for a client.
func (s *suite) request(f []byte) *stream.Request {
	s.Helper()
	m := s.decode(f)
	return &stream.Request{
		Method: m.Method, Header: *m.Header, Timeout: m.Timeout, OneWay: m.Type == frame.OneWay,
		Body: body(m.Payload()), ContentLength: int64(len(m.Payload())),
	}
}

type payload struct{ *bytes.Reader }

func (payload) Close() error { return nil }
func (payload) Ready() bool  { return true }

func body(b []byte) io.ReadCloser { return payload{bytes.NewReader(b)} }

// answer answers with a body.
func answer(b []byte) *stream.Response {
	return &stream.Response{Status: 200, Body: body(b), ContentLength: int64(len(b))}
}

// echo answers with the request's payload.
func echo(_ context.Context, req *stream.Request) (*stream.Response, error) {
	if req.Body == nil {
		return answer(nil), nil
	}
	b, err := io.ReadAll(req.Body)
	return answer(b), err
}

// pooled is the pool of a protocol's clients, whose connections serve is given.
func (s *suite) pooled(serve func(net.Conn)) upstream.Sender {
	pool := upstream.New(upstream.PoolOptions{
		Name: "host", Protocol: frame.New(s.codec, frame.Options{}), ConnectTimeout: time.Second,
		Dial: func(context.Context) (net.Conn, error) {
			near, far := conn.NewPipe("proxy", "host")
			go serve(far)
			return near, nil
		},
	})
	s.Cleanup(pool.Close)
	return pool
}

// withID returns a copy of a frame with another id.
func (s *suite) withID(f []byte, id uint64) []byte {
	s.Helper()
	if c, ok := s.codec.(frame.Elastic); ok {
		m := &frame.Message{Frame: f}
		if err := c.Decode(m); err != nil {
			s.Fatalf("Decode of %x: %v", f, err)
		}
		return append(c.AppendID(nil, m, id), f[m.Start:]...)
	}
	f = slices.Clone(f)
	s.codec.SetID(f, id)
	return f
}
