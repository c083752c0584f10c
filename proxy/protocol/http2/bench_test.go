package http2

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// tcpPair returns the two ends of a connection through the loopback interface.
func tcpPair(t testing.TB) (a, b net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// over is a client whose server answers with h.
func over(t testing.TB, pipe bool, h stream.HandlerFunc) (*client, *conn.Conn) {
	a, b := tcpPair(t)
	if pipe {
		_ = a.Close()
		_ = b.Close()
		a, b = conn.Pipe()
	}
	c, _ := serve(t, b, protocol.ServerOptions{}, handlerFunc(h))
	return dial(t, a), c
}

// fixed answers with a body of size bytes.
func fixed(size int) stream.HandlerFunc {
	text := strings.Repeat("x", size)
	bodies := sync.Pool{New: func() any { return new(fixedBody) }}
	return func(context.Context, *stream.Request) (*stream.Response, error) {
		b := bodies.Get().(*fixedBody)
		b.pool, b.rest = &bodies, text
		resp := &b.resp
		resp.Reset()
		resp.Status, resp.ContentLength, resp.Body = 200, int64(size), b
		resp.Header.Add("content-type", "text/plain")
		resp.Header.Add("server", "bench")
		return resp, nil
	}
}

type fixedBody struct {
	pool *sync.Pool
	rest string
	resp stream.Response
}

func (b *fixedBody) Read(p []byte) (int, error) {
	n := copy(p, b.rest)
	if b.rest = b.rest[n:]; b.rest == "" {
		return n, io.EOF
	}
	return n, nil
}

func (b *fixedBody) Close() error { b.pool.Put(b); return nil }
func (b *fixedBody) Ready() bool  { return true }

// load sends b.N requests, callers of them at a time.
func load(b *testing.B, h stream.Handler, callers int) {
	b.ReportAllocs()
	b.SetBytes(1024)
	var wg sync.WaitGroup
	work := make(chan struct{}, callers)
	one := func(req *stream.Request, buf []byte) {
		req.Reset()
		req.Method, req.Scheme, req.Authority, req.Path = "GET", "http", "example.com", "/some/path"
		req.Header.Add("user-agent", "bench/1")
		req.Header.Add("accept", "*/*")
		resp, err := h.Handle(context.Background(), req)
		if err != nil {
			b.Error(err)
			return
		}
		for {
			if _, err := resp.Body.Read(buf); err != nil {
				if err != io.EOF {
					b.Error(err)
				}
				break
			}
		}
		_ = resp.Close()
	}
	for range callers {
		wg.Go(func() {
			var req stream.Request
			buf := make([]byte, 4096)
			for range work {
				one(&req, buf)
			}
		})
	}
	b.ResetTimer()
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	wg.Wait()
}

// BenchmarkDirect is client to server; BenchmarkProxied has one hop more, so
// the difference is what a proxied request costs.
func BenchmarkDirect(b *testing.B) {
	for name, callers := range map[string]int{"c1": 1, "c50": 50} {
		b.Run(name, func(b *testing.B) {
			cl, _ := over(b, false, fixed(1024))
			load(b, cl, callers)
		})
	}
}

func BenchmarkProxied(b *testing.B) {
	for name, callers := range map[string]int{"c1": 1, "c50": 50} {
		b.Run(name, func(b *testing.B) {
			behind, _ := over(b, false, fixed(1024))
			front, c := over(b, false, behind.Handle)
			load(b, front, callers)
			b.ReportMetric(float64(c.BytesWritten())/float64(b.N), "wire-B/op")
		})
	}
}

func BenchmarkPipe(b *testing.B) {
	for name, callers := range map[string]int{"c1": 1, "c50": 50} {
		b.Run(name, func(b *testing.B) {
			cl, _ := over(b, true, fixed(1024))
			load(b, cl, callers)
		})
	}
}

// BenchmarkStream moves one long body.
func BenchmarkStream(b *testing.B) {
	const size = 64 << 20
	behind, _ := over(b, false, fixed(size))
	front, _ := over(b, false, behind.Handle)
	b.SetBytes(size)
	b.ReportAllocs()
	buf := make([]byte, 32<<10)
	for range b.N {
		resp, err := front.Handle(context.Background(), get("/"))
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{resp.Body}, buf); n != size || err != nil {
			b.Fatal(n, err)
		}
		_ = resp.Close()
	}
}
