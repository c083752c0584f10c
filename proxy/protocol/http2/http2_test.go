package http2

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"go.uber.org/goleak"
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
		defer func() { _ = c.Close() }()
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
	defer func() { _ = resp.Close() }()
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

// unencrypted has net/http speak HTTP/2 without TLS.
func unencrypted() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

func TestServerWithNetHTTP(t *testing.T) {
	tr := &http.Transport{Protocols: unencrypted(), DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	url := "http://" + listen(t, protocol.ServerOptions{}, echo) + "/abc?d=e"
	do := func(method string, body io.Reader) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url, body)
		if err != nil {
			t.Fatal(err)
		}
		if body != nil {
			req.Trailer = http.Header{"X-T": {"v"}}
		}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		all, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(all)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			long := strings.Repeat("x", 100000)
			if resp, body := do("POST", io.MultiReader(strings.NewReader(long), strings.NewReader("y"))); body != long+"y" || resp.Trailer.Get("X-T") != "v" { //nolint:bodyclose // do closes it
				t.Error(len(body), resp.Trailer)
			}
			if resp, body := do("GET", nil); body != "GET /abc?d=e " || resp.ContentLength != int64(len(body)) || resp.ProtoMajor != 2 { //nolint:bodyclose // do closes it
				t.Error(body, resp.ContentLength)
			}
		})
	}
	wg.Wait()
}

func TestClientWithNetHTTP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Protocols: unencrypted(), ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-T")
		n, err := io.Copy(w, r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-T", fmt.Sprint(n))
	})}
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-served })
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cl := dial(t, nc)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			long := strings.Repeat("x", 1<<20)
			_, body, trailer := fetch(t, cl, post("/u?v", -1, strings.NewReader(long)))
			if body != long || trailer["x-t"] != fmt.Sprint(len(long)) {
				t.Error(len(body), trailer)
			}
			if status, body, _ := fetch(t, cl, get("/")); status != 200 || body != "" {
				t.Error(status, body)
			}
		})
	}
	wg.Wait()
}
