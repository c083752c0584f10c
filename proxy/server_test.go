package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	. "github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// answer is the head of an answer.
type answer struct {
	StatusCode int
	Header     http.Header
	Close      bool // it is the last on its connection
}

// fetch sends a request and returns the answer and its body.
func fetch(t testing.TB, c *http.Client, req *http.Request) (answer, string) {
	t.Helper()
	resp, err := c.Do(req)
	must(t, err)
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	must(t, resp.Body.Close())
	return answer{resp.StatusCode, resp.Header, resp.Close}, string(b)
}

func request(t testing.TB, method, url, body string, fields ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	must(t, err)
	if body == "" {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	return req
}

// host starts an HTTP server on the machine's network and returns its address.
func host(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// byID matches requests with a header field id.
func byID(id, cluster string) config.Route {
	r := To("/", cluster)
	r.Match.Headers = []config.HeaderMatch{{Name: "id", Value: id}}
	return r
}

func timed(r config.Route, timeout time.Duration) config.Route {
	action := *r.Route
	action.Timeout = timeout
	r.Route = &action
	return r
}

// The whole way, over real sockets, with package net/http at both ends.
func TestFromWireToWire(t *testing.T) {
	one, two := host(t, Echo("one")), host(t, Echo("two"))
	s := Start(t, nil, &config.Snapshot{
		Listeners: []config.Listener{Bound("egress", "main", "127.0.0.1:0")},
		Routers: []config.Router{Router("main",
			byID("1", "one"), byID("2", "two"), byID("3", "nobody"), Answer("/direct", 418, "short and stout"))},
		Clusters: []config.Cluster{Cluster("one", one), Cluster("two", two)},
	})
	c := Client(t, s.Addr(t, "egress"))
	long := strings.Repeat("0123456789abcdef", 64<<10/16*5)
	for i, tc := range []struct {
		req    *http.Request
		status int
		body   string
		route  string
		host   string
		proxy  string // the Proxy-Status
		err    string
	}{
		{req: request(t, "GET", "http://pay/a/b?c=d%20e", "", "id", "1"), status: 200, body: "one: GET /a/b?c=d%20e ", route: "routers[0]", host: one},
		{req: request(t, "POST", "http://pay/x", "hello", "id", "2"), status: 200, body: "two: POST /x hello", route: "routers[1]", host: two},
		{req: request(t, "POST", "http://pay/x", long, "id", "2"), status: 200, body: "two: POST /x " + long, route: "routers[1]", host: two},
		{req: request(t, "GET", "http://pay/direct/x", ""), status: 418, body: "short and stout", route: "routers[3]"},
		{
			req: request(t, "GET", "http://pay/x", "", "id", "3"), status: 503, body: "no cluster\n", route: "routers[2]",
			proxy: "ottavo; error=proxy_configuration_error", err: `cluster "nobody"`,
		},
		{req: request(t, "GET", "http://pay/x", "", "id", "9"), status: 404, body: "no route\n", proxy: "ottavo; error=destination_not_found", err: "no route of virtual host all"},
	} {
		resp, body := fetch(t, c, tc.req)
		if resp.StatusCode != tc.status || resp.Close || body != tc.body || resp.Header.Get("Proxy-Status") != tc.proxy {
			t.Errorf("%d: %d %.200q, Proxy-Status %q", i, resp.StatusCode, body, resp.Header.Get("Proxy-Status"))
		}
		r := s.Records.Last(t, i+1)
		if r.Listener != "egress" || r.Protocol != "Http1" || r.Method != tc.req.Method || r.Authority != "pay" || r.Path != tc.req.URL.EscapedPath() ||
			r.VirtualHost != "all" || r.Route != tc.route || r.Host != tc.host || r.Status != tc.status ||
			r.BytesIn != tc.req.ContentLength || tc.err == "" && r.BytesOut != int64(len(body)) {
			t.Errorf("%d: record %+v", i, r)
		}
		if tc.host != "" && (r.Attempts != 1 || r.Cluster != strings.SplitN(tc.body, ":", 2)[0] || r.FirstByte <= 0 || r.Duration < r.FirstByte) {
			t.Errorf("%d: record %+v", i, r)
		}
		if !strings.HasPrefix(r.Downstream, "127.0.0.1:") {
			t.Errorf("%d: downstream %q", i, r.Downstream)
		}
		if text := fmt.Sprint(r.Err); tc.err == "" && r.Err != nil || !strings.Contains(text, tc.err) {
			t.Errorf("%d: error %v, want %q", i, r.Err, tc.err)
		}
	}
	// The core keeps the connection. (The client may give one up: package net/http
	// does when it is slow to notice that it has sent a request.)
	st := s.Status(t, "egress")
	if st.Serves != "Http1, router main" || st.Accepted < 1 {
		t.Errorf("%+v", st)
	}
	for cause, n := range st.Closed {
		if n > 0 && conn.Cause(cause) != conn.RemoteClose {
			t.Errorf("%d connections have ended: %v", n, conn.Cause(cause))
		}
	}
}

func TestHostRefuses(t *testing.T) {
	down := testserver.Addr(t)
	s := Start(t, nil, &config.Snapshot{
		Listeners: []config.Listener{Bound("egress", "main", "127.0.0.1:0")},
		Routers:   []config.Router{Router("main", To("/", "down"))},
		Clusters:  []config.Cluster{Cluster("down", down)},
	})
	resp, body := fetch(t, Client(t, s.Addr(t, "egress")), request(t, "POST", "http://pay/", "x"))
	if resp.StatusCode != 503 || resp.Header.Get("Proxy-Status") != "ottavo; error=connection_refused" || strings.Contains(body, down) {
		t.Errorf("%d %q %v: hosts are not told to callers", resp.StatusCode, body, resp.Header)
	}
	r := s.Records.Last(t, 1)
	if r.Host != down || r.Status != 503 || r.Err == nil || !strings.Contains(r.Err.Error(), "connection refused") {
		t.Errorf("record %+v", r)
	}
}

// A host that ends the connection in the middle of its answer: the caller must
// not take what it got for the whole.
func TestHostBreaksHalfWay(t *testing.T) {
	for _, c := range []struct{ name, answer string }{
		{"with a length", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"},
		{"in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			broken := host(t, func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(conn, c.answer)
				_ = conn.Close()
			})
			s := Start(t, nil, &config.Snapshot{
				Listeners: []config.Listener{Bound("egress", "main", "127.0.0.1:0")},
				Routers:   []config.Router{Router("main", To("/", "broken"))},
				Clusters:  []config.Cluster{Cluster("broken", broken)},
			})
			resp, err := Client(t, s.Addr(t, "egress")).Do(request(t, "GET", "http://pay/", ""))
			must(t, err)
			b, err := io.ReadAll(resp.Body)
			if !errors.Is(err, io.ErrUnexpectedEOF) || string(b) != "half" {
				t.Errorf("read %q, %v, want an unexpected end", b, err)
			}
			_ = resp.Body.Close()
			r := s.Records.Last(t, 1)
			if r.Status != 200 || r.Err == nil || stream.AsError(r.Err).Kind != stream.Reset || stream.AsError(r.Err).Side != stream.Upstream || r.BytesOut != 4 {
				t.Errorf("record %+v", r)
			}
		})
	}
}

func TestHostHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Network{}
		gone := make(chan struct{})
		n.HTTP(t, "slow:1", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/body" {
				_, _ = io.WriteString(w, "begun")
				_ = http.NewResponseController(w).Flush()
			}
			<-r.Context().Done()
			gone <- struct{}{}
		})
		s := Start(t, n, &config.Snapshot{
			Listeners: []config.Listener{Listener("egress", "main")},
			Routers:   []config.Router{Router("main", timed(To("/", "slow"), 3*time.Second))},
			Clusters:  []config.Cluster{Cluster("slow", "slow:1")},
		})
		c := s.Client(t, "egress")
		begin := time.Now()
		resp, body := fetch(t, c, request(t, "GET", "http://pay/head", ""))
		if resp.StatusCode != 504 || resp.Header.Get("Proxy-Status") != "ottavo; error=http_response_timeout" || time.Since(begin) != 3*time.Second {
			t.Errorf("after %v: %d %q %v", time.Since(begin), resp.StatusCode, body, resp.Header)
		}
		<-gone // the host is told
		r := s.Records.Last(t, 1)
		if r.Duration != 3*time.Second || r.Status != 504 || stream.AsError(r.Err).Kind != stream.Timeout || r.Host != "slow:1" {
			t.Errorf("record %+v", r)
		}

		// The time is for the whole exchange: a body that stalls is cut, too.
		begin = time.Now()
		stalled, err := c.Do(request(t, "GET", "http://pay/body", ""))
		must(t, err)
		b, err := io.ReadAll(stalled.Body)
		if err == nil || string(b) != "begun" || time.Since(begin) != 3*time.Second {
			t.Errorf("after %v: %q, %v", time.Since(begin), b, err)
		}
		_ = stalled.Body.Close()
		<-gone
		if r := s.Records.Last(t, 2); r.Status != 200 || r.Err == nil || stream.AsError(r.Err).Kind != stream.Timeout {
			t.Errorf("record %+v", r)
		}
	})
}

// A caller that goes away ends the exchange at the host.
func TestCallerGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Network{}
		gone := make(chan struct{})
		n.HTTP(t, "slow:1", func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			close(gone)
		})
		s := Start(t, n, &config.Snapshot{
			Listeners: []config.Listener{Listener("egress", "main")},
			Routers:   []config.Router{Router("main", To("/", "slow"))},
			Clusters:  []config.Cluster{Cluster("slow", "slow:1")},
		})
		c := s.Dial(t, "egress")
		_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: pay\r\n\r\n")
		must(t, err)
		time.Sleep(time.Second)
		_ = c.Close()
		<-gone
		r := s.Records.Last(t, 1)
		if r.Status != 499 || stream.AsError(r.Err).Kind != stream.Canceled || r.Duration > 2*time.Second {
			t.Errorf("record %+v", r)
		}
		synctest.Wait()
		if n := s.Status(t, "egress").Connections; n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// What is no request leaves a record, too.
func TestBadRequests(t *testing.T) {
	for _, c := range []struct {
		raw, answer string
		status      int
		kind        stream.Kind
	}{
		{"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", 400, stream.BadMessage},
		{"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 400 ", 400, stream.BadMessage},
		{"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 100<<10) + "\r\n\r\n", "HTTP/1.1 431 ", 431, stream.TooLarge},
	} {
		s := Start(t, &Network{}, &config.Snapshot{
			Listeners: []config.Listener{Listener("egress", "main")},
			Routers:   []config.Router{Router("main", Answer("/", 200, "ok"))},
		})
		if got := s.Raw(t, "egress", c.raw); !strings.HasPrefix(got, c.answer) {
			t.Errorf("%.60q: answered %.100q", c.raw, got)
		}
		r := s.Records.Last(t, 1)
		if r.Status != c.status || r.Listener != "egress" || r.Protocol != "Http1" || stream.AsError(r.Err).Kind != c.kind || r.Duration <= 0 {
			t.Errorf("%.60q: record %+v", c.raw, r)
		}
	}
}

// The lines of the last requests are in the file when the server has ended,
// whichever way it ends.
func TestAccessLogIsWhole(t *testing.T) {
	for _, way := range []string{"shutdown", "close"} {
		t.Run(way, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "access.log")
			n := &Network{}
			asked := make(chan struct{})
			n.HTTP(t, "slow:1", func(_ http.ResponseWriter, r *http.Request) {
				asked <- struct{}{}
				<-r.Context().Done()
			})
			l := Listener("egress", "main")
			l.AccessLogs = []config.AccessLog{{Path: path}}
			s := Start(t, n, &config.Snapshot{
				Listeners: []config.Listener{l},
				Routers:   []config.Router{Router("main", To("/slow", "slow"), Answer("/", 200, "ok"))},
				Clusters:  []config.Cluster{Cluster("slow", "slow:1")},
			})
			c := s.Client(t, "egress")
			for range 10 {
				fetch(t, c, request(t, "GET", "http://pay/quick", ""))
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				if resp, err := c.Do(request(t, "GET", "http://pay/slow", "")); err == nil {
					_ = resp.Body.Close()
				}
			}()
			<-asked
			if way == "close" {
				s.Close()
			} else {
				ctx := canceled(t)
				if err := s.Shutdown(ctx); err == nil || !strings.Contains(err.Error(), `listener "egress": `) {
					t.Errorf("Shutdown that cut a request off: %v", err)
				}
			}
			<-done
			b, err := os.ReadFile(path)
			must(t, err)
			if quick, slow := strings.Count(string(b), "path=/quick status=200"), strings.Count(string(b), "path=/slow status=499"); quick != 10 || slow != 1 {
				t.Errorf("%d lines of quick requests, %d of the one that was cut off:\n%s", quick, slow, b)
			}
		})
	}
}

// canceled returns a context that has ended.
func canceled(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
