package http1

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// kilobyte is a body of 1 KiB that is at hand and can be used again.
type kilobyte struct{ left int }

func (k *kilobyte) Read(p []byte) (int, error) {
	n := min(len(p), k.left)
	clear(p[:n])
	if k.left -= n; k.left == 0 {
		return n, io.EOF
	}
	return n, nil
}

func (k *kilobyte) Ready() bool  { return true }
func (k *kilobyte) Close() error { return nil }

// static is a host that answers each request with 1 KiB, without allocating.
type static struct {
	resp stream.Response
	body kilobyte
}

func (s *static) Handle(_ context.Context, req *stream.Request) (*stream.Response, error) {
	if req.Body != nil {
		if _, err := io.Copy(io.Discard, onlyReader{req.Body}); err != nil {
			return nil, err
		}
	}
	s.body.left = 1024
	s.resp.Status, s.resp.ContentLength, s.resp.Body = 200, 1024, &s.body
	if s.resp.Header.Len() == 0 {
		s.resp.Header.Add("Content-Type", "application/octet-stream")
		s.resp.Header.Add("Server", "bench")
	}
	return &s.resp, nil
}

// hop has h answer over a pipe and returns the client of it.
func hop(b *testing.B, h stream.Handler) protocol.Client {
	client, server := conn.NewPipe("client", "server")
	srv, err := Protocol{}.NewServer(protocol.ServerOptions{})
	if err != nil {
		b.Fatal(err)
	}
	c := conn.New(server)
	c.Timeout = time.Minute
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = srv.ServeConn(b.Context(), c, h)
		_ = c.Close()
	}()
	up := conn.New(client)
	up.Timeout = time.Minute
	cl := Protocol{}.NewClient(up, protocol.ClientOptions{})
	b.Cleanup(func() {
		_ = cl.Close()
		<-over
	})
	return cl
}

func benchmarkHops(b *testing.B, hops int, body bool) {
	var h stream.Handler = new(static)
	for range hops {
		h = hop(b, h)
	}
	req := get("/some/path")
	req.Header.Add("User-Agent", "bench/1.0")
	req.Header.Add("Accept", "*/*")
	req.Header.Add("X-Request-Id", "0123456789abcdef")
	var data kilobyte
	if body {
		req.Method, req.Body, req.ContentLength = "POST", &data, 1024
	}
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		data.left = 1024
		req.Deadline = time.Now().Add(time.Minute)
		resp, err := h.Handle(b.Context(), req)
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = resp.Body.Read(buf)
		}
		_ = resp.Close()
	}
}

// A hop is one server and one client with a pipe between them: what a proxied
// request costs, as the proxy's server faces one side and its client the other.
func BenchmarkHop(b *testing.B) {
	b.Run("get", func(b *testing.B) { benchmarkHops(b, 1, false) })
	b.Run("post", func(b *testing.B) { benchmarkHops(b, 1, true) })
}

func BenchmarkTwoHops(b *testing.B) { benchmarkHops(b, 2, true) }

var benchHead = "GET /api/v1/orders/42?expand=lines HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: bench/1.0\r\nAccept: application/json\r\n" +
	"Accept-Encoding: gzip\r\nX-Request-Id: 0123456789abcdef\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nConnection: keep-alive\r\n\r\n"

func BenchmarkReadRequest(b *testing.B) {
	head := []byte(benchHead)
	c := heldConn(head)
	src := c.Conn.(*held)
	var req stream.Request
	var f framing
	b.SetBytes(int64(len(benchHead)))
	b.ReportAllocs()
	for b.Loop() {
		src.r.Reset(head)
		req.Reset()
		f.reset()
		if err := readRequest(c, 64<<10, nil, &req, &f); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadResponse(b *testing.B) {
	head := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1024\r\nServer: bench\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\n\r\n")
	c := heldConn(head)
	src := c.Conn.(*held)
	var resp stream.Response
	var f framing
	b.SetBytes(int64(len(head)))
	b.ReportAllocs()
	for b.Loop() {
		src.r.Reset(head)
		resp.Reset()
		f.reset()
		if err := readResponse(c, 64<<10, &resp, &f); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkChunked(b *testing.B) {
	for _, size := range []int{16, 1024, 32 << 10} {
		raw := new(bytes.Buffer)
		w := heldConn(nil)
		sink := w.Conn.(*held)
		for range 64 {
			if _, err := copyBody(w, strings.NewReader(strings.Repeat("x", size)), bodyChunked, -1, nil, nil); err != nil {
				b.Fatal(err)
			}
			raw.Write(bytes.TrimSuffix(sink.w.Bytes(), []byte("0\r\n\r\n")))
			sink.w.Reset()
		}
		raw.WriteString("0\r\n\r\n")
		b.Run(byteCount(size), func(b *testing.B) {
			c := heldConn(nil)
			src := c.Conn.(*held)
			var trailer stream.Header
			p := make([]byte, 32<<10)
			b.SetBytes(int64(raw.Len()))
			b.ReportAllocs()
			for b.Loop() {
				src.r.Reset(raw.Bytes())
				var r bodyReader
				r.reset(c, bodyChunked, 0, &trailer)
				for {
					if _, err := r.read(p); err != nil {
						if !r.done() {
							b.Fatal(err)
						}
						break
					}
				}
			}
		})
	}
}

func byteCount(n int) string {
	if n < 1024 {
		return "16B"
	}
	return map[int]string{1024: "1KiB", 32 << 10: "32KiB"}[n]
}

// onlyReader hides what else a connection can do.
type onlyReader struct{ io.Reader }
