package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// between starts a proxy (server and client of ours) in front of addr and
// returns its address.
func between(t *testing.T, addr string) string {
	t.Helper()
	return listen(t, &forward{dial: func() (net.Conn, error) { return net.Dial("tcp", addr) }})
}

// The hosts that answer behind the proxy. Each tells what it got, in its own words.
var hosts = map[string]func(t *testing.T) string{
	"net/http": func(t *testing.T) string {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Errorf("the host cannot read the body: %v", err)
			}
			w.Header().Add("X-Twice", "1")
			w.Header().Add("X-Twice", "2")
			w.Header().Set("X-Saw", fmt.Sprintf("%s %s %s %q %v", r.Method, r.Host, r.RequestURI, r.Header["X-In"], r.ContentLength))
			switch r.URL.Path {
			case "/204":
				w.WriteHeader(204)
				return
			case "/304":
				w.WriteHeader(304)
				return
			case "/trailer":
				w.Header().Set("Trailer", "X-End")
				defer w.Header().Set("X-End", r.Trailer.Get("X-Sum"))
			case "/hints":
				w.WriteHeader(103)
			}
			if r.URL.Query().Has("flow") {
				_ = http.NewResponseController(w).Flush()
			}
			_, _ = w.Write(body)
		}))
		t.Cleanup(srv.Close)
		return srv.Listener.Addr().String()
	},
	"fasthttp": func(t *testing.T) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := &fasthttp.Server{MaxRequestBodySize: 1 << 20, Handler: func(ctx *fasthttp.RequestCtx) {
			ctx.Response.Header.Add("X-Twice", "1")
			ctx.Response.Header.Add("X-Twice", "2")
			length := ctx.Request.Header.ContentLength()
			if length == -2 {
				length = 0
			}
			var in []string
			for _, v := range ctx.Request.Header.PeekAll("X-In") {
				in = append(in, string(v))
			}
			ctx.Response.Header.Set("X-Saw", fmt.Sprintf("%s %s %s %q %v", ctx.Method(), ctx.Host(), ctx.RequestURI(), in, length))
			body := bytes.Clone(ctx.Request.Body())
			switch string(ctx.Path()) {
			case "/204":
				ctx.SetStatusCode(204)
				return
			case "/304":
				ctx.SetStatusCode(304)
				return
			}
			if ctx.QueryArgs().Has("flow") {
				ctx.SetBodyStreamWriter(func(w *bufio.Writer) { _, _ = w.Write(body) })
				return
			}
			ctx.SetBody(body)
		}}
		served := make(chan struct{})
		go func() {
			defer close(served)
			_ = srv.Serve(ln)
		}()
		t.Cleanup(func() {
			_ = srv.Shutdown()
			<-served
		})
		return ln.Addr().String()
	},
}

// reply is an answer as a caller sees it.
type reply struct {
	status int
	saw    string
	twice  []string
	body   string
	length int64
}

// The callers in front of the proxy. A length of -1 sends the body in chunks.
var callers = map[string]func(t *testing.T) func(addr, method, path, body string, length int) reply{
	"net/http": func(t *testing.T) func(addr, method, path, body string, length int) reply {
		transport := &http.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		return func(addr, method, path, body string, length int) reply {
			t.Helper()
			var r io.Reader
			if body != "" || length != 0 {
				r = strings.NewReader(body)
				if length < 0 {
					r = io.MultiReader(r)
				}
			}
			req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, r)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = "shop"
			req.Header["X-In"] = []string{"a", "b"}
			resp, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
			defer func() { _ = resp.Body.Close() }()
			got, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
			return reply{resp.StatusCode, resp.Header.Get("X-Saw"), resp.Header["X-Twice"], string(got), resp.ContentLength}
		}
	},
	"fasthttp": func(t *testing.T) func(addr, method, path, body string, length int) reply {
		client := &fasthttp.Client{Dial: func(addr string) (net.Conn, error) { return net.Dial("tcp", addr) }}
		t.Cleanup(client.CloseIdleConnections)
		return func(addr, method, path, body string, length int) reply {
			t.Helper()
			req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			defer fasthttp.ReleaseRequest(req)
			defer fasthttp.ReleaseResponse(resp)
			req.SetRequestURI("http://" + addr + path)
			req.UseHostHeader = true
			req.Header.SetHost("shop")
			req.Header.SetMethod(method)
			req.Header.Add("X-In", "a")
			req.Header.Add("X-In", "b")
			if length < 0 {
				req.SetBodyStream(strings.NewReader(body), -1)
			} else if body != "" {
				req.SetBodyString(body)
			}
			resp.SkipBody = method == "HEAD"
			if err := client.Do(req, resp); err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
			var twice []string
			for _, v := range resp.Header.PeekAll("X-Twice") {
				twice = append(twice, string(v))
			}
			return reply{resp.StatusCode(), string(resp.Header.Peek("X-Saw")), twice, string(resp.Body()), int64(resp.Header.ContentLength())}
		}
	},
}

func TestAgainstOthers(t *testing.T) {
	big := strings.Repeat("0123456789", 20_000)
	for hostName, start := range hosts {
		for callerName, call := range callers {
			t.Run(callerName+" to "+hostName, func(t *testing.T) {
				proxy := between(t, start(t))
				do := call(t)
				for range 2 {
					for _, c := range []struct {
						method, path, body string
						length             int
						want               reply
					}{
						{"GET", "/", "", 0, reply{200, `GET shop / ["a" "b"] 0`, nil, "", 0}},
						{"GET", "/a%20b?x=1&y=%2f", "", 0, reply{200, `GET shop /a%20b?x=1&y=%2f ["a" "b"] 0`, nil, "", 0}},
						{"POST", "/", "hello", 5, reply{200, `POST shop / ["a" "b"] 5`, nil, "hello", 5}},
						{"PUT", "/", "hello", -1, reply{200, `PUT shop / ["a" "b"] -1`, nil, "hello", 5}},
						{"POST", "/?flow", "hello", 5, reply{200, `POST shop /?flow ["a" "b"] 5`, nil, "hello", -1}},
						{"POST", "/?flow", big, -1, reply{200, `POST shop /?flow ["a" "b"] -1`, nil, big, -1}},
						{"POST", "/", big, len(big), reply{200, fmt.Sprintf(`POST shop / ["a" "b"] %d`, len(big)), nil, big, int64(len(big))}},
						{"HEAD", "/", "", 0, reply{200, `HEAD shop / ["a" "b"] 0`, nil, "", 0}},
						{"DELETE", "/204", "", 0, reply{204, `DELETE shop /204 ["a" "b"] 0`, nil, "", 0}},
						{"GET", "/304", "", 0, reply{304, `GET shop /304 ["a" "b"] 0`, nil, "", 0}},
						{"GET", "/hints", "", 0, reply{200, `GET shop /hints ["a" "b"] 0`, nil, "", 0}},
					} {
						got := do(proxy, c.method, c.path, c.body, c.length)
						if got.status != c.want.status || got.saw != c.want.saw || got.body != c.want.body ||
							fmt.Sprint(got.twice) != "[1 2]" || c.body != "" && got.length > 0 && got.length != int64(len(c.body)) {
							t.Errorf("%s %s: got %d %q %v, %d bytes, length %d", c.method, c.path, got.status, got.saw, got.twice, len(got.body), got.length)
						}
					}
				}
			})
		}
	}
}

func TestTrailersAgainstNetHTTP(t *testing.T) {
	proxy := between(t, hosts["net/http"](t))
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+proxy+"/trailer?flow", io.MultiReader(strings.NewReader("hello")))
	if err != nil {
		t.Fatal(err)
	}
	req.Trailer = http.Header{"X-Sum": {"42"}}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || string(body) != "hello" || resp.Trailer.Get("X-End") != "42" {
		t.Errorf("got %q, %v, trailer %v", body, err, resp.Trailer)
	}
}

// Events are passed on as they come, and the caller's leaving reaches the host.
func TestServerSentEvents(t *testing.T) {
	next, gone := make(chan struct{}), make(chan struct{})
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		flush := http.NewResponseController(w).Flush
		_ = flush()
		for i := 0; ; i++ {
			select {
			case <-next:
				_, _ = fmt.Fprintf(w, "data: %d\n\n", i)
				_ = flush()
			case <-r.Context().Done():
				close(gone)
				return
			}
		}
	}))
	defer host.Close()
	proxy := between(t, host.Listener.Addr().String())
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+proxy+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req) // returns before the first event
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(resp.Body)
	for i := range 20 {
		next <- struct{}{}
		line, err := r.ReadString('\n')
		if err != nil || line != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("got %q, %v", line, err)
		}
		if _, err := r.Discard(1); err != nil {
			t.Fatal(err)
		}
	}
	_ = resp.Body.Close()
	select {
	case <-gone:
	case <-ctx.Done():
		t.Fatal("the host was not told that the caller has gone")
	}
}

// A call that is given up is given up at the host, too.
func TestCancelReachesHost(t *testing.T) {
	began, gone := make(chan struct{}), make(chan struct{})
	host := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(gone)
	}))
	defer host.Close()
	proxy := between(t, host.Listener.Addr().String())
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+proxy+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		resp, err := transport.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		failed <- err
	}()
	<-began
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	timer := time.NewTimer(time.Minute)
	defer timer.Stop()
	select {
	case <-gone:
	case <-timer.C:
		t.Fatal("the host was not told")
	}
}

const noisePeriod = 1009

// noise is what bodies are made of.
var noise = func() []byte {
	b := make([]byte, 64<<10)
	for i := range b {
		b[i] = byte(i % noisePeriod * 7)
	}
	return b
}()

// pattern is a body of n bytes that is made while it is read.
type pattern struct {
	n   int64
	sum hash.Hash
	at  int64
}

func newPattern(n int64) *pattern { return &pattern{n: n, sum: crc32.NewIEEE()} }

func (p *pattern) Read(b []byte) (int, error) {
	if p.at == p.n {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), p.n-p.at, int64(len(noise)-noisePeriod))]
	copy(b, noise[p.at%noisePeriod:])
	p.at += int64(len(b))
	_, _ = p.sum.Write(b)
	return len(b), nil
}

// Large bodies pass both ways in memory that does not grow with them.
func TestLargeBodies(t *testing.T) {
	const size = 50 << 20
	const bound = 8 << 20
	peer := crc32.NewIEEE()
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(peer, r.Body); err != nil {
			t.Error(err)
			return
		}
		if r.URL.Query().Has("length") {
			w.Header().Set("Content-Length", fmt.Sprint(size))
		}
		_, _ = io.Copy(w, newPattern(size))
	}))
	defer host.Close()
	proxy := between(t, host.Listener.Addr().String())
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()

	var peak atomic.Uint64
	stop, stopped := make(chan struct{}), make(chan struct{})
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	go func() {
		defer close(stopped)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				peak.Store(max(peak.Load(), heap()))
			case <-stop:
				return
			}
		}
	}()
	for _, length := range []int64{size, -1} {
		sent := newPattern(size)
		peer.Reset()
		path := "/?length"
		if length < 0 {
			path = "/"
		}
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+proxy+path, sent)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = length
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		got := crc32.NewIEEE()
		n, err := io.Copy(got, resp.Body)
		_ = resp.Body.Close()
		if err != nil || n != size {
			t.Fatalf("length %d: got %d bytes, %v", length, n, err)
		}
		if !bytes.Equal(peer.Sum(nil), sent.sum.Sum(nil)) || !bytes.Equal(got.Sum(nil), sent.sum.Sum(nil)) {
			t.Errorf("length %d: the bytes changed on their way", length)
		}
	}
	close(stop)
	<-stopped
	if p := peak.Load(); p > before+bound {
		t.Errorf("the heap grew from %d to %d KiB", before>>10, p>>10)
	}
}

// Many connections at once, each with requests of every kind: nothing is
// mixed up, and nothing is left.
func TestManyAtOnce(t *testing.T) {
	proxy := listen(t, stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		resp, err := echo(ctx, req)
		if err == nil && req.HasQuery {
			resp.ContentLength = -1
		}
		return resp, err
	}))
	errs := make(chan error, 16)
	for i := range cap(errs) {
		go func() {
			nc, err := net.Dial("tcp", proxy)
			if err != nil {
				errs <- err
				return
			}
			d := newTestClient(nc)
			for j := range 100 {
				if err := d.exchange(t.Context(), i, j); err != nil {
					errs <- fmt.Errorf("connection %d, request %d: %w", i, j, err)
					return
				}
			}
			errs <- d.Close()
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
