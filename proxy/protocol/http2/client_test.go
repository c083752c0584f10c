package http2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// result is what became of a request.
type result struct {
	resp *stream.Response
	err  *stream.Error
}

// room returns how many further requests may be started now.
func (cl *client) room() int {
	cl.s.mu.Lock()
	defer cl.s.mu.Unlock()
	return cl.available()
}

// ask sends req in the background.
func send(ctx context.Context, cl *client, req *stream.Request) <-chan result {
	ch := make(chan result, 1)
	go func() {
		resp, err := cl.Handle(ctx, req)
		r := result{resp: resp}
		if err != nil {
			r.err = stream.AsError(err)
		}
		ch <- r
	}()
	return ch
}

const getHead = "HEADERS %d [:method=GET :scheme=http :authority=example.com :path=/]"

// fails checks what became of a request that had to fail.
func fails(t *testing.T, got result, kind stream.Kind, side stream.Side, retry bool) {
	t.Helper()
	switch {
	case got.err == nil:
		t.Errorf("status %d, expected an error", got.resp.Status)
	case got.err.Kind != kind || got.err.Side != side || got.err.Retry != retry:
		t.Errorf("%v (retry %t), expected %s %s (retry %t)", got.err, got.err.Retry, side, kind, retry)
	}
}

func TestMalformedAnswers(t *testing.T) {
	for name, answer := range map[string]func(p *peer){
		"no status":         func(p *peer) { p.headers(1, true, "x: y") },
		"status in words":   func(p *peer) { p.headers(1, true, ":status: okay") },
		"status of two":     func(p *peer) { p.headers(1, true, ":status: 20") },
		"two statuses":      func(p *peer) { p.headers(1, true, ":status: 200", ":status: 200") },
		"request's pseudo":  func(p *peer) { p.headers(1, true, ":status: 200", ":path: /") },
		"late status":       func(p *peer) { p.headers(1, true, "x: y", ":status: 200") },
		"upper case":        func(p *peer) { p.headers(1, true, ":status: 200", "X: y") },
		"connection":        func(p *peer) { p.headers(1, true, ":status: 200", "connection: close") },
		"transfer-encoding": func(p *peer) { p.headers(1, true, ":status: 200", "transfer-encoding: chunked") },
		"control in value":  func(p *peer) { p.headers(1, true, ":status: 200", "x: a\rb") },
		"two lengths":       func(p *peer) { p.headers(1, false, ":status: 200", "content-length: 1", "content-length: 1") },
		"bad length":        func(p *peer) { p.headers(1, false, ":status: 200", "content-length: 1x") },
		"length, no body":   func(p *peer) { p.headers(1, true, ":status: 200", "content-length: 1") },
		"204 with length":   func(p *peer) { p.headers(1, false, ":status: 204", "content-length: 1") },
		"101":               func(p *peer) { p.headers(1, false, ":status: 101") },
		"100 as the end":    func(p *peer) { p.headers(1, true, ":status: 100") },
		"data first":        func(p *peer) { p.data(1, true, "x") },
		"too much 1xx": func(p *peer) {
			for range maxInformational + 1 {
				p.headers(1, false, ":status: 103")
			}
		},
		"too large": func(p *peer) {
			big := ":status: 200"
			var lines []string
			for i := range 40 {
				lines = append(lines, fmt.Sprint("x", i, ": ", strings.Repeat("z", 2000)))
			}
			block := p.block(append([]string{big}, lines...)...)
			p.ok(p.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:maxFrame], EndStream: true}))
			for block = block[maxFrame:]; len(block) > 0; {
				part := block[:min(len(block), maxFrame)]
				block = block[len(part):]
				p.ok(p.fr.WriteContinuation(1, len(block) == 0, part))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, cl := host(t)
				got := send(t.Context(), cl, get("/"))
				p.expect(fmt.Sprintf(getHead, 1) + " END")
				answer(p)
				p.expect("RST 1 PROTOCOL_ERROR")
				fails(t, <-got, stream.BadMessage, stream.Upstream, false)
				// The connection goes on.
				got = send(t.Context(), cl, get("/"))
				p.expect(fmt.Sprintf(getHead, 3) + " END")
				p.headers(3, true, ":status: 200")
				if r := <-got; r.err != nil {
					t.Error(r.err)
				} else {
					_ = r.resp.Close()
				}
			})
		})
	}
}

func TestAnswerForms(t *testing.T) {
	for name, c := range map[string]struct {
		method string
		answer func(p *peer)
		want   string
	}{
		"empty":        {"GET", func(p *peer) { p.headers(1, true, ":status: 200") }, `200 0 [] "" []`},
		"body":         {"GET", func(p *peer) { p.headers(1, false, ":status: 200", "a: b", "a: c"); p.data(1, true, "xyz") }, `200 -1 [a=b a=c] "xyz" []`},
		"length":       {"GET", func(p *peer) { p.headers(1, false, ":status: 500", "content-length: 3"); p.data(1, true, "xyz") }, `500 3 [] "xyz" []`},
		"head":         {"HEAD", func(p *peer) { p.headers(1, true, ":status: 200", "content-length: 3") }, `200 3 [] "" []`},
		"head, late":   {"HEAD", func(p *peer) { p.headers(1, false, ":status: 200"); p.data(1, true, "") }, `200 -1 [] "" []`},
		"not modified": {"GET", func(p *peer) { p.headers(1, true, ":status: 304", "content-length: 3") }, `304 3 [] "" []`},
		"no content":   {"GET", func(p *peer) { p.headers(1, true, ":status: 204") }, `204 0 [] "" []`},
		"informational": {"GET", func(p *peer) {
			p.headers(1, false, ":status: 100")
			p.headers(1, false, ":status: 103", "link: x")
			p.headers(1, true, ":status: 200", "a: b")
		}, `200 0 [a=b] "" []`},
		"trailer": {"GET", func(p *peer) {
			p.headers(1, false, ":status: 200")
			p.data(1, false, "x")
			p.headers(1, true, "t: 1", "content-type: forbidden")
		}, `200 -1 [] "x" [t=1]`},
		"padding": {"GET", func(p *peer) {
			p.headers(1, false, ":status: 200", "content-length: 2")
			p.ok(p.fr.WriteDataPadded(1, false, []byte("x"), make([]byte, 200)))
			p.ok(p.fr.WriteDataPadded(1, true, []byte("y"), make([]byte, 0)))
		}, `200 2 [] "xy" []`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, cl := host(t)
				req := get("/")
				req.Method = c.method
				got := send(t.Context(), cl, req)
				p.expect("HEADERS 1 ...")
				c.answer(p)
				r := <-got
				if r.err != nil {
					t.Fatal(r.err)
				}
				fields := func(h *stream.Header) (list []string) {
					for name, value := range h.All() {
						list = append(list, name+"="+value)
					}
					return list
				}
				body, err := io.ReadAll(r.resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				text := fmt.Sprintf("%d %d %v %q %v", r.resp.Status, r.resp.ContentLength, fields(&r.resp.Header), body, fields(&r.resp.Trailer))
				if text != c.want {
					t.Errorf("got  %s\nwant %s", text, c.want)
				}
				_ = r.resp.Close()
				if n := cl.room(); n != 100 {
					t.Error(n)
				}
			})
		})
	}
}

// What a request looks like on the wire.
func TestRequestOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, cl := host(t)
		req := post("/a", 3, strings.NewReader("abc"))
		req.Query, req.HasQuery = "q", true
		for _, f := range []string{
			"Content-Type: application/grpc", "Connection: x", "Transfer-Encoding: y", "TE: trailers", "Host: z",
			"Authorization: secret", "Cookie: a", "X-Token: s", "Proxy-Authorization: p",
		} {
			name, value, _ := strings.Cut(f, ": ")
			req.Header.Add(name, value)
		}
		req.Native = secrets{"x-token"}
		req.Trailer.Add("X-T", "1")
		req.Trailer.Add("Content-Length", "1")
		got := send(t.Context(), cl, req)
		p.expect("HEADERS 1 [:method=POST :scheme=http :authority=example.com :path=/a?q content-type=application/grpc " +
			"authorization=secret cookie=a x-token=s te=trailers content-length=3]")
		for _, name := range []string{"authorization", "cookie", "x-token"} {
			if !slices.Contains(p.secret, name) {
				t.Errorf("%s may be indexed", name)
			}
		}
		if slices.Contains(p.secret, "content-type") {
			t.Error("content-type may not be indexed")
		}
		p.expect(`DATA 1 "abc"`, "HEADERS 1 [x-t=1] END")
		p.headers(1, true, ":status: 200")
		_ = (<-got).resp.Close()
	})
}

func TestRequestsThatCannotBeSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, cl := host(t, xhttp2.Setting{ID: xhttp2.SettingMaxHeaderListSize, Val: 1000})
		synctest.Wait()
		for name, change := range map[string]func(r *stream.Request){
			"method":    func(r *stream.Request) { r.Method = "G T" },
			"path":      func(r *stream.Request) { r.Path = "a" },
			"target":    func(r *stream.Request) { r.Path = "/a b" },
			"query":     func(r *stream.Request) { r.Query, r.HasQuery = "a\nb", true },
			"authority": func(r *stream.Request) { r.Authority = "a/b" },
			"name":      func(r *stream.Request) { r.Header.Add("a b", "c") },
			"value":     func(r *stream.Request) { r.Header.Add("a", "b\nc") },
		} {
			req := get("/")
			change(req)
			_, err := cl.Handle(t.Context(), req)
			if e := stream.AsError(err); err == nil || e.Kind != stream.BadMessage || e.Side != stream.Local {
				t.Errorf("%s: %v", name, err)
			}
		}
		req := get("/")
		req.Header.Add("x", strings.Repeat("y", 1000))
		_, err := cl.Handle(t.Context(), req)
		if e := stream.AsError(err); err == nil || e.Kind != stream.TooLarge {
			t.Error(err)
		}
		_, err = cl.Handle(t.Context(), post("/", 5, strings.NewReader("abc")))
		if e := stream.AsError(err); err == nil || e.Kind != stream.BadMessage || e.Side != stream.Downstream {
			t.Error(err)
		}
		if cl.Err() != nil {
			t.Error(cl.Err())
		}
	})
}

func TestHostResets(t *testing.T) {
	for _, c := range []struct {
		method string
		code   xhttp2.ErrCode
		retry  bool
	}{
		{"POST", xhttp2.ErrCodeRefusedStream, true},
		{"POST", xhttp2.ErrCodeInternal, false},
		{"GET", xhttp2.ErrCodeInternal, true},
		{"GET", xhttp2.ErrCodeRefusedStream, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			p, cl := host(t)
			req := get("/")
			req.Method = c.method
			got := send(t.Context(), cl, req)
			p.expect("HEADERS 1 ...")
			p.ok(p.fr.WriteRSTStream(1, c.code))
			r := <-got
			fails(t, r, stream.Reset, stream.Upstream, c.retry)
			if code, ok := errors.AsType[*ResetError](r.err); !ok || code.Code != uint32(c.code) {
				t.Error(r.err)
			}
			if cl.Err() != nil || cl.room() != 100 {
				t.Error(cl.Err(), cl.room())
			}
		})
	}
	// In the middle of the answer.
	synctest.Test(t, func(t *testing.T) {
		p, cl := host(t)
		got := send(t.Context(), cl, get("/"))
		p.expect("HEADERS 1 ...")
		p.headers(1, false, ":status: 200")
		p.data(1, false, "abc")
		p.ok(p.fr.WriteRSTStream(1, xhttp2.ErrCodeInternal))
		r := <-got
		synctest.Wait()
		body, err := io.ReadAll(r.resp.Body)
		if e := stream.AsError(err); string(body) != "abc" || e.Kind != stream.Reset || e.Retry {
			t.Error(string(body), err)
		}
		_ = r.resp.Close()
	})
}

func TestGoAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, cl := host(t)
		one, two := send(t.Context(), cl, get("/")), (<-chan result)(nil)
		p.expect("HEADERS 1 ...")
		two = send(t.Context(), cl, post("/", 3, strings.NewReader("abc")))
		p.expect("HEADERS 3 ...", `DATA 3 "abc"...`)
		p.ok(p.fr.WriteGoAway(1<<31-1, xhttp2.ErrCodeNo, nil))
		synctest.Wait()
		if cl.Err() == nil || cl.room() != 0 || !cl.Stale() {
			t.Error(cl.Err(), cl.room())
		}
		r := <-send(t.Context(), cl, get("/"))
		fails(t, r, stream.Reset, stream.Upstream, true)
		p.ok(p.fr.WriteGoAway(1, xhttp2.ErrCodeNo, nil))
		fails(t, <-two, stream.Reset, stream.Upstream, true)
		p.headers(1, false, ":status: 200")
		r = <-one
		if r.err != nil {
			t.Fatal(r.err)
		}
		p.data(1, true, "abc")
		if body, err := io.ReadAll(r.resp.Body); string(body) != "abc" || err != nil {
			t.Error(string(body), err)
		}
		_ = r.resp.Close()
		for got := ""; got != "EOF"; {
			got = p.next()
		}
	})
}

// The host's limit on requests at a time is obeyed, also when it changes.
func TestHostStreamLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, cl := host(t, xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: 2})
		synctest.Wait()
		if n := cl.room(); n != 2 {
			t.Error(n)
		}
		one, two := send(t.Context(), cl, get("/")), send(t.Context(), cl, get("/"))
		p.expect("HEADERS 1 ...", "HEADERS 3 ...")
		r := <-send(t.Context(), cl, get("/"))
		fails(t, r, stream.Overload, stream.Upstream, true)
		p.ok(p.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: 1}))
		synctest.Wait()
		p.headers(1, true, ":status: 204")
		p.headers(3, true, ":status: 204")
		_ = (<-one).resp.Close()
		_ = (<-two).resp.Close()
		if n := cl.room(); n != 1 {
			t.Error(n)
		}
	})
}

// What ends one exchange leaves the connection alone.
func TestEndOfOneExchange(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(ctx context.Context, cl *client, p *peer) result
		kind stream.Kind
		side stream.Side
	}{
		"cancel": {func(ctx context.Context, cl *client, p *peer) result {
			ctx, cancel := context.WithCancel(ctx)
			got := send(ctx, cl, get("/"))
			p.expect("HEADERS 1 ...")
			cancel()
			return <-got
		}, stream.Canceled, stream.Downstream},
		"deadline of the context": {func(ctx context.Context, cl *client, p *peer) result {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			got := send(ctx, cl, get("/"))
			p.expect("HEADERS 1 ...")
			return <-got
		}, stream.Timeout, stream.Upstream},
		"deadline of the request": {func(ctx context.Context, cl *client, p *peer) result {
			req := get("/")
			req.Limit(time.Now().Add(time.Second))
			got := send(ctx, cl, req)
			p.expect("HEADERS 1 ...")
			return <-got
		}, stream.Timeout, stream.Upstream},
		"deadline while the body is sent": {func(ctx context.Context, cl *client, p *peer) result {
			req := post("/", -1, &endless{n: new(atomic.Int64), closed: make(chan struct{}, 1)})
			req.Limit(time.Now().Add(time.Second))
			got := send(ctx, cl, req)
			p.expect("HEADERS 1 ...")
			for range 4 {
				p.expect("DATA 1 ...")
			}
			return <-got
		}, stream.Timeout, stream.Upstream},
		"the source of the body": {func(ctx context.Context, cl *client, p *peer) result {
			got := send(ctx, cl, post("/", -1, io.MultiReader(strings.NewReader("abc"), failing{errors.New("gone")})))
			p.expect("HEADERS 1 ...", `DATA 1 "abc"`)
			return <-got
		}, stream.BadMessage, stream.Downstream},
		"the source says why": {func(ctx context.Context, cl *client, p *peer) result {
			got := send(ctx, cl, post("/", -1, failing{stream.Errorf(stream.TooLarge, stream.Downstream, "x")}))
			p.expect("HEADERS 1 ...")
			return <-got
		}, stream.TooLarge, stream.Downstream},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, cl := host(t)
				fails(t, c.do(t.Context(), cl, p), c.kind, c.side, false)
				p.expect("RST 1 CANCEL")
				// What was on its way is ignored.
				p.headers(1, false, ":status: 200")
				p.data(1, true, "abc")
				got := send(t.Context(), cl, get("/"))
				p.expect("HEADERS 3 ...")
				p.headers(3, true, ":status: 200")
				r := <-got
				if r.err != nil {
					t.Fatal(r.err)
				}
				_ = r.resp.Close()
			})
		})
	}
}

// A deadline in the middle of a body.
func TestDeadlineInTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, cl := host(t)
		req := get("/")
		req.Limit(time.Now().Add(time.Second))
		got := send(t.Context(), cl, req)
		p.expect("HEADERS 1 ...")
		p.headers(1, false, ":status: 200")
		r := <-got
		_, err := io.ReadAll(r.resp.Body)
		if e := stream.AsError(err); e.Kind != stream.Timeout {
			t.Error(err)
		}
		_ = r.resp.Close()
		p.expect("RST 1 CANCEL")
	})
}

// An answer that is closed early takes the stream back; Released is called
// once for each exchange.
func TestCloseEarlyAndReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var released atomic.Int64
		a, b := conn.Pipe()
		cl := Protocol{}.NewClient(conn.New(a), protocol.ClientOptions{Released: func() { released.Add(1) }}).(*client)
		defer func() { _ = cl.Close() }()
		p := newPeer(t, b)
		p.must(io.ReadFull(b, make([]byte, len(preface))))
		p.ok(p.fr.WriteSettings())
		got := send(t.Context(), cl, get("/"))
		p.expect("HEADERS 1 ...")
		p.headers(1, false, ":status: 200")
		p.data(1, false, "abc")
		r := <-got
		if released.Load() != 0 {
			t.Error("released too early")
		}
		_ = r.resp.Close()
		if released.Load() != 1 {
			t.Error(released.Load())
		}
		p.expect("RST 1 CANCEL")
		p.data(1, true, strings.Repeat("x", 10000))

		// The host answers at once, the body is still being sent.
		blocked, stop := io.Pipe()
		got = send(t.Context(), cl, post("/", -1, blocked))
		p.expect("HEADERS 3 ...")
		p.headers(3, true, ":status: 200")
		r = <-got
		go func() {
			time.Sleep(time.Second)
			_ = stop.Close() // io.NopCloser does not
		}()
		_ = r.resp.Close()
		p.expect("RST 3 CANCEL")
		if released.Load() != 2 {
			t.Error(released.Load())
		}

		got = send(t.Context(), cl, get("/"))
		p.expect("HEADERS 5 ...")
		p.ok(p.fr.WriteRSTStream(5, xhttp2.ErrCodeInternal))
		<-got
		_, _ = cl.Handle(t.Context(), &stream.Request{})
		if released.Load() != 4 {
			t.Error(released.Load())
		}
	})
}

// The end of the connection fails all exchanges at once.
func TestConnectionEnds(t *testing.T) {
	for name, end := range map[string]func(p *peer, cl *client){
		"host closes":   func(p *peer, _ *client) { _ = p.nc.Close() },
		"we close":      func(_ *peer, cl *client) { _ = cl.Close(); _ = cl.Close() },
		"protocol":      func(p *peer, _ *client) { p.headers(2, true, ":status: 200") },
		"push":          func(p *peer, _ *client) { p.ok(p.fr.WriteRawFrame(xhttp2.FramePushPromise, 4, 1, make([]byte, 8))) },
		"garbage":       func(p *peer, _ *client) { p.must(p.nc.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))) },
		"unknown index": func(p *peer, _ *client) { p.must(p.nc.Write([]byte{0, 0, 1, 1, 5, 0, 0, 0, 1, 0xff})) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, cl := host(t)
				var all []<-chan result
				for i := range 20 {
					all = append(all, send(t.Context(), cl, post(fmt.Sprint("/", i), -1, &endless{n: new(atomic.Int64), closed: make(chan struct{}, 1)})))
				}
				synctest.Wait()
				start := time.Now()
				go end(p, cl)
				go func() { _, _ = io.Copy(io.Discard, p.nc) }()
				for _, got := range all {
					r := <-got
					if r.err == nil || r.err.Retry {
						t.Error(r.err)
					}
				}
				if name == "unknown index" || name == "garbage" {
					_ = p.nc.Close()
				}
				if d := time.Since(start); d > 11*time.Second {
					t.Error(d)
				}
				if cl.Err() == nil || cl.room() != 0 {
					t.Error("still in use")
				}
			})
		})
	}
}

// Requests that wait for room in the output fail with the connection too.
func TestConnectionEndsForWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, cl := host(t, xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: 1000})
		synctest.Wait()
		var all []<-chan result
		for i := range 400 {
			req := get("/")
			req.Header.Add("x", strings.Repeat(fmt.Sprint(i), 2000)) // the host does not read
			all = append(all, send(t.Context(), cl, req))
		}
		synctest.Wait()
		if n := cl.room(); n < 700 {
			t.Errorf("%d requests are queued although nothing is read", 1000-n)
		}
		start := time.Now()
		_ = cl.Close()
		for _, got := range all {
			if r := <-got; r.err == nil || r.err.Kind != stream.Reset {
				t.Error(r.err)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Error(d)
		}
	})
}

// A host that is gone without a word is noticed while somebody waits for it.
func TestClientKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, cl := host(t)
		got := send(t.Context(), cl, get("/"))
		p.expect("HEADERS 1 ...")
		start := time.Now()
		p.expect("PING alive")
		fails(t, <-got, stream.Reset, stream.Upstream, true)
		if d := time.Since(start); d != keepAlive+pingWait {
			t.Error(d)
		}
	})
	synctest.Test(t, func(t *testing.T) { // also on a connection that was idle
		p, cl := host(t)
		time.Sleep(time.Hour)
		got := send(t.Context(), cl, get("/"))
		p.expect("HEADERS 1 ...")
		start := time.Now()
		p.expect("PING alive")
		fails(t, <-got, stream.Reset, stream.Upstream, true)
		if d := time.Since(start); d > keepAlive+pingWait {
			t.Error(d)
		}
	})
}

// The host's windows are obeyed, also when they shrink below zero.
func TestHostWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, cl := host(t, xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 10},
			xhttp2.Setting{ID: xhttp2.SettingHeaderTableSize, Val: 0})
		synctest.Wait()
		body := strings.Repeat("0123456789", 3)
		got := send(t.Context(), cl, post("/", -1, strings.NewReader(body)))
		p.expect("HEADERS 1 ...", `DATA 1 "0123456789"`)
		p.ok(p.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 3})) // -7
		p.ok(p.fr.WriteWindowUpdate(1, 7))                                                    // 0
		synctest.Wait()
		p.ok(p.fr.WriteWindowUpdate(1, 4))
		p.expect(`DATA 1 "0123"`)
		p.ok(p.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1000}))
		p.expect(`DATA 1 "4567890123456789"`, `DATA 1 "" END`)
		p.headers(1, true, ":status: 200")
		_ = (<-got).resp.Close()
	})
}

// Requests of many callers share a connection; each gets its own answer.
func TestManyAtOnce(t *testing.T) {
	cl := pair(t, echo)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			for j := range 30 {
				text := strings.Repeat(fmt.Sprint(i, " ", j, ","), 1+i*j)
				resp, err := cl.Handle(context.Background(), post("/", -1, strings.NewReader(text)))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				if string(got) != text || err != nil {
					t.Errorf("%d %d: %d bytes of %d, %v", i, j, len(got), len(text), err)
				}
				_ = resp.Close()
			}
		})
	}
	wg.Wait()
	if n := cl.room(); n != 250 {
		t.Error(n)
	}
}
