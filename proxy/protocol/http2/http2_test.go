package http2

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	xhttp2 "golang.org/x/net/http2"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// handlerFunc lets a test be a handler that also hears of what was rejected.
type handlerFunc func(ctx context.Context, req *stream.Request) (*stream.Response, error)

func (f handlerFunc) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	return f(ctx, req)
}

// answer makes a response with a body of known length.
func answer(status int, text string) *stream.Response {
	return &stream.Response{Status: status, ContentLength: int64(len(text)), Body: io.NopCloser(strings.NewReader(text))}
}

// echo answers with the request's body, or its path if there is none, and
// turns the request's trailer into the answer's.
func echo(_ context.Context, req *stream.Request) (*stream.Response, error) {
	if req.Body == nil {
		return answer(200, req.Method+" "+req.Path+"?"+req.Query+" "+req.Header.Get("x-a")), nil
	}
	resp := &stream.Response{Status: 200, ContentLength: -1}
	resp.Body = &echoBody{req: req, resp: resp}
	return resp, nil
}

type echoBody struct {
	req  *stream.Request
	resp *stream.Response
}

func (b *echoBody) Read(p []byte) (int, error) {
	n, err := b.req.Body.Read(p)
	if err == io.EOF {
		b.resp.Trailer.CopyFrom(&b.req.Trailer)
	}
	return n, err
}

func (b *echoBody) Close() error { return b.req.Body.Close() }

// serve has a server with the given options answer nc; the returned function
// waits for its end.
func serve(t testing.TB, nc net.Conn, opts protocol.ServerOptions, h stream.Handler) (c *conn.Conn, wait func() error) {
	t.Helper()
	srv, err := Protocol{}.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	c = conn.New(nc)
	c.Timeout = 30 * time.Second
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		defer c.Close()
		done <- srv.ServeConn(ctx, c, h)
	}()
	over, result := false, error(nil)
	wait = func() error {
		if !over {
			over, result = true, <-done
		}
		return result
	}
	t.Cleanup(func() {
		cancel()
		_ = wait()
	})
	return c, wait
}

// dial makes a client on nc that is closed with the test.
func dial(t testing.TB, nc net.Conn) *client {
	c := conn.New(nc)
	c.Timeout = 30 * time.Second
	cl := Protocol{}.NewClient(c, protocol.ClientOptions{}).(*client)
	t.Cleanup(func() { _ = cl.Close() })
	return cl
}

// pair is a client with a server behind it.
func pair(t testing.TB, h stream.HandlerFunc) *client {
	a, b := conn.Pipe()
	serve(t, b, protocol.ServerOptions{}, handlerFunc(h))
	return dial(t, a)
}

func get(path string) *stream.Request {
	return &stream.Request{Method: "GET", Scheme: "http", Authority: "example.com", Path: path}
}

func post(path string, length int64, body io.Reader) *stream.Request {
	req := get(path)
	req.Method, req.ContentLength, req.Body = "POST", length, io.NopCloser(body)
	return req
}

// fetch sends req and returns the whole answer.
func fetch(t testing.TB, h stream.Handler, req *stream.Request) (status int, body string, trailer map[string]string) {
	t.Helper()
	resp, err := h.Handle(context.Background(), req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.Path, err)
	}
	defer resp.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: body: %v", req.Method, req.Path, err)
	}
	trailer = make(map[string]string)
	for name, value := range resp.Trailer.All() {
		trailer[name] = value
	}
	return resp.Status, string(all), trailer
}

func TestRoundTrip(t *testing.T) {
	cl := pair(t, echo)
	for i := range 5 {
		req := get("/a")
		req.Query, req.HasQuery = "b=c", true
		req.Header.Add("X-A", fmt.Sprint("v", i))
		if status, body, _ := fetch(t, cl, req); status != 200 || body != fmt.Sprint("GET /a?b=c v", i) {
			t.Fatal(status, body)
		}
		long := strings.Repeat("0123456789abcdef", 1<<16)
		req = post("/", -1, strings.NewReader(long))
		req.Trailer.Add("X-Sum", "1")
		_, body, trailer := fetch(t, cl, req)
		if body != long || trailer["x-sum"] != "1" {
			t.Fatal(len(body), trailer)
		}
		if _, body, _ := fetch(t, cl, post("/", 3, strings.NewReader("abc"))); body != "abc" {
			t.Fatal(body)
		}
	}
}

// netClient speaks with our server as golang.org/x/net/http2 does.
func netClient(t testing.TB, h stream.HandlerFunc) *http.Client {
	tr := &xhttp2.Transport{AllowHTTP: true, DisableCompression: true}
	a, b := conn.Pipe()
	serve(t, b, protocol.ServerOptions{}, handlerFunc(h))
	cc, err := tr.NewClientConn(a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return &http.Client{Transport: cc}
}

func TestServerWithNetHTTP(t *testing.T) {
	hc := netClient(t, echo)
	for range 3 {
		req, _ := http.NewRequest("POST", "http://x/abc?d=e", io.MultiReader(strings.NewReader(strings.Repeat("x", 100000)), strings.NewReader("y")))
		req.Trailer = http.Header{"X-T": {"v"}}
		resp, err := hc.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		d, err := io.ReadAll(resp.Body)
		if len(d) != 100001 || err != nil || resp.Trailer.Get("X-T") != "v" {
			t.Fatal(len(d), err, resp.Trailer)
		}
		resp, err = hc.Get("http://x/abc?d=e")
		if err != nil {
			t.Fatal(err)
		}
		d, err = io.ReadAll(resp.Body)
		if string(d) != "GET /abc?d=e " || err != nil || resp.ContentLength != int64(len(d)) {
			t.Fatal(string(d), err)
		}
	}
}

func TestClientWithNetHTTP(t *testing.T) {
	a, b := conn.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		new(xhttp2.Server).ServeConn(b, &xhttp2.ServeConnOpts{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-T")
			w.Header().Set("X-Path", r.URL.String())
			n, err := io.Copy(w, r.Body)
			if err != nil {
				t.Error(err)
			}
			w.Header().Set("X-T", fmt.Sprint(n))
		})})
	}()
	t.Cleanup(func() { _ = b.Close(); <-done })
	cl := dial(t, a)
	for range 3 {
		long := strings.Repeat("x", 1<<20)
		_, body, trailer := fetch(t, cl, post("/u?v", -1, strings.NewReader(long)))
		if body != long || trailer["x-t"] != fmt.Sprint(len(long)) {
			t.Fatal(len(body), trailer)
		}
		if status, body, _ := fetch(t, cl, get("/")); status != 200 || body != "" {
			t.Fatal(status, body)
		}
	}
}
