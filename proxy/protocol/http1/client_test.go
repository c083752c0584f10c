package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/semantics"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// getHead is what the host gets for get("/").
const getHead = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n"

// gets checks that the host gets want next.
func (d *dialed) gets(t testing.TB, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(d.r, got); err != nil || string(got) != want {
		t.Errorf("the host got %q, %v\nwant %q", got[:n], err, want)
	}
}

// answers has the host write raw once it got want.
func (d *dialed) answers(t testing.TB, want, raw string) {
	go func() {
		d.gets(t, want)
		_, _ = io.WriteString(d.host, raw)
	}()
}

// state checks how often exchanges ended and whether a next one is possible.
func (d *dialed) state(t testing.TB, released int, alive bool) {
	t.Helper()
	synctest.Wait()
	if *d.released != released {
		t.Errorf("Released was called %d times, want %d", *d.released, released)
	}
	if got := d.Err() == nil; got != alive {
		t.Errorf("the client's error is %v, want alive %v", d.Err(), alive)
	}
	if closed := d.c.Closed(); closed == alive {
		t.Errorf("closed %v, alive %v", closed, alive)
	}
}

func TestRequests(t *testing.T) {
	with := func(req *stream.Request, fields ...string) *stream.Request {
		for i := 0; i < len(fields); i += 2 {
			req.Header.Add(fields[i], fields[i+1])
		}
		return req
	}
	reader := func(s string) io.Reader { return io.MultiReader(strings.NewReader(s)) }
	for _, c := range []struct {
		name string
		req  *stream.Request
		want string
	}{
		{"plain", get("/a"), "GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"},
		{"query", &stream.Request{Method: "GET", Path: "/", Query: "a=b", HasQuery: true, Authority: "h"}, "GET /?a=b HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"empty query", &stream.Request{Method: "GET", Path: "/", HasQuery: true, Authority: "h"}, "GET /? HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"no host", &stream.Request{Method: "GET", Path: "/"}, "GET / HTTP/1.1\r\nHost: \r\n\r\n"},
		{"all", &stream.Request{Method: "OPTIONS", Path: "*", Authority: "h"}, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"fields", with(get("/"), "B", "1", "a", "", "B", "\xe9"), "GET / HTTP/1.1\r\nHost: shop\r\nB: 1\r\na: \r\nB: \xe9\r\n\r\n"},
		{"fields of this hop", with(get("/"), "Connection", "x", "Host", "y", "content-length", "5", "Transfer-Encoding", "chunked",
			"Expect", "100-continue", "Upgrade", "x", "TE", "x"), getHead},
		{"post without body", &stream.Request{Method: "POST", Path: "/", Authority: "h", ContentLength: 9}, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"},
		{"delete without body", &stream.Request{Method: "DELETE", Path: "/", Authority: "h", ContentLength: -1}, "DELETE / HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"length", post(reader("hello"), 5), "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello"},
		{"chunked", post(reader("hello"), -1), "POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		{"chunked and empty", post(reader(""), -1), "POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"at hand", post(semantics.Text("hello"), 5), "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello"},
		{"at hand, chunked", post(semantics.Text("hello"), -1), "POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		{"trailer", func() *stream.Request {
			req := post(reader("hi"), -1)
			req.Trailer.Add("A", "b")
			req.Trailer.Add("Host", "b")
			return req
		}(), "POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n"},
	} {
		bubble(t, func(t *testing.T) {
			d := dial(t)
			for i := range 2 { // a connection is as good the second time
				if i == 1 && c.req.Body != nil {
					break
				}
				d.answers(t, c.want, "HTTP/1.1 204 No Content\r\n\r\n")
				resp, err := d.Handle(t.Context(), c.req)
				if err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
				_ = resp.Close()
				d.state(t, i+1, true)
				if d.r.Buffered() > 0 {
					t.Errorf("%s: more than the request was sent", c.name)
				}
			}
		})
	}
}

// A request that cannot be written harms nobody else.
func TestRequestsRefused(t *testing.T) {
	with := func(change func(*stream.Request)) *stream.Request {
		req := get("/")
		change(req)
		return req
	}
	for name, req := range map[string]*stream.Request{
		"method":         with(func(r *stream.Request) { r.Method = "G T" }),
		"no method":      with(func(r *stream.Request) { r.Method = "" }),
		"connect":        with(func(r *stream.Request) { r.Method = "CONNECT" }),
		"no path":        with(func(r *stream.Request) { r.Path = "" }),
		"relative path":  with(func(r *stream.Request) { r.Path = "a" }),
		"blank in path":  with(func(r *stream.Request) { r.Path = "/ HTTP/1.1\r\nA: b" }),
		"query in path":  with(func(r *stream.Request) { r.Path = "/?a" }),
		"fragment":       with(func(r *stream.Request) { r.Path = "/#a" }),
		"blank in query": with(func(r *stream.Request) { r.Query, r.HasQuery = "a b", true }),
		"star":           with(func(r *stream.Request) { r.Path = "*" }),
		"star and query": with(func(r *stream.Request) { r.Method, r.Path, r.HasQuery = "OPTIONS", "*", true }),
		"host":           with(func(r *stream.Request) { r.Authority = "a\r\nb" }),
		"field name":     with(func(r *stream.Request) { r.Header.Add("a b", "c") }),
		"empty name":     with(func(r *stream.Request) { r.Header.Add("", "c") }),
		"field value":    with(func(r *stream.Request) { r.Header.Add("a", "b\nc") }),
	} {
		bubble(t, func(t *testing.T) {
			d := dial(t)
			_, err := d.Handle(t.Context(), req)
			if err == nil {
				t.Fatalf("%s was sent", name)
			}
			wantError(t, err, stream.BadMessage, stream.Local, false)
			d.state(t, 1, true)
			d.answers(t, getHead, "HTTP/1.1 204 x\r\n\r\n")
			resp, err := d.Handle(t.Context(), get("/"))
			if err != nil {
				t.Fatalf("after %s: %v", name, err)
			}
			_ = resp.Close()
			d.state(t, 2, true)
		})
	}
}

func TestReplies(t *testing.T) {
	for _, c := range []struct {
		name, method, raw string
		status            int
		length            int64
		body              string
		trailer           string
		alive             bool
	}{
		{"length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, 2, "hi", "", true},
		{"empty", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, 0, "", "", true},
		{"chunked", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n", 200, -1, "hi", "b", true},
		{"until the end", "GET", "HTTP/1.1 200 OK\r\n\r\nhi", 200, -1, "hi", "", false},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, 2, "hi", "", false},
		{"HTTP/1.0 kept", "GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", 200, 2, "hi", "", true},
		{"last", "GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", 200, 2, "hi", "", false},
		{"204", "GET", "HTTP/1.1 204 No\r\n\r\n", 204, -1, "", "", true},
		{"304", "GET", "HTTP/1.1 304 No\r\nContent-Length: 7\r\n\r\n", 304, 7, "", "", true},
		{"304 chunked", "GET", "HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n", 304, -1, "", "", true},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", 200, 7, "", "", true},
		{"HEAD, nothing said", "HEAD", "HTTP/1.1 200 OK\r\n\r\n", 200, -1, "", "", true},
		{"informational", "GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, 2, "hi", "", true},
		{"more than the answer", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!", 200, 2, "hi", "", false},
		{"a second answer", "HEAD", "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 200, -1, "", "", false},
		{"a body to HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, 2, "", "", false},
	} {
		bubble(t, func(t *testing.T) {
			d := dial(t)
			req := get("/")
			req.Method = c.method
			go func() {
				d.gets(t, strings.Replace(getHead, "GET", c.method, 1))
				_, _ = io.WriteString(d.host, c.raw)
				if c.name == "until the end" {
					_ = d.host.CloseWrite()
				}
			}()
			resp, err := d.Handle(t.Context(), req)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if resp.Status != c.status || resp.ContentLength != c.length {
				t.Errorf("%s: got %d, length %d", c.name, resp.Status, resp.ContentLength)
			}
			d.state2(t, 0)
			body, err := io.ReadAll(resp.Body)
			if err != nil || string(body) != c.body || resp.Trailer.Get("a") != c.trailer || resp.Header.Get("Link") != "" {
				t.Errorf("%s: got %q, %v, trailer %q", c.name, body, err, resp.Trailer.Get("a"))
			}
			_ = resp.Close()
			d.state(t, 1, c.alive)
			_ = resp.Close() // no harm
			d.state(t, 1, c.alive)
		})
	}
}

// state2 checks only how often exchanges have ended.
func (d *dialed) state2(t testing.TB, released int) {
	t.Helper()
	if *d.released != released {
		t.Errorf("Released was called %d times", *d.released)
	}
}

func TestRepliesRefused(t *testing.T) {
	raws := append([]string{
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi",
		"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", maxInformational+1),
		"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 70<<10),
		"\x15\x03\x01\x00\x02\x02\x16 not HTTP at all\r\n\r\n",
		"SSH-2.0-OpenSSH_9.6\r\n",
	}, badResponses...)
	for _, raw := range raws {
		bubble(t, func(t *testing.T) {
			d := dial(t)
			go func() {
				d.gets(t, getHead)
				_, _ = io.WriteString(d.host, raw)
				_ = d.host.CloseWrite()
			}()
			_, err := d.Handle(t.Context(), get("/"))
			if err == nil {
				t.Fatalf("%.80q was taken", raw)
			}
			if raw == "SSH-2.0-OpenSSH_9.6\r\n" {
				wantError(t, err, stream.Reset, stream.Upstream, false)
			} else {
				wantError(t, err, stream.BadMessage, stream.Upstream, false)
			}
			d.state(t, 1, false)
		})
	}
}

// The host ends the connection somewhere: what can be sent again?
func TestHostGoes(t *testing.T) {
	cut := func(raw string) func(*dialed) {
		return func(d *dialed) {
			_, _ = io.WriteString(d.host, raw)
			_ = d.host.Close()
		}
	}
	for _, c := range []struct {
		name  string
		host  func(*dialed) // after it got the request
		get   bool          // whether a GET may be sent again
		post  bool
		start func(*dialed) // before the request
		stuck bool          // the request has a body that does not come
		kind  stream.Kind   // Reset if 0
	}{
		{name: "before it is sent", start: func(d *dialed) { _ = d.host.Close() }, get: true, post: true},
		{name: "with no answer", host: cut(""), get: true},
		{name: "in the answer's head", host: cut("HTTP/1.1 200 O")},
		{name: "after an interim answer", host: cut("HTTP/1.1 100 Continue\r\n\r\n")},
		{name: "with no answer, while the body is waited for", host: cut(""), get: true, stuck: true},
		{name: "with nonsense, while the body is waited for", host: cut("nonsense\r\n\r\n"), stuck: true, kind: stream.BadMessage},
		{name: "client closed", start: func(d *dialed) { _ = d.Close() }, get: true, post: true},
	} {
		for _, method := range []string{"GET", "POST"} {
			bubble(t, func(t *testing.T) {
				d := dial(t)
				if c.start != nil {
					c.start(d)
				} else {
					go func() {
						for {
							line, err := d.r.ReadString('\n')
							if err != nil || line == "\r\n" {
								c.host(d)
								return
							}
						}
					}()
				}
				req := get("/")
				req.Method = method
				if c.stuck {
					r, _ := io.Pipe()
					req.Body, req.ContentLength = r, -1
				}
				_, err := d.Handle(t.Context(), req)
				kind := c.kind
				if kind == 0 {
					kind = stream.Reset
				}
				want := c.get
				if method == "POST" {
					want = c.post
				}
				if err == nil {
					t.Fatalf("%s, %s: no error", c.name, method)
				}
				wantError(t, err, kind, stream.Upstream, want)
				d.state(t, 1, false)
			})
		}
	}
}

func TestHostGoesInBody(t *testing.T) {
	for _, c := range []struct {
		raw  string
		kind stream.Kind
	}{
		{"Content-Length: 5\r\n\r\nhel", stream.Reset},
		{"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", stream.Reset},
		{"Transfer-Encoding: chunked\r\n\r\n5\r\nhello", stream.Reset},
		{"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", stream.Reset},
		{"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", stream.Reset},
		{"Transfer-Encoding: chunked\r\n\r\nz", stream.Reset},
		{"Transfer-Encoding: chunked\r\n\r\nz\r\n", stream.BadMessage},
	} {
		bubble(t, func(t *testing.T) {
			d := dial(t)
			go func() {
				d.gets(t, getHead)
				_, _ = io.WriteString(d.host, "HTTP/1.1 200 OK\r\n"+c.raw)
				_ = d.host.Close()
			}()
			resp, err := d.Handle(t.Context(), get("/"))
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.ReadAll(resp.Body)
			wantError(t, err, c.kind, stream.Upstream, false)
			_ = resp.Close()
			d.state(t, 1, false)
		})
	}
}

func TestCloseEarly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := dial(t)
		d.answers(t, getHead, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
		resp, err := d.Handle(t.Context(), get("/"))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Close()
		d.state(t, 1, false)
		_, err = resp.Body.Read(make([]byte, 1))
		wantError(t, err, stream.Reset, stream.Local, false)
	})
	bubble(t, func(t *testing.T) { // while a Read waits
		d := dial(t)
		d.answers(t, getHead, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
		resp, err := d.Handle(t.Context(), get("/"))
		if err != nil {
			t.Fatal(err)
		}
		failed := make(chan error, 1)
		go func() {
			_, err := io.ReadAll(resp.Body)
			failed <- err
		}()
		time.Sleep(time.Second)
		_ = resp.Close()
		wantError(t, <-failed, stream.Reset, stream.Upstream, false)
		d.state(t, 1, false)
	})
}

// At every moment the context may end, or the time be over.
func TestClientEnds(t *testing.T) {
	type moment struct {
		name string
		req  func() *stream.Request
		host string // what the host writes
		read bool   // the host takes the request
		head bool   // Handle returns an answer; its body fails
	}
	stuck := func() *stream.Request {
		r, _ := io.Pipe()
		return post(r, -1)
	}
	for _, m := range []moment{
		{"head is waited for", func() *stream.Request { return get("/") }, "", true, false},
		{"inside the head", func() *stream.Request { return get("/") }, "HTTP/1.1 200 O", true, false},
		{"host takes nothing", func() *stream.Request { return post(zeros{}, -1) }, "", false, false},
		{"host takes nothing of what is at hand", func() *stream.Request { return post(readyZeros{}, 1<<30) }, "", false, false},
		{"caller sends nothing", stuck, "", true, false},
		{"body is waited for", func() *stream.Request { return get("/") }, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", true, true},
		{"both bodies", stuck, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", true, true},
		{"early answer, host takes nothing", func() *stream.Request { return post(zeros{}, -1) }, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", false, true},
	} {
		for _, how := range []string{"cancel", "context's deadline", "deadline", "write stall"} {
			if how == "write stall" && m.read {
				continue
			}
			bubble(t, func(t *testing.T) {
				d := dial(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				req := m.req()
				kind, side := stream.Timeout, stream.Upstream
				switch how {
				case "cancel":
					kind, side = stream.Canceled, stream.Downstream
					time.AfterFunc(time.Second, cancel)
				case "context's deadline":
					var cancel func()
					ctx, cancel = context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					side = stream.Local
				case "deadline":
					req.Limit(time.Now().Add(time.Second))
				case "write stall":
					d.c.Timeout = time.Second
				}
				var host sync.WaitGroup
				host.Go(func() {
					_, _ = io.WriteString(d.host, m.host)
					if m.read {
						_, _ = io.Copy(io.Discard, d.r)
					}
				})
				start := time.Now()
				resp, err := d.Handle(ctx, req)
				if m.head {
					if err != nil {
						t.Fatalf("%s, %s: %v", m.name, how, err)
					}
					_, err = io.ReadAll(resp.Body)
					_ = resp.Close()
				}
				if err == nil {
					t.Fatalf("%s, %s: no error", m.name, how)
				}
				e := stream.AsError(err)
				if how == "context's deadline" && e.Kind == stream.Timeout {
					side = e.Side // whichever of the two timers fires first
				}
				retry := e.Retry && m.host == "" && req.Method == "GET"
				wantError(t, err, kind, side, retry)
				if took := time.Since(start); took != time.Second {
					t.Errorf("%s, %s: it took %v", m.name, how, took)
				}
				_ = d.host.Close()
				host.Wait()
				d.state(t, 1, false)
			})
		}
	}
}

type readyZeros struct{ zeros }

func (readyZeros) Ready() bool { return true }

// What is over before it begins leaves the connection as it is.
func TestOverBeforeItBegins(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := dial(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := d.Handle(ctx, get("/"))
		wantError(t, err, stream.Canceled, stream.Downstream, false)
		req := get("/")
		req.Limit(time.Now())
		_, err = d.Handle(t.Context(), req)
		wantError(t, err, stream.Timeout, stream.Local, true)
		d.state(t, 2, true)
		d.answers(t, getHead, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		resp, err := d.Handle(t.Context(), get("/"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Handle(t.Context(), get("/"))
		wantError(t, err, stream.Internal, stream.Local, false) // two at a time
		_ = resp.Close()
		d.state(t, 3, true)
	})
}

// Limits of one exchange do not reach into the next.
func TestDeadlinesAreForgotten(t *testing.T) {
	for _, timeout := range []time.Duration{0, time.Minute} {
		bubble(t, func(t *testing.T) {
			d := dial(t)
			d.c.Timeout = timeout
			for i := range 3 {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Hour)
				req := get("/")
				if i != 1 {
					req.Limit(time.Now().Add(time.Second))
				}
				d.answers(t, getHead, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
				resp, err := d.Handle(ctx, req)
				if err != nil {
					t.Fatal(err)
				}
				if got := read(t, resp); got != "hi" {
					t.Errorf("got %q", got)
				}
				cancel() // after the end, it must not touch the connection
				time.Sleep(time.Hour)
				d.state(t, i+1, true)
			}
		})
	}
}

// A canceled context of a finished exchange does not break the one that runs.
func TestContextOfAnEarlierExchange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := dial(t)
		for i := range 100 {
			ctx, cancel := context.WithCancel(t.Context())
			d.answers(t, getHead, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			resp, err := d.Handle(ctx, get("/"))
			if err != nil {
				t.Fatalf("exchange %d: %v", i, err)
			}
			_ = resp.Close()
			go cancel()
		}
		d.state(t, 100, true)
	})
}

// The host answers before it has the whole request.
func TestEarlyAnswer(t *testing.T) {
	head := "POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n"
	bubble(t, func(t *testing.T) { // and the body still flows: both go on
		d := dial(t)
		r, w := io.Pipe()
		d.answers(t, head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		resp, err := d.Handle(t.Context(), post(r, -1))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{"ping", "pong"} {
			go func() { _, _ = io.WriteString(w, s) }()
			d.gets(t, "4\r\n"+s+"\r\n")
			_, _ = io.WriteString(d.host, "4\r\n"+s+"\r\n")
			got := make([]byte, 10)
			if n, err := resp.Body.Read(got); err != nil || string(got[:n]) != s {
				t.Fatalf("got %q, %v", got[:n], err)
			}
			time.Sleep(time.Minute)
		}
		_ = w.Close()
		d.gets(t, "0\r\n\r\n")
		_, _ = io.WriteString(d.host, "0\r\n\r\n")
		if got := read(t, resp); got != "" {
			t.Errorf("got %q", got)
		}
		d.state(t, 1, true)
	})
	bubble(t, func(t *testing.T) { // and the caller sends no more: the connection is over
		d := dial(t)
		r, _ := io.Pipe()
		d.answers(t, head, "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
		resp, err := d.Handle(t.Context(), post(r, -1))
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, resp); resp.Status != 413 || got != "no" {
			t.Errorf("got %d %q", resp.Status, got)
		}
		d.state(t, 1, false)
		if _, err := r.Read(nil); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the request's body is not closed: %v", err)
		}
	})
	bubble(t, func(t *testing.T) { // and closes, so that sending fails
		d := dial(t)
		go func() {
			d.gets(t, head)
			_, _ = io.WriteString(d.host, "HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
			_ = d.host.Close()
		}()
		resp, err := d.Handle(t.Context(), post(zeros{}, -1))
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, resp); resp.Status != 413 || got != "no" {
			t.Errorf("got %d %q", resp.Status, got)
		}
		d.state(t, 1, false)
	})
	bubble(t, func(t *testing.T) { // the same with a body at hand
		d := dial(t)
		go func() {
			d.gets(t, "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 1073741824\r\n\r\n")
			_, _ = io.WriteString(d.host, "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
			_ = d.host.Close()
		}()
		resp, err := d.Handle(t.Context(), post(readyZeros{}, 1<<30))
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, resp); resp.Status != 413 || got != "no" {
			t.Errorf("got %d %q", resp.Status, got)
		}
		d.state(t, 1, false)
	})
	bubble(t, func(t *testing.T) { // takes no more, and does not answer: not for ever
		for _, body := range []io.Reader{zeros{}, readyZeros{}} {
			d := dial(t)
			_ = d.host.CloseRead()
			start := time.Now()
			_, err := d.Handle(t.Context(), post(body, 1<<30))
			wantError(t, err, stream.Reset, stream.Upstream, true) // nothing of it was taken
			if d := time.Since(start); d != lastWords {
				t.Errorf("it took %v", d)
			}
			d.state(t, 1, false)
		}
	})
	bubble(t, func(t *testing.T) { // takes no more, answers, and takes long over the rest of the answer
		d := dial(t)
		go func() {
			d.gets(t, head)
			_ = d.host.CloseRead()
			time.Sleep(lastWords / 2)
			_, _ = io.WriteString(d.host, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
			time.Sleep(time.Minute)
			_, _ = io.WriteString(d.host, "ok")
		}()
		resp, err := d.Handle(t.Context(), post(zeros{}, -1))
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, resp); got != "ok" {
			t.Errorf("got %q", got)
		}
		d.state(t, 1, false)
	})
}

// An answer may come before the last bytes of the request have been taken. If
// they are taken soon after it, the connection is as good as before.
func TestLastWrite(t *testing.T) {
	for _, c := range []struct {
		taken time.Duration // 0: never
		alive bool
	}{{lastWrite / 2, true}, {2 * lastWrite, false}, {0, false}} {
		bubble(t, func(t *testing.T) {
			d := dial(t)
			const size = 64 << 10 // with its head, a little more than the pipe holds
			var host sync.WaitGroup
			defer host.Wait()
			defer func() { _ = d.host.Close() }()
			host.Go(func() {
				_, _ = io.WriteString(d.host, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				if time.Sleep(c.taken); c.taken > 0 {
					_, _ = io.Copy(io.Discard, d.host)
				}
			})
			resp, err := d.Handle(t.Context(), post(io.MultiReader(strings.NewReader(strings.Repeat("x", size))), size))
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			start := time.Now()
			_ = resp.Close()
			if took := time.Since(start); took != min(c.taken, lastWrite) && c.taken > 0 {
				t.Errorf("Close took %v", took)
			}
			d.state(t, 1, c.alive)
		})
	}
}

// A context that ends between the last byte of an answer and its Close takes
// the connection with it: nobody may be given it again.
func TestCanceledBeforeClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := dial(t)
		ctx, cancel := context.WithCancel(t.Context())
		d.answers(t, getHead, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
		resp, err := d.Handle(ctx, get("/"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(resp.Body); err != nil || string(got) != "hi" {
			t.Errorf("got %q, %v", got, err)
		}
		cancel()
		synctest.Wait()
		_ = resp.Close()
		d.state(t, 1, false)
	})
}

// A body that the caller does not deliver as promised fails the exchange.
func TestCallersBodyFails(t *testing.T) {
	own := &stream.Error{Kind: stream.TooLarge, Side: stream.Downstream}
	for _, c := range []struct {
		name   string
		body   io.Reader
		length int64
		kind   stream.Kind
	}{
		{"short", io.MultiReader(strings.NewReader("hel")), 5, stream.BadMessage},
		{"short, at hand", semantics.Text("hel"), 5, stream.BadMessage},
		{"long", io.MultiReader(strings.NewReader("hello")), 3, stream.BadMessage},
		{"long, at hand", semantics.Text("hello"), 3, stream.BadMessage},
		{"broken", io.MultiReader(strings.NewReader("hel"), failing{}), -1, stream.BadMessage},
		{"too large", io.MultiReader(strings.NewReader("hel"), failsWith{own}), -1, stream.TooLarge},
	} {
		bubble(t, func(t *testing.T) {
			d := dial(t)
			var host sync.WaitGroup
			host.Go(func() { _, _ = io.Copy(io.Discard, d.host) })
			_, err := d.Handle(t.Context(), post(c.body, c.length))
			if err == nil {
				t.Fatalf("%s: no error", c.name)
			}
			wantError(t, err, c.kind, stream.Downstream, false)
			d.state(t, 1, false)
			host.Wait()
		})
	}
}

type failsWith struct{ err error }

func (f failsWith) Read([]byte) (int, error) { return 0, f.err }

// The connection is kept when the answer comes at the very end of the body, however
// the two goroutines are scheduled.
func TestKeptAfterBody(t *testing.T) {
	d := dial(t)
	go func() {
		for range 300 {
			d.gets(t, "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello")
			_, _ = io.WriteString(d.host, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}()
	for i := range 300 {
		resp, err := d.Handle(t.Context(), post(io.MultiReader(strings.NewReader("hello")), 5))
		if err != nil {
			t.Fatalf("exchange %d: %v", i, err)
		}
		_ = resp.Close()
		if d.Err() != nil {
			t.Fatalf("after exchange %d: %v", i, d.Err())
		}
	}
}

func TestStaleClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := dial(t)
		if d.Stale() {
			t.Error("stale when new")
		}
		d.answers(t, getHead, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		resp, err := d.Handle(t.Context(), get("/"))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Close()
		if d.Stale() {
			t.Error("stale after an exchange")
		}
		_, _ = io.WriteString(d.host, "HTTP/1.1 408 Timeout\r\n\r\n")
		if !d.Stale() {
			t.Error("not stale with bytes nobody asked for")
		}
	})
}

// Everything a pool may do at once, under the race detector: exchanges that
// are canceled, closed early, finished, while the client is closed.
func TestClientUnderFire(t *testing.T) {
	for round := range 200 {
		client, host := conn.NewPipe("client", "host")
		released := make(chan struct{}, 10)
		cl := Protocol{}.NewClient(conn.New(client), protocol.ClientOptions{Released: func() { released <- struct{}{} }})
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = io.CopyN(io.Discard, host, int64(round*3))
			_, _ = fmt.Fprintf(host, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nhello", round%7)
			_, _ = io.Copy(io.Discard, host)
		})
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			if round%3 == 0 {
				cancel()
			}
			if round%4 == 0 {
				_ = cl.Close()
			}
		})
		r, w := io.Pipe()
		wg.Go(func() {
			_, _ = io.WriteString(w, strings.Repeat("x", round))
			if round%5 > 0 {
				_ = w.Close()
			}
		})
		req := post(r, -1)
		req.Limit(time.Now().Add(20 * time.Millisecond))
		resp, err := cl.Handle(ctx, req)
		if err == nil {
			if round%2 == 0 {
				_, _ = io.ReadAll(resp.Body)
			}
			_ = resp.Close()
		}
		<-released
		_ = cl.Close()
		_ = host.Close()
		_ = r.Close()
		cancel()
		wg.Wait()
		if len(released) > 0 {
			t.Fatalf("round %d: released twice", round)
		}
	}
}
