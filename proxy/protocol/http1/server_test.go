package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// The clock of a bubble begins here.
const date = "Date: Sat, 01 Jan 2000 00:00:00 GMT\r\n"

// TestAnswers checks answers byte by byte.
func TestAnswers(t *testing.T) {
	const get11 = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
	const get10 = "GET / HTTP/1.0\r\n\r\n"
	const get10keep = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
	const head = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
	failing := func(kind stream.Kind, side stream.Side) stream.HandlerFunc {
		return func(context.Context, *stream.Request) (*stream.Response, error) {
			return nil, fmt.Errorf("somewhere: %w", &stream.Error{Kind: kind, Side: side, Op: "secret"})
		}
	}
	answering := func(f func() *stream.Response) stream.HandlerFunc {
		return func(context.Context, *stream.Request) (*stream.Response, error) { return f(), nil }
	}
	with := func(resp *stream.Response, fields ...string) *stream.Response {
		for i := 0; i < len(fields); i += 2 {
			resp.Header.Add(fields[i], fields[i+1])
		}
		return resp
	}
	for _, c := range []struct {
		name, request string
		handler       stream.HandlerFunc
		want          string
		closes        bool
	}{
		{
			"length", get11, answering(func() *stream.Response { return text(200, "hi") }),
			"HTTP/1.1 200 OK\r\n" + date + "Content-Length: 2\r\n\r\nhi", false,
		},
		{
			"chunked", get11, answering(func() *stream.Response { return flow(strings.NewReader("hi")) }),
			"HTTP/1.1 200 OK\r\n" + date + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false,
		},
		{
			"own date", get11, answering(func() *stream.Response { return with(text(200, ""), "date", "yesterday") }),
			"HTTP/1.1 200 OK\r\ndate: yesterday\r\nContent-Length: 0\r\n\r\n", false,
		},
		{
			"no body", get11, answering(func() *stream.Response { return &stream.Response{Status: 404} }),
			"HTTP/1.1 404 Not Found\r\n" + date + "Content-Length: 0\r\n\r\n", false,
		},
		{
			"unknown status", get11, answering(func() *stream.Response { return &stream.Response{Status: 499} }),
			"HTTP/1.1 499 \r\n" + date + "Content-Length: 0\r\n\r\n", false,
		},
		{"fields in order", get11, answering(func() *stream.Response {
			return with(text(200, ""), "B", "1", "a", "2", "B", "3", "Connection", "a", "Transfer-Encoding", "gzip", "Content-Length", "7", "Keep-Alive", "x")
		}), "HTTP/1.1 200 OK\r\n" + date + "B: 1\r\na: 2\r\nB: 3\r\nContent-Length: 0\r\n\r\n", false},
		{"trailers", get11, answering(func() *stream.Response {
			resp := flow(strings.NewReader("hi"))
			resp.Trailer.Add("A", "b")
			resp.Trailer.Add("Content-Length", "9")
			resp.Trailer.Add("Set-Cookie", "x")
			return resp
		}), "HTTP/1.1 200 OK\r\n" + date + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n", false},
		{"trailers that cannot be written", get11, answering(func() *stream.Response {
			resp := flow(strings.NewReader("hi"))
			resp.Trailer.Add("A", "b\r\nC: d")
			return resp
		}), "HTTP/1.1 200 OK\r\n" + date + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false},
		{
			"HEAD", head, answering(func() *stream.Response { return text(200, "hi") }),
			"HTTP/1.1 200 OK\r\n" + date + "Content-Length: 2\r\n\r\n", false,
		},
		{
			"HEAD, length not said", head, answering(func() *stream.Response { return flow(strings.NewReader("hi")) }),
			"HTTP/1.1 200 OK\r\n" + date + "\r\n", false,
		},
		{"204", get11, answering(func() *stream.Response { return text(204, "hi") }), "HTTP/1.1 204 No Content\r\n" + date + "\r\n", false},
		{
			"304", get11, answering(func() *stream.Response { return &stream.Response{Status: 304, ContentLength: 7} }),
			"HTTP/1.1 304 Not Modified\r\n" + date + "Content-Length: 7\r\n\r\n", false,
		},
		{
			"304, length not said", get11, answering(func() *stream.Response { return &stream.Response{Status: 304, ContentLength: -1} }),
			"HTTP/1.1 304 Not Modified\r\n" + date + "\r\n", false,
		},
		{
			"one-way", get11, answering(func() *stream.Response { return stream.NoResponse }),
			"HTTP/1.1 202 Accepted\r\n" + date + "Content-Length: 0\r\n\r\n", false,
		},
		{
			"1.0", get10, answering(func() *stream.Response { return text(200, "hi") }),
			"HTTP/1.1 200 OK\r\n" + date + "Content-Length: 2\r\nConnection: close\r\n\r\nhi", true,
		},
		{
			"1.0 kept", get10keep, answering(func() *stream.Response { return text(200, "hi") }),
			"HTTP/1.1 200 OK\r\n" + date + "Content-Length: 2\r\nConnection: keep-alive\r\n\r\nhi", false,
		},
		{
			"1.0 knows no chunks", get10keep, answering(func() *stream.Response { return flow(strings.NewReader("hi")) }),
			"HTTP/1.1 200 OK\r\n" + date + "Connection: close\r\n\r\nhi", true,
		},
		{
			"close", "GET / HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\n", answering(func() *stream.Response { return text(200, "hi") }),
			"HTTP/1.1 200 OK\r\n" + date + "Content-Length: 2\r\nConnection: close\r\n\r\nhi", true,
		},
		{"neither answer nor error", get11, answering(func() *stream.Response { return nil }), "500 proxy_internal_error", false},
		{"status of no answer", get11, answering(func() *stream.Response { return &stream.Response{Status: 101} }), "500 proxy_internal_error", false},
		{"status 0", get11, answering(func() *stream.Response { return &stream.Response{} }), "500 proxy_internal_error", false},
		{"status 1000", get11, answering(func() *stream.Response { return &stream.Response{Status: 1000} }), "500 proxy_internal_error", false},
		{"field splits the answer", get11, answering(func() *stream.Response { return with(text(200, "hi"), "A", "b\r\n\r\nHTTP/1.1 200 OK") }), "500 proxy_internal_error", false},
		{"field name is none", get11, answering(func() *stream.Response { return with(text(200, "hi"), "A b", "c") }), "500 proxy_internal_error", false},
		{"too late", get11, func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			req.Limit(time.Now())
			return text(200, "hi"), nil
		}, "504 http_response_timeout", false},
		{"any error", get11, func(context.Context, *stream.Request) (*stream.Response, error) { return nil, errors.New("secret") }, "500 proxy_internal_error", false},
		{"no route", get11, failing(stream.NoRoute, stream.Local), "404 destination_not_found", false},
		{"connect", get11, failing(stream.Connect, stream.Upstream), "503 connection_refused", false},
		{"timeout", get11, failing(stream.Timeout, stream.Upstream), "504 http_response_timeout", false},
		{"reset", get11, failing(stream.Reset, stream.Upstream), "502 connection_terminated", false},
		{"bad answer", get11, failing(stream.BadMessage, stream.Upstream), "502 http_protocol_error", false},
		{"bad request", get11, failing(stream.BadMessage, stream.Downstream), "400 http_protocol_error", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := serve(t, c.handler)
				s.send(t, c.request)
				synctest.Wait()
				if strings.HasPrefix(c.want, "HTTP/") {
					got := make([]byte, len(c.want))
					if n, err := io.ReadFull(s.r, got); err != nil || string(got) != c.want {
						t.Fatalf("got %q, %v\nwant %q", got[:n], err, c.want)
					}
				} else {
					a := s.answer(t, "GET")
					_, e, _ := strings.Cut(a.header.Get(stream.ProxyStatus), "; error=")
					if got := fmt.Sprintf("%d %s", a.status, e); got != c.want || a.body == "" {
						t.Fatalf("got %s %q, want %s", got, a.body, c.want)
					}
				}
				if c.closes {
					s.closed(t)
					return
				}
				// The next exchange follows on the same connection.
				s.send(t, get11[:10])
				synctest.Wait()
				if s.r.Buffered() > 0 {
					t.Fatal("more than the answer was sent")
				}
				select {
				case err := <-s.ended:
					t.Fatalf("the connection ended: %v", err)
				default:
				}
			})
		})
	}
}

// What is told of a failure depends on who asks: over a socket, no names.
func TestErrorsTellStrangersNothing(t *testing.T) {
	h := stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) {
		return nil, &stream.Error{Kind: stream.Connect, Op: "dial 10.1.2.3:80"}
	})
	ln := listen(t, h)
	nc, err := net.Dial("tcp", ln)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	_, _ = io.WriteString(nc, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: hush\r\n\r\n")
	got, err := io.ReadAll(nc)
	if err != nil || !strings.HasSuffix(string(got), "\r\n\r\nconnect\n") || strings.Contains(string(got), "10.1.2.3") || strings.Contains(string(got), "hush") {
		t.Errorf("got %q, %v", got, err)
	}
	bubble(t, func(t *testing.T) {
		s := serve(t, h)
		s.send(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		s.want(t, 503, "connect: dial 10.1.2.3:80\n")
	})
}

func TestPipelining(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			if req.Path == "/slow" {
				time.Sleep(time.Second)
			}
			if ctx.Err() != nil {
				t.Errorf("%s was canceled", req.Path)
			}
			return echo(ctx, req)
		}))
		s.send(t, "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n"+
			"POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"+
			"POST /slow HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"+
			"GET /4 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"+
			"GET /never HTTP/1.1\r\nHost: h\r\n\r\n")
		for _, want := range []string{"GET /slow ", "POST /2 abc", "POST /slow abc", "GET /4 "} {
			s.want(t, 200, want)
		}
		s.closed(t)
	})
}

func TestUnreadBodies(t *testing.T) {
	ignore := stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
		return text(200, req.Path), nil
	})
	for _, c := range []struct {
		name, framing, body string
		kept                bool
	}{
		{"short", "Content-Length: 5", "hello", true},
		{"long", fmt.Sprintf("Content-Length: %d", maxDrain+1), "", false},
		{"chunked", "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", false},
		{"waits for 100", "Expect: 100-continue\r\nContent-Length: 5", "", false},
		{"empty", "Content-Length: 0", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := serve(t, ignore)
				s.send(t, "POST /1 HTTP/1.1\r\nHost: h\r\n"+c.framing+"\r\n\r\n"+c.body)
				resp := s.want(t, 200, "/1")
				if resp.close == c.kept {
					t.Errorf("Connection: close is %v", resp.close)
				}
				if !c.kept {
					s.closed(t)
					return
				}
				s.send(t, "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n")
				s.want(t, 200, "/2")
			})
		})
	}
	// A short body that never comes is not waited for long.
	bubble(t, func(t *testing.T) {
		s := serve(t, ignore)
		start := time.Now()
		s.send(t, "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel")
		s.want(t, 200, "/1")
		s.closed(t)
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("the end took %v", d)
		}
	})
}

func TestContinue(t *testing.T) {
	const request = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
	const hundred = "HTTP/1.1 100 Continue\r\n\r\n"
	expectHundred := func(t *testing.T, s *served) {
		t.Helper()
		got := make([]byte, len(hundred))
		if _, err := io.ReadFull(s.r, got); err != nil || string(got) != hundred {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	bubble(t, func(t *testing.T) { // asked for when the body is
		asked := make(chan struct{})
		s := serve(t, stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			<-asked
			return echo(ctx, req)
		}))
		s.send(t, request)
		time.Sleep(time.Second)
		_ = s.SetReadDeadline(time.Now())
		if _, err := s.r.Peek(1); !timedOut(err) {
			t.Fatalf("100 came before the body was read: %v", err)
		}
		_ = s.SetReadDeadline(time.Time{})
		close(asked)
		expectHundred(t, s)
		s.send(t, "hello")
		s.want(t, 200, "POST / hello")
		s.send(t, request)
		expectHundred(t, s)
		s.send(t, "again")
		s.want(t, 200, "POST / again")
	})
	bubble(t, func(t *testing.T) { // not needed when the body is there
		s := serve(t, stream.HandlerFunc(echo))
		s.send(t, request+"hello")
		s.want(t, 200, "POST / hello")
	})
	bubble(t, func(t *testing.T) { // HTTP/1.0 does not know it
		s := serve(t, stream.HandlerFunc(echo))
		s.send(t, strings.Replace(request, "1.1", "1.0", 1))
		synctest.Wait()
		s.send(t, "hello")
		s.want(t, 200, "POST / hello")
	})
	bubble(t, func(t *testing.T) { // nothing in the middle of an answer
		release := make(chan struct{})
		failed := make(chan error, 1)
		s := serve(t, stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			body := req.Body
			go func() {
				<-release
				_, err := body.Read(make([]byte, 1))
				failed <- err
			}()
			r, w := io.Pipe()
			go func() {
				_, _ = io.WriteString(w, "one")
				close(release)
				time.Sleep(time.Second)
				_, _ = io.WriteString(w, "two")
				_ = w.Close()
			}()
			return flow(r), nil
		}))
		s.send(t, request)
		s.want(t, 200, "onetwo")
		wantError(t, <-failed, stream.Reset, stream.Local, false)
		s.closed(t)
	})
	bubble(t, func(t *testing.T) { // a caller who sends all the same is heard
		s := serve(t, stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			return flow(req.Body), nil
		}))
		s.send(t, request)
		for line := ""; line != "\r\n"; {
			var err error
			if line, err = s.r.ReadString('\n'); err != nil || strings.Contains(line, "100") {
				t.Fatal(line, err)
			}
		}
		time.Sleep(time.Second) // what curl waits for
		s.send(t, "hello")
		rest, err := io.ReadAll(s.r)
		if want := "5\r\nhello\r\n0\r\n\r\n"; err != nil || string(rest) != want {
			t.Errorf("got %q, %v", rest, err)
		}
	})
}

func TestSlowHead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, stream.HandlerFunc(echo), extend("read_header_timeout", "3s"), idle(time.Hour))
		s.send(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		s.want(t, 200, "GET / ")
		time.Sleep(time.Minute) // idle is not slow
		start := time.Now()
		var dripping sync.WaitGroup
		defer dripping.Wait()
		dripping.Go(func() {
			for _, b := range []byte("GET / HTTP/1.1\r\nHost: h\r\nA: bbbbbbbbbbbbbbbbbbbbbbbbbb") {
				if _, err := s.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
		s.want(t, 408, "the request head took too long\n")
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("refused after %v", d)
		}
		_ = s.Close()
		if err := <-s.ended; err != nil {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestIdle(t *testing.T) {
	for _, d := range []time.Duration{time.Second, 2 * time.Second, time.Minute} {
		bubble(t, func(t *testing.T) {
			s := serve(t, stream.HandlerFunc(echo), idle(d))
			start := time.Now()
			s.closed(t)
			if err := <-s.ended; err != nil || time.Since(start) != d {
				t.Errorf("idle %v: ended after %v: %v", d, time.Since(start), err)
			}
		})
	}
	bubble(t, func(t *testing.T) { // after an exchange, too; 0 is never
		s := serve(t, stream.HandlerFunc(echo))
		for range 3 {
			time.Sleep(24 * time.Hour)
			s.send(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			s.want(t, 200, "GET / ")
		}
	})
}

func TestEmptyLines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, stream.HandlerFunc(echo), extend("read_header_timeout", "3s"))
		s.send(t, "\r\nPOST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx\r\n")
		s.want(t, 200, "POST / x")
		time.Sleep(time.Minute) // the line behind the body is no slow head
		s.send(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		s.want(t, 200, "GET / ")
		s.send(t, "\r\n")
		time.Sleep(time.Second)
		s.send(t, "\r\n")
		s.want(t, 400, "empty lines before a request\n")
		s.closed(t)
	})
}

func TestBodyLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var calls atomic.Int32
		s := serve(t, stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			calls.Add(1)
			return echo(ctx, req)
		}), extend("max_request_body_size", 5))
		s.send(t, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
		s.want(t, 200, "POST / hello")
		s.send(t, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
		s.want(t, 200, "POST / hello")
		s.send(t, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n")
		s.want(t, 413, "body too large\n")
		s.closed(t)
		if n := calls.Load(); n != 2 {
			t.Errorf("the handler was called %d times", n)
		}
	})
	bubble(t, func(t *testing.T) {
		s := serve(t, stream.HandlerFunc(echo), extend("max_request_body_size", 5))
		s.send(t, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n")
		resp := s.answer(t, "POST")
		if resp.status != 413 || !resp.close {
			t.Errorf("got %d, close %v", resp.status, resp.close)
		}
		s.closed(t)
	})
}

func TestHeadLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, stream.HandlerFunc(echo), extend("max_header_size", 300))
		s.send(t, "GET / HTTP/1.1\r\nHost: h\r\nA: "+strings.Repeat("x", 300))
		s.want(t, 431, "header too large\n")
		s.closed(t)
	})
}

// rejections notes what a Rejecter is told.
type rejections struct {
	stream.HandlerFunc
	status int
	err    *stream.Error
}

func (r *rejections) Reject(_ context.Context, _ *stream.Request, status int, err *stream.Error) {
	r.status, r.err = status, err
}

func TestRejecter(t *testing.T) {
	for _, c := range []struct {
		raw    string
		status int
		kind   stream.Kind
	}{
		{"GET /\r\n\r\n", 400, stream.BadMessage},
		{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n", 413, stream.TooLarge},
		{"GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("a: b\r\n", 300) + "\r\n", 431, stream.TooLarge},
		{"GET / HTTP/9.1\r\nHost: h\r\n\r\n", 505, stream.BadMessage},
		{"GET / HTTP/1.1\r\nHo", 408, stream.Timeout},
	} {
		bubble(t, func(t *testing.T) {
			r := new(rejections)
			s := serve(t, r, extend("max_request_body_size", 5))
			s.send(t, c.raw)
			resp := s.answer(t, "GET")
			_ = s.Close()
			if err := <-s.ended; err != nil {
				t.Errorf("%.30q: ended with %v", c.raw, err)
			}
			if resp.status != c.status || !resp.close || r.status != c.status || r.err == nil || r.err.Kind != c.kind || r.err.Side != stream.Downstream {
				t.Errorf("%.30q: answered %d, recorded %d %v", c.raw, resp.status, r.status, r.err)
			}
		})
	}
	bubble(t, func(t *testing.T) { // cut off: nobody is there to be answered
		r := new(rejections)
		s := serve(t, r)
		s.send(t, "GET / HTTP/1.1\r\nHo")
		_ = s.CloseWrite()
		s.closed(t)
		if err := <-s.ended; err != nil || r.err == nil || r.err.Kind != stream.Reset || r.status != 0 {
			t.Errorf("ended with %v, recorded %d %v", err, r.status, r.err)
		}
	})
	bubble(t, func(t *testing.T) { // no request, no record
		r := new(rejections)
		s := serve(t, r)
		_ = s.Close()
		if err := <-s.ended; err != nil || r.err != nil {
			t.Errorf("ended with %v, recorded %v", err, r.err)
		}
	})
}

// A caller that goes away ends the handler's context soon, whatever its
// request was like.
func TestCallerGoes(t *testing.T) {
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	} {
		for _, leave := range []struct {
			name  string
			after time.Duration
			how   func(*served) error
		}{
			{"at once", 0, func(s *served) error { return s.Close() }},
			{"later", time.Minute, func(s *served) error { return s.Close() }},
			{"half", time.Minute, func(s *served) error { return s.CloseWrite() }},
		} {
			bubble(t, func(t *testing.T) {
				took := make(chan time.Duration, 1)
				var gone time.Time
				s := serve(t, stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
					if req.Body != nil {
						if _, err := io.ReadAll(req.Body); err != nil {
							t.Error(err)
						}
					}
					<-ctx.Done()
					took <- time.Since(gone)
					return nil, stream.FromContext(ctx, "wait")
				}))
				s.send(t, request)
				synctest.Wait()
				time.Sleep(leave.after)
				gone = time.Now()
				_ = leave.how(s)
				if d := <-took; d > watchAfter {
					t.Errorf("%s: noticed after %v", leave.name, d)
				}
				if err := <-s.ended; err != nil {
					t.Errorf("%s: ended with %v", leave.name, err)
				}
			})
		}
	}
}

// While an answer flows, and nothing of it comes, nobody else would notice.
func TestCallerGoesDuringAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		over := make(chan struct{})
		s := serve(t, stream.HandlerFunc(func(ctx context.Context, _ *stream.Request) (*stream.Response, error) {
			r, w := io.Pipe()
			go func() {
				_, _ = io.WriteString(w, "event")
				<-ctx.Done()
				_ = w.CloseWithError(ctx.Err())
				close(over)
			}()
			return flow(r), nil
		}))
		s.send(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		time.Sleep(time.Minute)
		start := time.Now()
		_ = s.Close()
		<-over
		if d := time.Since(start); d > watchAfter {
			t.Errorf("noticed after %v", d)
		}
		if err := <-s.ended; err != nil {
			t.Errorf("ended with %v", err)
		}
	})
}

// A request behind the one being answered must neither be lost nor be taken
// for the end, however the moments fall.
func TestNextRequestAtAnyMoment(t *testing.T) {
	for _, at := range []time.Duration{0, watchAfter - 1, watchAfter, watchAfter + 1, time.Second} {
		bubble(t, func(t *testing.T) {
			s := serve(t, stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
				time.Sleep(2 * watchAfter)
				if ctx.Err() != nil {
					t.Errorf("%v: canceled", at)
				}
				return echo(ctx, req)
			}))
			s.send(t, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n")
			time.Sleep(at)
			s.send(t, "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n")
			s.want(t, 200, "GET /1 ")
			s.want(t, 200, "GET /2 ")
			time.Sleep(watchAfter)
			s.send(t, "GET /3 HTTP/1.1\r\nHost: h\r\n\r\n")
			s.want(t, 200, "GET /3 ")
		})
	}
}

// The answer of a handler that takes just as long as the watch waits.
func TestWatchRace(t *testing.T) {
	s := serve(t, stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		timer := time.NewTimer(watchAfter)
		defer timer.Stop()
		<-timer.C
		return echo(ctx, req)
	}))
	for range 30 {
		s.send(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		s.want(t, 200, "GET / ")
	}
}

// A caller that has sent all and shut its side down still gets a quick answer.
func TestHalfClosedCaller(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, stream.HandlerFunc(echo))
		s.send(t, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n")
		_ = s.CloseWrite()
		s.want(t, 200, "GET /1 ")
		s.want(t, 200, "GET /2 ")
		s.closed(t)
	})
}

func TestContextEnds(t *testing.T) {
	for _, c := range []struct{ name, raw string }{
		{"idle", ""},
		{"in a head", "GET / HT"},
		{"in a handler", "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"in a body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel"},
		{"in an answer", "GET /flow HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"in a stalled answer", "GET /big HTTP/1.1\r\nHost: h\r\n\r\n"},
	} {
		bubble(t, func(t *testing.T) {
			s := serve(t, stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
				switch req.Path {
				case "/wait":
					<-ctx.Done()
					return nil, ctx.Err()
				case "/flow":
					r, w := io.Pipe()
					context.AfterFunc(ctx, func() { _ = w.CloseWithError(ctx.Err()) })
					return flow(r), nil
				case "/big":
					return flow(zeros{}), nil
				}
				return echo(ctx, req)
			}))
			s.send(t, c.raw)
			time.Sleep(time.Second)
			s.cancel()
			if err := <-s.ended; err != nil {
				t.Errorf("%s: ended with %v", c.name, err)
			}
		})
	}
}

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func (zeros) Close() error { return nil }

func TestDrain(t *testing.T) {
	bubble(t, func(t *testing.T) { // idle: soon
		for _, after := range []time.Duration{0, time.Second, time.Minute} {
			s := serve(t, stream.HandlerFunc(echo))
			s.send(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			s.want(t, 200, "GET / ")
			time.Sleep(after)
			start := time.Now()
			s.c.Drain()
			s.closed(t)
			if err := <-s.ended; err != nil || time.Since(start) != conn.LastCall {
				t.Errorf("ended after %v: %v", time.Since(start), err)
			}
		}
	})
	bubble(t, func(t *testing.T) { // idle, or not even used, and a request is on its way: it is served
		for _, used := range []bool{true, false} {
			s := serve(t, stream.HandlerFunc(echo))
			if used {
				s.send(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
				s.want(t, 200, "GET / ")
			}
			s.c.Drain()
			time.Sleep(conn.LastCall - 1)
			s.send(t, "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
			if resp := s.want(t, 200, "POST /2 hello"); !resp.close {
				t.Error("the answer does not say that it is the last")
			}
			s.closed(t)
		}
	})
	bubble(t, func(t *testing.T) { // before it begins
		s := serve(t, stream.HandlerFunc(echo))
		s.c.Drain()
		s.closed(t)
	})
	bubble(t, func(t *testing.T) { // in an exchange: it is finished, the next one is not begun
		s := serve(t, stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			time.Sleep(time.Second)
			return echo(ctx, req)
		}))
		s.send(t, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n")
		synctest.Wait()
		s.c.Drain()
		if resp := s.want(t, 200, "GET /1 "); !resp.close {
			t.Error("the answer does not say that it is the last")
		}
		s.closed(t)
		_ = s.Close()
		if err := <-s.ended; err != nil {
			t.Error(err)
		}
	})
	bubble(t, func(t *testing.T) { // in a head: the request is served
		s := serve(t, stream.HandlerFunc(echo))
		s.send(t, "GET /1 HTTP/1.1\r\nHo")
		time.Sleep(time.Second)
		s.c.Drain()
		time.Sleep(time.Second)
		s.send(t, "st: h\r\n\r\n")
		if resp := s.want(t, 200, "GET /1 "); !resp.close {
			t.Error("the answer does not say that it is the last")
		}
		s.closed(t)
	})
}

// Whoever goes on sending after a refusal is read for a while, not for ever.
func TestLingerEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, stream.HandlerFunc(echo))
		start := time.Now()
		s.send(t, "GET / HTTP/1.1\r\nHost : h\r\n\r\n")
		n, err := io.CopyN(s, zeros{}, 64<<20)
		if err == nil || n < lingerBytes-conn.BufferSize || n > lingerBytes+128<<10 || time.Since(start) != 0 {
			t.Errorf("%d bytes were taken in %v: %v", n, time.Since(start), err)
		}
		s.want(t, 400, "malformed field name\n")
		if err := <-s.ended; err != nil {
			t.Error(err)
		}
	})
	bubble(t, func(t *testing.T) { // and for who sends nothing it is short
		s := serve(t, stream.HandlerFunc(echo))
		start := time.Now()
		s.send(t, "GET / HTTP/1.1\r\nHost : h\r\n\r\n")
		if err := <-s.ended; err != nil || time.Since(start) != lingerFor {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// A stalled reader stalls the writer, until its time is over.
func TestStalledReader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var produced atomic.Int64
		s := serve(t, stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) {
			return flow(counted{&produced}), nil
		}), stall(time.Minute))
		start := time.Now()
		s.send(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		synctest.Wait()
		before := produced.Load()
		if before > 64<<10+2*copySize {
			t.Errorf("%d bytes were read for a caller that takes none", before)
		}
		if _, err := io.CopyN(io.Discard, s.r, 128<<10); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := produced.Load() - before; n < 64<<10 || n > 256<<10 {
			t.Errorf("%d bytes were read for one who took 128 KiB", n)
		}
		err := <-s.ended
		if d := time.Since(start); !timedOut(err) || d > time.Minute || d < time.Minute*3/4 {
			t.Errorf("ended after %v: %v", d, err)
		}
	})
}

type counted struct{ n *atomic.Int64 }

func (c counted) Read(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

func (counted) Close() error { return nil }

// The exchange's deadline ends the writing of an answer and the reading of a
// body, and is forgotten with the exchange.
func TestDeadline(t *testing.T) {
	h := stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		switch req.Path {
		case "/read":
			req.Limit(time.Now().Add(time.Second))
			return echo(ctx, req)
		case "/write":
			req.Limit(time.Now().Add(time.Second))
			return flow(zeros{}), nil
		}
		return echo(ctx, req)
	})
	for _, timeout := range []time.Duration{0, time.Hour} {
		bubble(t, func(t *testing.T) {
			s := serve(t, h, stall(timeout))
			s.send(t, "POST /read HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
			s.want(t, 200, "POST /read hello")
			time.Sleep(time.Hour)
			s.send(t, "POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe")
			time.Sleep(time.Hour)
			s.send(t, "llo")
			s.want(t, 200, "POST /later hello")
			s.send(t, "POST /read HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
			s.want(t, 200, "POST /read hello")
			// Nor does it reach a request that is there already.
			s.send(t, "POST /read HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel")
			synctest.Wait()
			s.send(t, "loPOST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe")
			s.want(t, 200, "POST /read hello")
			time.Sleep(time.Hour)
			s.send(t, "llo")
			s.want(t, 200, "POST /later hello")
			start := time.Now()
			s.send(t, "POST /read HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe")
			resp := s.answer(t, "POST")
			if d := time.Since(start); resp.status != 504 || !resp.close || d != time.Second {
				t.Errorf("a body that does not come: %d after %v", resp.status, d)
			}
			s.closed(t)
		})
		bubble(t, func(t *testing.T) { // nor the refusal of what comes next
			s := serve(t, h, stall(timeout))
			s.send(t, "POST /read HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
			s.want(t, 200, "POST /read hello")
			time.Sleep(time.Hour)
			s.send(t, "nonsense\r\n\r\n")
			s.want(t, 400, "malformed method\n")
		})
		bubble(t, func(t *testing.T) { // it bounds the 100, too, but not the answer that tells of it
			s := serve(t, h, stall(timeout))
			s.send(t, "POST /read HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
			if a := s.answer(t, "POST"); a.status != 100 {
				t.Errorf("got %d", a.status)
			}
			if a := s.answer(t, "POST"); a.status != 504 {
				t.Errorf("got %d", a.status)
			}
			s.closed(t)
		})
		bubble(t, func(t *testing.T) {
			s := serve(t, h, stall(timeout))
			start := time.Now()
			s.send(t, "GET /write HTTP/1.1\r\nHost: h\r\n\r\n")
			if err := <-s.ended; !timedOut(err) || time.Since(start) != time.Second {
				t.Errorf("an answer that is not taken: ended after %v: %v", time.Since(start), err)
			}
		})
	}
}

// Close wakes a Read of the request's body, and the exchange still gets its answer.
func TestCloseWhileReading(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			failed := make(chan error, 1)
			go func() {
				_, err := io.ReadAll(req.Body)
				failed <- err
			}()
			time.Sleep(time.Second)
			_ = req.Body.Close()
			wantError(t, <-failed, stream.Reset, stream.Local, false)
			_ = req.Body.Close()
			_, err := req.Body.Read(make([]byte, 1))
			wantError(t, err, stream.Reset, stream.Local, false)
			return text(200, "enough"), nil
		}))
		s.send(t, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe")
		if resp := s.want(t, 200, "enough"); !resp.close {
			t.Error("the connection goes on")
		}
		s.closed(t)
	})
	bubble(t, func(t *testing.T) { // at the very moment the body ends: no harm to the rest
		s := serve(t, stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			if req.Body != nil {
				go func() { _ = req.Body.Close() }()
				_, _ = io.ReadAll(req.Body)
			}
			time.Sleep(time.Second)
			if ctx.Err() != nil {
				t.Error("canceled")
			}
			return text(200, req.Path), nil
		}))
		s.send(t, "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
		s.want(t, 200, "/1")
		s.send(t, "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n")
		s.want(t, 200, "/2")
	})
}

// A body that breaks off in the middle must not look whole.
func TestBrokenAnswer(t *testing.T) {
	for _, c := range []struct {
		name string
		resp func() *stream.Response
		want string // part of what the caller gets
	}{
		{"length", func() *stream.Response {
			resp := flow(io.MultiReader(strings.NewReader("hel"), failing{}))
			resp.ContentLength = 5
			return resp
		}, "\r\n\r\nhel"},
		{"too short", func() *stream.Response { resp := text(200, "hel"); resp.ContentLength = 5; return resp }, "\r\n\r\nhel"},
		{"too long", func() *stream.Response { resp := text(200, "hello"); resp.ContentLength = 3; return resp }, ""},
		{"chunked", func() *stream.Response { return flow(io.MultiReader(strings.NewReader("hel"), failing{})) }, "\r\n3\r\nhel\r\n"},
		{"never ends to be empty", func() *stream.Response { return flow(nothing{}) }, "\r\n\r\n"},
	} {
		bubble(t, func(t *testing.T) {
			s := serve(t, stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) { return c.resp(), nil }))
			s.send(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			if got := s.rest(t); !strings.HasSuffix(got, c.want) {
				t.Errorf("%s: got %q", c.name, got)
			}
			if err := <-s.ended; err == nil {
				t.Errorf("%s: the connection ended in order", c.name)
			}
		})
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("broken") }

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

// Each part of an answer leaves as it comes, its head first of all.
func TestAnswerFlows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, w := io.Pipe()
		s := serve(t, stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) { return flow(r), nil }))
		s.send(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		expect := func(want string) {
			t.Helper()
			synctest.Wait()
			got := make([]byte, 1000)
			_ = s.SetReadDeadline(time.Now().Add(time.Second))
			if n, err := s.Read(got); err != nil || string(got[:n]) != want {
				t.Fatalf("got %q, %v, want %q", got[:n], err, want)
			}
		}
		expect("HTTP/1.1 200 OK\r\n" + date + "Transfer-Encoding: chunked\r\n\r\n")
		for _, event := range []string{"data: 1\n\n", "data: 2\n\n"} {
			_, _ = io.WriteString(w, event)
			expect("9\r\n" + event + "\r\n")
			time.Sleep(time.Minute)
		}
		_ = w.Close()
		expect("0\r\n\r\n")
	})
}

// An answer that comes while the request's body is still being sent is read,
// though the caller goes on sending for a while. That while is short, and a busy
// machine may stop the caller for longer: so it has several tries.
func TestEarlyAnswerOverTCP(t *testing.T) {
	addr := listen(t, stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
		_, _ = io.CopyN(io.Discard, req.Body, 10)
		return text(403, "no"), nil
	}))
	try := func() error {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		defer func() { _ = nc.Close() }()
		_, _ = io.WriteString(nc, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20000000\r\n\r\n")
		block := make([]byte, 64<<10)
		for sent := 0; sent < 10<<20; {
			n, err := nc.Write(block)
			if err != nil {
				return fmt.Errorf("after %d bytes: %w", sent, err)
			}
			sent += n
		}
		got, err := io.ReadAll(nc)
		if !strings.HasPrefix(string(got), "HTTP/1.1 403 ") || !strings.HasSuffix(string(got), "\r\n\r\nno") {
			return fmt.Errorf("got %q, %w", got, err)
		}
		return nil
	}
	var failed error
	for range 50 {
		if failed = try(); failed == nil {
			return
		}
	}
	t.Error(failed)
}

// A caller of HTTP/1.0 sees an answer break off by the reset.
func TestBrokenAnswerTo10(t *testing.T) {
	addr := listen(t, stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) {
		return flow(io.MultiReader(strings.NewReader("hel"), failing{})), nil
	}))
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	_, _ = io.WriteString(nc, "GET / HTTP/1.0\r\n\r\n")
	if got, err := io.ReadAll(nc); err == nil {
		t.Errorf("%q looks whole", got)
	}
}
