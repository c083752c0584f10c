package http2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// recorder is a handler that notes what was rejected.
type recorder struct {
	handlerFunc
	rejected chan string
}

func (r *recorder) Reject(_ context.Context, req *stream.Request, status int, err *stream.Error) {
	r.rejected <- fmt.Sprintf("%d %s %s", status, req.Method, err)
}

func record(h handlerFunc) *recorder { return &recorder{h, make(chan string, 10000)} }

// plain answers with the head's facts.
func plain(_ context.Context, req *stream.Request) (*stream.Response, error) {
	if req.Body != nil {
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return nil, err
		}
	}
	return answer(200, fmt.Sprintf("%s %s %s %d", req.Method, req.Authority, req.Path, req.Header.Len())), nil
}

const plainHead = "HEADERS 1 [:status=200 content-length="

// Requests that are malformed: the stream is reset, the next one works.
func TestMalformedRequests(t *testing.T) {
	for name, lines := range map[string][]string{
		"no method":              {":scheme: http", ":path: /", ":authority: a"},
		"no scheme":              {":method: GET", ":path: /", ":authority: a"},
		"other scheme":           {":method: GET", ":scheme: ftp", ":path: /", ":authority: a"},
		"no path":                {":method: GET", ":scheme: http", ":authority: a"},
		"empty path":             {":method: GET", ":scheme: http", ":path: ", ":authority: a"},
		"relative path":          {":method: GET", ":scheme: http", ":path: a", ":authority: a"},
		"star":                   {":method: GET", ":scheme: http", ":path: *", ":authority: a"},
		"fragment":               {":method: GET", ":scheme: http", ":path: /#a", ":authority: a"},
		"blank in path":          {":method: GET", ":scheme: http", ":path: /a b", ":authority: a"},
		"control in path":        {":method: GET", ":scheme: http", ":path: /a\r\nb", ":authority: a"},
		"method not a token":     {":method: G T", ":scheme: http", ":path: /", ":authority: a"},
		"user in authority":      {":method: GET", ":scheme: http", ":path: /", ":authority: me@a"},
		"slash in authority":     {":method: GET", ":scheme: http", ":path: /", ":authority: a/b"},
		"two paths":              with(basic[:3], ":path: /", ":authority: a"),
		"two empty authorities":  with(basic[:3], ":authority: ", ":authority: a"),
		"status":                 with(basic, ":status: 200"),
		"unknown pseudo":         with(basic, ":protocol: websocket"),
		"late pseudo":            {":method: GET", ":scheme: http", ":path: /", "a: b", ":authority: a"},
		"upper case":             with(basic, "X-A: b"),
		"blank in name":          with(basic, "x a: b"),
		"empty name":             with(basic[:4], "\x00: b"),
		"newline in value":       with(basic, "x-a: b\nc"),
		"nul in value":           with(basic, "x-a: b\x00"),
		"blank before value":     with(basic, "x-a:  b"),
		"blank after value":      with(basic, "x-a: b "),
		"connection":             with(basic, "connection: close"),
		"keep-alive":             with(basic, "keep-alive: 5"),
		"proxy-connection":       with(basic, "proxy-connection: close"),
		"transfer-encoding":      with(basic, "transfer-encoding: chunked"),
		"upgrade":                with(basic, "upgrade: h2c"),
		"te":                     with(basic, "te: gzip"),
		"te with more":           with(basic, "te: trailers, gzip"),
		"host differs":           with(basic, "host: other.com"),
		"two hosts":              with(basic[:3], "host: a", "host: a"),
		"host malformed":         with(basic[:3], "host: a b"),
		"two lengths":            with(basicPost, "content-length: 1", "content-length: 1"),
		"length not a number":    with(basicPost, "content-length: +1"),
		"length negative":        with(basicPost, "content-length: -1"),
		"length but no body":     with(basicPost, "content-length: 1"),
		"length of two numbers":  with(basicPost, "content-length: 1, 1"),
		"length beyond counting": with(basicPost, "content-length: 99999999999999999999"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := record(plain)
				p, _, _ := caller(t, protocol.ServerOptions{}, h)
				p.headers(1, true, lines...)
				p.expect("RST 1 PROTOCOL_ERROR")
				if got := <-h.rejected; !strings.HasPrefix(got, "400 ") || !strings.Contains(got, "downstream bad message") {
					t.Error(got)
				}
				p.headers(3, true, basic...)
				p.expect(`HEADERS 3 [:status=200 content-length=19]`, `DATA 3 "GET example.com / 0"`, `DATA 3 "" END`)
			})
		})
	}
}

func TestRequestForms(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		want  string
	}{
		"star":               {[]string{":method: OPTIONS", ":scheme: http", ":path: *", ":authority: a"}, "OPTIONS http a *[]"},
		"query":              {[]string{":method: GET", ":scheme: https", ":path: /a?b=c?d", ":authority: a:1"}, "GET https a:1 /a?b=c?d[]"},
		"empty query":        {[]string{":method: GET", ":scheme: HTTPS", ":path: /a?", ":authority: a"}, "GET https a /a?[]"},
		"host only":          {[]string{":method: GET", ":scheme: http", ":path: /", "host: b"}, "GET http b /[]"},
		"both":               {with(basic, "host: Example.COM"), "GET http example.com /[]"},
		"te":                 {with(basic, "te: trailers"), "GET http example.com /[te=trailers]"},
		"cookies":            {with(basic, "cookie: a=1", "x: y", "cookie: b=2", "cookie: c=3"), "GET http example.com /[cookie=a=1; b=2; c=3 x=y]"},
		"repeated":           {with(basic, "x: 1", "y: 2", "x: 3"), "GET http example.com /[x=1 y=2 x=3]"},
		"for this hop":       {with(basic, "proxy-authorization: secret", "x: 1"), "GET http example.com /[x=1]"},
		"length is no field": {with(basic, "content-length: 0"), "GET http example.com /[]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got string
				p, _, _ := caller(t, protocol.ServerOptions{}, handlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
					var fields []string
					for name, value := range req.Header.All() {
						fields = append(fields, name+"="+value)
					}
					got = fmt.Sprint(req.Method, " ", req.Scheme, " ", req.Authority, " ", req.Path)
					if req.HasQuery {
						got += "?" + req.Query
					}
					got += fmt.Sprint(fields)
					if req.Body != nil || req.ContentLength != 0 || req.Protocol != Name {
						t.Error(req.ContentLength, req.Protocol)
					}
					return answer(204, ""), nil
				}))
				p.headers(1, true, c.lines...)
				p.expect("HEADERS 1 [:status=204] END")
				if got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
			})
		})
	}
}

// Requests that are answered by the protocol itself.
func TestRefusedRequests(t *testing.T) {
	many := with(basic)
	for i := range 300 {
		many = append(many, fmt.Sprint("x: ", i))
	}
	for name, c := range map[string]struct {
		lines []string
		end   bool
		want  []string
		kind  string
	}{
		"connect":         {[]string{":method: CONNECT", ":authority: a:1"}, true, []string{"HEADERS 1 [:status=501] END"}, "501 CONNECT downstream bad message"},
		"expectation":     {with(basic, "expect: money"), true, []string{"HEADERS 1 [:status=417] END"}, "417 GET downstream bad message"},
		"too many fields": {many, true, []string{"HEADERS 1 [:status=431] END"}, "431 GET downstream too large"},
		"long header":     {with(basic, "x: "+strings.Repeat("y", 70000)), true, []string{"HEADERS 1 [:status=431] END"}, "431 GET downstream too large"},
		"long body": {
			with(basicPost, "content-length: 1001"), false,
			[]string{"HEADERS 1 [:status=413] END", "RST 1 NO_ERROR"},
			"413 POST downstream too large",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := record(plain)
				p, _, _ := caller(t, protocol.ServerOptions{Extend: map[string]any{"max_request_body_size": 1000}}, h)
				block := p.block(c.lines...)
				first := block[:min(len(block), maxFrame)]
				p.ok(p.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndStream: c.end, EndHeaders: len(first) == len(block)}))
				for rest := block[len(first):]; len(rest) > 0; {
					part := rest[:min(len(rest), maxFrame)]
					rest = rest[len(part):]
					p.ok(p.fr.WriteContinuation(1, len(rest) == 0, part))
				}
				p.expect(c.want...)
				if got := <-h.rejected; !strings.HasPrefix(got, c.kind) {
					t.Error(got)
				}
				if !c.end {
					p.data(1, true, "was on its way")
				}
				p.headers(3, true, basic...)
				if got := p.next(); !strings.HasPrefix(got, "HEADERS 3 [:status=200") {
					t.Fatal(got)
				}
			})
		})
	}
}

// Bodies that do not agree with what was said of them.
func TestBodyLengths(t *testing.T) {
	for name, send := range map[string]func(p *peer){
		"too short":            func(p *peer) { p.data(1, true, "ab") },
		"too long":             func(p *peer) { p.data(1, false, "abcd") },
		"too long at once":     func(p *peer) { p.data(1, true, "abcd") },
		"too short with trail": func(p *peer) { p.data(1, false, "ab"); p.headers(1, true, "x: y") },
		"second head":          func(p *peer) { p.headers(1, false, "x: y") },
		"pseudo in trailer":    func(p *peer) { p.data(1, false, "abc"); p.headers(1, true, ":path: /") },
		"upper in trailer":     func(p *peer) { p.data(1, false, "abc"); p.headers(1, true, "X: y") },
		"hop in trailer":       func(p *peer) { p.data(1, false, "abc"); p.headers(1, true, "connection: y") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failed := make(chan error, 1)
				p, _, _ := caller(t, protocol.ServerOptions{}, handlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
					_, err := io.Copy(io.Discard, req.Body)
					failed <- err
					return nil, err
				}))
				p.headers(1, false, with(basicPost, "content-length: 3")...)
				send(p)
				p.expect("RST 1 PROTOCOL_ERROR")
				if e := stream.AsError(<-failed); e.Kind != stream.BadMessage || e.Side != stream.Downstream {
					t.Error(e)
				}
			})
		})
	}
}

// An answer has a date: the host's, or ours.
func TestDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, _ := caller(t, protocol.ServerOptions{}, handlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			resp := answer(204, "")
			if v := req.Header.Get("x"); v != "" {
				resp.Header.Add("Date", v)
			}
			return resp, nil
		}))
		for i, want := range []string{"Sat, 01 Jan 2000 00:00:00 GMT", "mine", "Sat, 01 Jan 2000 00:00:01 GMT"} {
			if want == "mine" {
				p.headers(uint32(2*i+1), true, with(basic, "x: mine")...)
			} else {
				p.headers(uint32(2*i+1), true, basic...)
			}
			p.expect("HEADERS ...")
			var dates []string
			for _, f := range p.got {
				if f.Name == "date" {
					dates = append(dates, f.Value)
				}
			}
			if len(dates) != 1 || dates[0] != want {
				t.Errorf("dates %q, expected %q", dates, want)
			}
			if want == "mine" {
				time.Sleep(time.Second)
			}
		}
	})
}

func TestTrailersOfRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, _ := caller(t, protocol.ServerOptions{}, handlerFunc(echo))
		p.headers(1, false, with(basicPost, "content-length: 3")...)
		p.data(1, false, "abc")
		p.headers(1, true, "x-sum: 1", "content-type: forbidden", "x-sum: 2")
		if got := p.next(); got != "HEADERS 1 [:status=200]" {
			t.Fatal(got)
		}
		p.expect(`DATA 1 "abc"`, "HEADERS 1 [x-sum=1 x-sum=2] END")
	})
}

func TestMaxBodyWhileStreaming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, _ := caller(t, protocol.ServerOptions{Extend: map[string]any{"max_request_body_size": 5}}, handlerFunc(plain))
		p.headers(1, false, basicPost...)
		p.data(1, false, "123456")
		p.expect("HEADERS 1 [:status=413 content-type=text/plain; charset=utf-8 proxy-status=ottavo; error=http_request_error...")
	})
}

func TestErrorAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		h    stream.HandlerFunc
		want []string
	}{
		"before the head": {func(context.Context, *stream.Request) (*stream.Response, error) {
			return nil, stream.Errorf(stream.NoRoute, stream.Local, "x")
		}, []string{"HEADERS 1 [:status=404 content-type=text/plain; charset=utf-8 proxy-status=ottavo; error=destination_not_found content-length=12]", `DATA 1 "no route: x\n" END`}},
		"in the body": {func(context.Context, *stream.Request) (*stream.Response, error) {
			return &stream.Response{Status: 200, ContentLength: -1, Body: io.NopCloser(io.MultiReader(strings.NewReader("abc"), failing{errors.New("no")}))}, nil
		}, []string{"HEADERS 1 [:status=200]", `DATA 1 "abc"`, "RST 1 INTERNAL_ERROR"}},
		"the host cancelled": {func(context.Context, *stream.Request) (*stream.Response, error) {
			return &stream.Response{Status: 200, ContentLength: -1, Body: io.NopCloser(failing{&ResetError{Code: uint32(xhttp2.ErrCodeCancel)}})}, nil
		}, []string{"HEADERS 1 [:status=200]", "RST 1 CANCEL"}},
		"body too short": {func(context.Context, *stream.Request) (*stream.Response, error) {
			return &stream.Response{Status: 200, ContentLength: 5, Body: io.NopCloser(strings.NewReader("abc"))}, nil
		}, []string{"HEADERS 1 [:status=200 content-length=5]", `DATA 1 "abc"`, "RST 1 INTERNAL_ERROR"}},
		"body too long": {func(context.Context, *stream.Request) (*stream.Response, error) {
			return &stream.Response{Status: 200, ContentLength: 2, Body: io.NopCloser(strings.NewReader("abc"))}, nil
		}, []string{"HEADERS 1 [:status=200 content-length=2]", "RST 1 INTERNAL_ERROR"}},
		"field that cannot be sent": {func(context.Context, *stream.Request) (*stream.Response, error) {
			resp := answer(200, "abc")
			resp.Header.Add("x", "a\r\nb")
			return resp, nil
		}, []string{"HEADERS 1 [:status=500 content-type=text/plain; charset=utf-8 proxy-status=ottavo; error=proxy_internal_error..."}},
		"status that cannot be sent": {func(context.Context, *stream.Request) (*stream.Response, error) {
			return answer(101, ""), nil
		}, []string{"HEADERS 1 [:status=500 content-type=text/plain; charset=utf-8 proxy-status=ottavo; error=proxy_internal_error..."}},
		"one way": {func(context.Context, *stream.Request) (*stream.Response, error) {
			return stream.NoResponse, nil
		}, []string{"HEADERS 1 [:status=202] END"}},
		"panic": {
			func(context.Context, *stream.Request) (*stream.Response, error) { panic("oh") },
			[]string{"RST 1 INTERNAL_ERROR"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var first atomic.Bool
				p, _, _ := caller(t, protocol.ServerOptions{}, handlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
					if first.Swap(true) {
						return plain(ctx, req)
					}
					return c.h(ctx, req)
				}))
				p.headers(1, true, basic...)
				p.expect(c.want...)
				p.headers(3, true, basic...)
				for {
					got := p.next()
					if strings.HasPrefix(got, "DATA 1") {
						continue
					}
					if !strings.HasPrefix(got, "HEADERS 3 [:status=200") {
						t.Fatal(got)
					}
					break
				}
			})
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestAnswersWithoutBody(t *testing.T) {
	for name, c := range map[string]struct {
		method string
		resp   stream.Response
		want   string
	}{
		"head":               {"HEAD", stream.Response{Status: 200, ContentLength: 7}, "[:status=200 content-length=7]"},
		"head, zero":         {"HEAD", stream.Response{Status: 200, ContentLength: 0}, "[:status=200 content-length=0]"},
		"head, not said":     {"HEAD", stream.Response{Status: 200, ContentLength: -1}, "[:status=200]"},
		"not modified":       {"GET", stream.Response{Status: 304, ContentLength: 7}, "[:status=304 content-length=7]"},
		"no content":         {"GET", stream.Response{Status: 204}, "[:status=204]"},
		"empty":              {"GET", stream.Response{Status: 200}, "[:status=200]"},
		"empty, with length": {"GET", stream.Response{Status: 200, ContentLength: 0, Body: io.NopCloser(readyBody{})}, "[:status=200]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, _, _ := caller(t, protocol.ServerOptions{}, handlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) {
					resp := &stream.Response{Status: c.resp.Status, ContentLength: c.resp.ContentLength}
					if c.resp.Body != nil {
						resp.Body = readyBody{}
					}
					return resp, nil
				}))
				p.headers(1, true, ":method: "+c.method, ":scheme: http", ":path: /", ":authority: a")
				p.expect("HEADERS 1 " + c.want + " END")
			})
		})
	}
}

// readyBody is an empty body that says so.
type readyBody struct{}

func (readyBody) Read([]byte) (int, error) { return 0, io.EOF }
func (readyBody) Close() error             { return nil }
func (readyBody) Ready() bool              { return true }

func TestExpectContinue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, _ := caller(t, protocol.ServerOptions{}, handlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			if req.Path == "/no" {
				return answer(403, ""), nil
			}
			return plain(ctx, req)
		}))
		p.headers(1, false, with(basicPost, "content-length: 3", "expect: 100-continue")...)
		p.expect("HEADERS 1 [:status=100]")
		p.data(1, true, "abc")
		p.expect(plainHead+"20]", `DATA 1 "POST example.com / 0"`, `DATA 1 "" END`)
		// A handler that does not want the body does not ask for it.
		p.headers(3, false, ":method: POST", ":scheme: http", ":path: /no", ":authority: a", "expect: 100-continue")
		p.expect("HEADERS 3 [:status=403]", `DATA 3 "" END`, "RST 3 NO_ERROR")
	})
}

func TestCallerResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 2)
		p, _, _ := caller(t, protocol.ServerOptions{}, handlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			if req.Body == nil {
				<-ctx.Done()
				ended <- ctx.Err()
				return nil, stream.FromContext(ctx, "wait")
			}
			_, err := io.Copy(io.Discard, req.Body)
			ended <- err
			return nil, err
		}))
		p.headers(1, true, basic...)
		synctest.Wait()
		p.ok(p.fr.WriteRSTStream(1, xhttp2.ErrCodeCancel))
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		p.headers(3, false, basicPost...)
		p.data(3, false, "abc")
		synctest.Wait()
		p.ok(p.fr.WriteRSTStream(3, xhttp2.ErrCodeCancel))
		if e := stream.AsError(<-ended); e.Kind != stream.Canceled || e.Side != stream.Downstream {
			t.Error(e)
		}
	})
}

// The end of the connection ends what its requests do.
func TestConnectionLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		p, _, wait := caller(t, protocol.ServerOptions{}, handlerFunc(func(ctx context.Context, _ *stream.Request) (*stream.Response, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, stream.FromContext(ctx, "wait")
		}))
		p.headers(1, true, basic...)
		synctest.Wait()
		_ = p.nc.Close()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := wait(); err != nil {
			t.Error(err)
		}
	})
}

// The end of the connection is told in two steps; what is under way is served.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p, c, wait := caller(t, protocol.ServerOptions{IdleTimeout: time.Minute}, handlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			<-release
			return plain(ctx, req)
		}))
		p.headers(1, true, basic...)
		synctest.Wait()
		start := time.Now()
		c.Drain()
		p.expect("GOAWAY 2147483647 NO_ERROR", "PING drain")
		p.headers(3, true, basic...) // was on its way
		p.ok(p.fr.WritePing(true, drainPing))
		p.expect("GOAWAY 3 NO_ERROR")
		p.headers(5, true, basic...) // came too late
		time.Sleep(10 * time.Second)
		close(release)
		seen := map[string]bool{}
		for range 6 {
			seen[p.next()[:9]] = true
		}
		if !seen["HEADERS 1"] || !seen["HEADERS 3"] || seen["HEADERS 5"] {
			t.Error(seen)
		}
		p.expect("EOF")
		_ = p.nc.Close()
		if err := wait(); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d > 11*time.Second {
			t.Error(d)
		}
	})
}

// A caller that does not answer the ping is told its last stream in time; a
// quiet connection ends soon.
func TestDrainQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, c, wait := caller(t, protocol.ServerOptions{}, handlerFunc(plain))
		time.Sleep(time.Hour)
		start := time.Now()
		c.Drain()
		p.expect("GOAWAY 2147483647 NO_ERROR", "PING drain", "GOAWAY 0 NO_ERROR", "EOF")
		if err := wait(); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d > 3*time.Second {
			t.Error(d)
		}
	})
}

func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, wait := caller(t, protocol.ServerOptions{IdleTimeout: time.Minute}, handlerFunc(plain))
		time.Sleep(50 * time.Second)
		p.headers(1, true, basic...)
		p.expect(plainHead+"19]", `DATA 1 "GET example.com / 0"`, `DATA 1 "" END`)
		start := time.Now()
		p.expect("GOAWAY 1 NO_ERROR", "EOF")
		if d := time.Since(start); d != time.Minute {
			t.Error(d)
		}
		if err := wait(); err != nil {
			t.Error(err)
		}
	})
}

// A connection with a request under way is not idle, but a caller that is
// gone without a word is noticed.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, wait := caller(t, protocol.ServerOptions{IdleTimeout: time.Minute}, handlerFunc(func(ctx context.Context, _ *stream.Request) (*stream.Response, error) {
			<-ctx.Done()
			return nil, stream.FromContext(ctx, "wait")
		}))
		p.headers(1, true, basic...)
		for range 3 {
			p.expect("PING alive")
			p.ok(p.fr.WritePing(true, [8]byte{'a', 'l', 'i', 'v', 'e'}))
		}
		p.expect("PING alive")
		start := time.Now()
		p.expect("EOF")
		if d := time.Since(start); d != pingWait {
			t.Error(d)
		}
		if err := wait(); !errors.Is(err, errSilent) {
			t.Error(err)
		}
	})
}

// A frame, or a header block, that does not come to its end.
func TestHalfFrames(t *testing.T) {
	for name, send := range map[string]func(p *peer){
		"preface": func(*peer) {},
		"header":  func(p *peer) { p.must(p.nc.Write([]byte{0, 0, 8, 6})) },
		"payload": func(p *peer) { p.must(p.nc.Write([]byte{0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2})) },
		"block": func(p *peer) {
			p.ok(p.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block(basic...), EndStream: true}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p *peer
				var wait func() error
				if name == "preface" {
					p, wait = halfPreface(t)
				} else {
					p, _, wait = caller(t, protocol.ServerOptions{}, handlerFunc(plain))
				}
				send(p)
				start := time.Now()
				if err := wait(); err == nil {
					t.Error("no error")
				}
				if d := time.Since(start); d != 10*time.Second {
					t.Error(d)
				}
			})
		})
	}
}
