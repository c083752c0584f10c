package http1

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Goroutines of fasthttp that sleep for a while before they see that
		// they are not needed any more, or run for the life of the process.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*Client).mCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// bubble runs test with a clock of its own. A goroutine that is left fails it.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// served is one connection to a server under test.
type served struct {
	*conn.PipeConn            // the caller's end
	c              *conn.Conn // the server's end
	ended          chan error // what ServeConn returned
	cancel         func()     // ends the context of ServeConn
	r              *bufio.Reader
}

type serverOption func(*protocol.ServerOptions, *conn.Conn)

func extend(key string, value any) serverOption {
	return func(o *protocol.ServerOptions, _ *conn.Conn) {
		if o.Extend == nil {
			o.Extend = map[string]any{}
		}
		o.Extend[key] = value
	}
}

func idle(d time.Duration) serverOption {
	return func(o *protocol.ServerOptions, _ *conn.Conn) { o.IdleTimeout = d }
}

func stall(d time.Duration) serverOption {
	return func(_ *protocol.ServerOptions, c *conn.Conn) { c.Timeout = d }
}

// serve serves one end of a pipe until the test ends.
func serve(t testing.TB, h stream.Handler, options ...serverOption) *served {
	t.Helper()
	client, server := conn.NewPipe("caller", "server")
	c := conn.New(server)
	opts := protocol.ServerOptions{Listener: "in"}
	for _, o := range options {
		o(&opts, c)
	}
	srv, err := Protocol{}.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := &served{PipeConn: client, c: c, ended: make(chan error, 1), cancel: cancel, r: bufio.NewReader(client)}
	over := make(chan struct{})
	go func() {
		defer close(over)
		err := srv.ServeConn(ctx, c, h)
		_ = c.Close()
		c.Free()
		s.ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		_ = client.Close()
		<-over
	})
	return s
}

func (s *served) send(t testing.TB, raw string) {
	t.Helper()
	if _, err := io.WriteString(s, raw); err != nil {
		t.Fatalf("send: %v", err)
	}
}

// answered is an answer as a caller sees it.
type answered struct {
	status int
	close  bool // it is the last one
	header http.Header
	body   string
}

// answer reads one answer whole.
func (s *served) answer(t testing.TB, method string) answered {
	t.Helper()
	resp, err := http.ReadResponse(s.r, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("read answer: %v", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read answer's body: %v", err)
	}
	return answered{resp.StatusCode, resp.Close, resp.Header, string(body)}
}

// want reads one answer and checks its status and body.
func (s *served) want(t testing.TB, status int, body string) answered {
	t.Helper()
	a := s.answer(t, "GET")
	if a.status != status || a.body != body {
		t.Fatalf("got %d %q, want %d %q", a.status, a.body, status, body)
	}
	return a
}

// rest reads up to the end of the connection.
func (s *served) rest(t testing.TB) string {
	t.Helper()
	b, err := io.ReadAll(s.r)
	if err != nil {
		t.Fatalf("after %q: %v", b, err)
	}
	return string(b)
}

// closed checks that the server ends the connection, without more bytes.
func (s *served) closed(t testing.TB) {
	t.Helper()
	if rest := s.rest(t); rest != "" {
		t.Fatalf("at the end of the connection: %q", rest)
	}
}

// dialed is a client under test, with the host's end of its connection.
type dialed struct {
	protocol.Client
	c        *conn.Conn
	host     *conn.PipeConn
	r        *bufio.Reader // reads what the host gets
	released *int
}

// dial makes a client over a new pipe.
func dial(t testing.TB) *dialed {
	t.Helper()
	client, host := conn.NewPipe("client", "host")
	d := &dialed{c: conn.New(client), host: host, r: bufio.NewReader(host), released: new(int)}
	var mu sync.Mutex
	d.Client = Protocol{}.NewClient(d.c, protocol.ClientOptions{Released: func() {
		mu.Lock()
		defer mu.Unlock()
		*d.released++
	}})
	t.Cleanup(func() {
		_ = d.Close()
		_ = host.Close()
	})
	return d
}

// get is a request without body.
func get(path string) *stream.Request {
	return &stream.Request{Method: "GET", Scheme: "http", Authority: "shop", Path: path}
}

// post is a request with a body of which nothing is at hand: r decides.
func post(r io.Reader, length int64) *stream.Request {
	c, ok := r.(io.ReadCloser)
	if !ok {
		c = io.NopCloser(r)
	}
	return &stream.Request{Method: "POST", Scheme: "http", Authority: "shop", Path: "/", ContentLength: length, Body: c}
}

// read reads an answer's body and closes it.
func read(t testing.TB, resp *stream.Response) string {
	t.Helper()
	defer func() { _ = resp.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read body after %q: %v", b, err)
	}
	return string(b)
}

// wantError checks the kind and side of an error of the core.
func wantError(t testing.TB, err error, kind stream.Kind, side stream.Side, retry bool) {
	t.Helper()
	e, ok := errors.AsType[*stream.Error](err)
	if !ok {
		t.Fatalf("got %v, want a stream.Error", err)
	}
	if e.Kind != kind || e.Side != side || e.Retry != retry {
		t.Fatalf("got %v (kind %v, side %v, retry %v), want %v, %v, %v", e, e.Kind, e.Side, e.Retry, kind, side, retry)
	}
}

// text makes an answer with a body of known length.
func text(status int, body string) *stream.Response {
	return &stream.Response{Status: status, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}
}

// flow makes an answer with a body of unknown length.
func flow(r io.Reader) *stream.Response {
	c, ok := r.(io.ReadCloser)
	if !ok {
		c = io.NopCloser(r)
	}
	return &stream.Response{Status: 200, ContentLength: -1, Body: c}
}

// echo answers with method, path, query and body.
func echo(_ context.Context, req *stream.Request) (*stream.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	query := ""
	if req.HasQuery {
		query = "?" + req.Query
	}
	return text(200, req.Method+" "+req.Path+query+" "+string(body)), nil
}

// forward sends each request over a connection of its own, opened by dial.
type forward struct {
	dial func() (net.Conn, error)
}

func (f *forward) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	nc, err := f.dial()
	if err != nil {
		return nil, &stream.Error{Kind: stream.Connect, Err: err}
	}
	c := conn.New(nc)
	return Protocol{}.NewClient(c, protocol.ClientOptions{Released: func() { _ = c.Close() }}).Handle(ctx, req)
}

// timedOut reports whether err is a deadline that passed.
func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// listen serves h on a TCP port until the test ends.
func listen(t testing.TB, h stream.Handler) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, err := Protocol{}.NewServer(protocol.ServerOptions{Listener: "in"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				c := conn.New(nc)
				_ = srv.ServeConn(ctx, c, h)
				_ = c.Close()
				c.Free()
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = ln.Close()
		serving.Wait()
	})
	return ln.Addr().String()
}

// testClient is a client over any connection.
type testClient struct{ protocol.Client }

func newTestClient(nc net.Conn) *testClient {
	return &testClient{Protocol{}.NewClient(conn.New(nc), protocol.ClientOptions{})}
}

// exchange makes one of several kinds of request, and checks the echo.
func (c *testClient) exchange(ctx context.Context, i, j int) error {
	body := strings.Repeat(string(rune('a'+j%26)), i*j)
	req := post(io.MultiReader(strings.NewReader(body)), int64(len(body)))
	req.Path = "/" + strings.Repeat("p", j)
	req.HasQuery = j%2 == 1
	if j%3 == 0 {
		req.ContentLength = -1
	}
	if j%5 == 0 {
		req.Body, body = nil, ""
	}
	resp, err := c.Handle(ctx, req)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(resp.Body)
	_ = resp.Close()
	want := "POST " + req.Path
	if req.HasQuery {
		want += "?"
	}
	if want += " " + body; err == nil && string(got) != want {
		err = errors.New("the answer is another's")
	}
	if err == nil {
		err = c.Err()
	}
	return err
}
