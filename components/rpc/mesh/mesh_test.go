package mesh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// sent is what the channel was given, copied out of the request, which is used again.
type sent struct {
	method, path, query, authority, body string
	hasQuery                             bool
	header                               []rpc.Pair
	left                                 time.Duration
}

// fake is a channel that answers every request with what answer returns.
type fake struct {
	answer func(*stream.Request) (*stream.Response, error)
	sent   sent
	open   bool
}

func (c *fake) Handle(_ context.Context, req *stream.Request) (*stream.Response, error) {
	c.sent = sent{method: req.Method, path: req.Path, query: req.Query, hasQuery: req.HasQuery, authority: req.Authority, left: time.Until(req.Deadline)}
	for n, v := range req.Header.All() {
		c.sent.header = append(c.sent.header, rpc.Pair{Name: n, Value: v})
	}
	if req.Body != nil {
		b, err := io.ReadAll(req.Body)
		if err != nil || int64(len(b)) != req.ContentLength {
			return nil, errors.New("bad body")
		}
		c.sent.body = string(b)
	}
	return c.answer(req)
}

// body counts how often it is closed.
type answerBody struct {
	io.Reader
	closed int
}

func (b *answerBody) Close() error { b.closed++; return nil }

func respond(status int, body string, fields ...string) func(*stream.Request) (*stream.Response, error) {
	return func(*stream.Request) (*stream.Response, error) {
		resp := &stream.Response{Status: status, ContentLength: int64(len(body)), Body: &answerBody{Reader: strings.NewReader(body)}}
		for i := 0; i < len(fields); i += 2 {
			resp.Header.Add(fields[i], fields[i+1])
		}
		return resp, nil
	}
}

func invoker(t *testing.T, config map[string]any, c *fake) *Invoker {
	t.Helper()
	if config == nil {
		config = map[string]any{}
	}
	if config["channel"] == nil {
		config["channel"] = []any{map[string]any{"protocol": "http", "listener": "egress", "size": 3}}
	}
	inv, err := New(components.Config{Name: "mosn", Path: "rpcs.mosn", Section: "config", Metadata: config},
		func(listener, protocol string, size int) (stream.Handler, func(), error) {
			if listener != "egress" || protocol != "Http1" || size != 3 {
				t.Errorf("opened %s, %s, %d", listener, protocol, size)
			}
			c.open = true
			return c, func() { c.open = false }, nil
		}, Callbacks()...)
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

func TestRequest(t *testing.T) {
	for _, c := range []struct {
		name string
		req  rpc.Request
		want sent
	}{
		{"default", rpc.Request{ID: "s", Method: "/hello"}, sent{method: "GET", path: "/hello"}},
		{"no slash", rpc.Request{ID: "s", Method: "hello"}, sent{method: "GET", path: "/hello"}},
		{"empty method", rpc.Request{ID: "s"}, sent{method: "GET", path: "/"}},
		{"GET with a body, as Layotto sends it", rpc.Request{ID: "s", Method: "/a", Data: []byte("x")}, sent{method: "GET", path: "/a", body: "x"}},
		{"verb", rpc.Request{ID: "s", Method: "/a", Verb: "PUT", Data: []byte("x")}, sent{method: "PUT", path: "/a", body: "x"}},
		{"query", rpc.Request{ID: "s", Method: "/a", Query: "b=c"}, sent{method: "GET", path: "/a", query: "b=c", hasQuery: true}},
		{"query in method", rpc.Request{ID: "s", Method: "/a?b=c"}, sent{method: "GET", path: "/a", query: "b=c", hasQuery: true}},
		{"both", rpc.Request{ID: "s", Method: "/a?b=c", Query: "?d=e"}, sent{method: "GET", path: "/a", query: "b=c&d=e", hasQuery: true}},
	} {
		ch := &fake{answer: respond(200, "")}
		if _, err := invoker(t, nil, ch).Invoke(t.Context(), &c.req); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		got := ch.sent
		if got.authority != "localhost" || !slices.Equal(got.header, []rpc.Pair{{Name: "id", Value: "s"}}) {
			t.Errorf("%s: authority %q, header %v", c.name, got.authority, got.header)
		}
		got.authority, got.header, got.left = "", nil, 0
		if !equal(got, c.want) {
			t.Errorf("%s: sent %+v, want %+v", c.name, got, c.want)
		}
	}
}

func equal(a, b sent) bool {
	return a.method == b.method && a.path == b.path && a.query == b.query && a.hasQuery == b.hasQuery && a.body == b.body
}

func TestHeader(t *testing.T) {
	ch := &fake{answer: respond(200, "")}
	inv := invoker(t, nil, ch)
	req := &rpc.Request{ID: "s", Method: "/", ContentType: "application/json", Header: []rpc.Pair{
		{Name: "x-a", Value: "1"}, {Name: "x-a", Value: "2"}, {Name: "Content-Type", Value: "application/grpc"}, {Name: "ID", Value: "forged"},
	}}
	if _, err := inv.Invoke(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	want := []rpc.Pair{{Name: "id", Value: "s"}, {Name: "x-a", Value: "1"}, {Name: "x-a", Value: "2"}, {Name: "Content-Type", Value: "application/json"}}
	if !slices.Equal(ch.sent.header, want) {
		t.Errorf("sent %v, want %v", ch.sent.header, want)
	}
}

func TestTimeout(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{0: DefaultTimeout, time.Second: time.Second, time.Minute: time.Minute} {
		testserver.OnceOf(t, func(int) error {
			ch := &fake{answer: respond(200, "")}
			if _, err := invoker(t, nil, ch).Invoke(t.Context(), &rpc.Request{Timeout: timeout}); err != nil {
				return err
			}
			if ch.sent.left > want || ch.sent.left < want-500*time.Millisecond {
				return fmt.Errorf("timeout %v: %v left when sent", timeout, ch.sent.left)
			}
			return nil
		})
	}
}

func TestAnswer(t *testing.T) {
	for _, status := range []int{200, 201, 204, 299} {
		ch := &fake{answer: respond(status, "body", "Content-Type", "text/plain", "x-a", "1", "x-a", "2")}
		resp, err := invoker(t, nil, ch).Invoke(t.Context(), &rpc.Request{})
		if err != nil || resp.Status != status || string(resp.Data) != "body" || resp.ContentType != "text/plain" || len(resp.Header) != 3 {
			t.Errorf("%d: %+v, %v", status, resp, err)
		}
	}
	for _, status := range []int{101, 199, 300, 302, 404, 500, 599} {
		ch := &fake{answer: respond(status, "sorry", "x-a", "1")}
		resp, err := invoker(t, nil, ch).Invoke(t.Context(), &rpc.Request{})
		e, ok := rpc.AsError(err)
		if resp != nil || !ok || e.Code != rpc.Status || e.Response == nil || e.Response.Status != status || string(e.Response.Data) != "sorry" {
			t.Errorf("%d: %+v, %v", status, resp, err)
		}
	}
}

// TestBodies: an answer is read whole, whatever is known of its length, its
// body is closed exactly once, and what is too long or cut off is an error.
func TestBodies(t *testing.T) {
	cut := &stream.Error{Kind: stream.Reset, Side: stream.Upstream}
	for _, c := range []struct {
		name   string
		length int64
		body   io.Reader
		want   string
		code   rpc.Code
		fails  bool
	}{
		{name: "known length", length: 5, body: strings.NewReader("hello"), want: "hello"},
		{name: "unknown length", length: -1, body: strings.NewReader("hello"), want: "hello"},
		{name: "empty", length: 0, body: strings.NewReader(""), want: ""},
		{name: "HEAD", length: 5, body: strings.NewReader(""), want: ""},
		{name: "announced too long", length: 11, body: strings.NewReader("01234567890"), code: rpc.TooLarge, fails: true},
		{name: "just long enough", length: -1, body: strings.NewReader("0123456789"), want: "0123456789"},
		{name: "too long", length: -1, body: strings.NewReader("01234567890"), code: rpc.TooLarge, fails: true},
		{name: "cut off", length: 5, body: io.MultiReader(strings.NewReader("he"), failing{cut}), code: rpc.Unavailable, fails: true},
		{name: "cut off, unknown length", length: -1, body: io.MultiReader(strings.NewReader("he"), failing{cut}), code: rpc.Unavailable, fails: true},
		{name: "timed out", length: -1, body: failing{&stream.Error{Kind: stream.Timeout}}, code: rpc.Timeout, fails: true},
	} {
		body := &answerBody{Reader: c.body}
		ch := &fake{answer: func(*stream.Request) (*stream.Response, error) {
			return &stream.Response{Status: 200, ContentLength: c.length, Body: body}, nil
		}}
		resp, err := invoker(t, map[string]any{"max_response_bytes": 10}, ch).Invoke(t.Context(), &rpc.Request{})
		if body.closed != 1 {
			t.Errorf("%s: the body was closed %d times", c.name, body.closed)
		}
		if !c.fails {
			if err != nil || string(resp.Data) != c.want {
				t.Errorf("%s: %+v, %v", c.name, resp, err)
			}
			continue
		}
		if e, ok := rpc.AsError(err); !ok || e.Code != c.code {
			t.Errorf("%s: %v, want code %d", c.name, err, c.code)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestBadCall has calls of which no request can be made: they are the caller's
// mistake, and no reason to try again.
func TestBadCall(t *testing.T) {
	for side, code := range map[stream.Side]rpc.Code{
		stream.Local: rpc.InvalidCall, stream.Downstream: rpc.InvalidCall, stream.Upstream: rpc.Unavailable,
	} {
		e := &stream.Error{Kind: stream.BadMessage, Side: side, Err: errors.New("a blank in path or query")}
		ch := &fake{answer: func(*stream.Request) (*stream.Response, error) { return nil, e }}
		_, err := invoker(t, nil, ch).Invoke(t.Context(), &rpc.Request{Method: "a b"})
		if got, ok := rpc.AsError(err); !ok || got.Code != code || !errors.Is(err, e) {
			t.Errorf("side %v: %v, want code %v", side, err, code)
		}
	}
}

func TestFailures(t *testing.T) {
	for kind, code := range map[stream.Kind]rpc.Code{
		stream.Timeout: rpc.Timeout, stream.Canceled: rpc.Canceled, stream.Connect: rpc.Unavailable, stream.Reset: rpc.Unavailable,
		stream.NoRoute: rpc.Unavailable, stream.Overload: rpc.Unavailable, stream.Internal: rpc.Internal, stream.TooLarge: rpc.TooLarge,
		stream.Stopping: rpc.Unavailable,
	} {
		e := &stream.Error{Kind: kind, Op: "connect to host 10.0.0.1:80"}
		ch := &fake{answer: func(*stream.Request) (*stream.Response, error) { return nil, e }}
		_, err := invoker(t, nil, ch).Invoke(t.Context(), &rpc.Request{})
		if got, ok := rpc.AsError(err); !ok || got.Code != code || !errors.Is(err, e) {
			t.Errorf("%v in the channel: %v", kind, err)
		}
		// The same, as the proxy says it at the other end of the channel.
		ch.answer = respond(e.Status(), e.Error(), stream.ProxyStatus, e.ProxyStatus())
		_, err = invoker(t, nil, ch).Invoke(t.Context(), &rpc.Request{})
		if got, ok := rpc.AsError(err); !ok || got.Code != code || !strings.Contains(err.Error(), "10.0.0.1:80") {
			t.Errorf("%v behind the channel: %v", kind, err)
		}
		// To HEAD, it has no words.
		ch.answer = respond(e.Status(), "", stream.ProxyStatus, e.ProxyStatus())
		_, err = invoker(t, nil, ch).Invoke(t.Context(), &rpc.Request{Verb: "HEAD"})
		if got, ok := rpc.AsError(err); !ok || got.Code != code || !strings.Contains(err.Error(), kind.String()) {
			t.Errorf("%v behind the channel, without a body: %v", kind, err)
		}
	}
}

func TestNotOverHTTP(t *testing.T) {
	inv := invoker(t, nil, &fake{})
	for _, req := range []*rpc.Request{{OneWay: true}, {Target: "10.0.0.1:80"}} {
		if e, ok := rpc.AsError(func() error { _, err := inv.Invoke(t.Context(), req); return err }()); !ok || e.Code != rpc.InvalidCall {
			t.Errorf("%+v: %v", req, e)
		}
	}
}

func TestDubboJSONRPC(t *testing.T) {
	ch := &fake{answer: respond(200, "")}
	inv := invoker(t, map[string]any{"before_invoke": []any{map[string]any{"name": "dubbo_json_rpc"}}}, ch)
	req := &rpc.Request{ID: "org.apache.Users", Method: "GetUser", ContentType: "text/plain", Header: []rpc.Pair{{Name: "x-a", Value: "1"}}}
	if _, err := inv.Invoke(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	want := []rpc.Pair{
		{Name: "id", Value: "org.apache.Users"},
		{Name: "x-a", Value: "1"},
		{Name: "x-services", Value: "org.apache.Users"},
		{Name: "x-method", Value: "GetUser"},
		{Name: "accept", Value: "application/json"},
		{Name: "Content-Type", Value: "application/json"},
	}
	if ch.sent.path != "/org.apache.Users" || !slices.Equal(ch.sent.header, want) {
		t.Errorf("sent %s %v", ch.sent.path, ch.sent.header)
	}
	if req.Method != "GetUser" || len(req.Header) != 1 {
		t.Errorf("the caller's request was changed: %+v", req)
	}
}

func TestConfigRefused(t *testing.T) {
	good := map[string]any{"protocol": "http", "listener": "egress"}
	for _, c := range []struct {
		config map[string]any
		want   string
	}{
		{nil, "rpcs.mosn.config.channel: missing channel config"},
		{map[string]any{"channel": []any{map[string]any{"protocol": "gopher", "listener": "x"}}}, `rpcs.mosn.config.channel[0].protocol: unknown value "gopher" (known: http, http2, bolt, boltv2, dubbo)`},
		{map[string]any{"channel": []any{map[string]any{"listener": "x"}}}, `rpcs.mosn.config.channel[0].protocol: channel protocol "" not found (known: http, http2, bolt, boltv2, dubbo)`},
		{map[string]any{"channel": []any{map[string]any{"protocol": "http"}}}, "rpcs.mosn.config.channel[0].listener: missing"},
		{map[string]any{"channel": []any{good}, "before_invoke": []any{map[string]any{"name": "x"}}}, `rpcs.mosn.config.before_invoke[0].name: unknown callback "x" (known: dubbo_json_rpc)`},
		{map[string]any{"channel": []any{good}, "after_invoke": []any{map[string]any{"name": "x"}}}, `rpcs.mosn.config.after_invoke[0].name: unknown callback "x" (none is built in)`},
		{map[string]any{"channel": []any{good}, "after_invoke": []any{map[string]any{"name": "dubbo_json_rpc"}}}, `after_invoke[0].name: unknown callback "dubbo_json_rpc"`},
		{map[string]any{"channel": []any{good}}, "rpcs.mosn.config.channel[0]: there is no listener"},
		{map[string]any{"channel": []any{map[string]any{"protocol": "bolt", "listener": "x"}}}, "rpcs.mosn.config.channel[0].ext.class: missing"},
		{map[string]any{"channel": []any{map[string]any{"protocol": "bolt", "listener": "x", "ext": map[string]any{"class": "C", "codec": 256}}}}, "rpcs.mosn.config.channel[0].ext.codec: "},
		{map[string]any{"channel": []any{good, map[string]any{"name": "http", "protocol": "http", "listener": "x"}}}, `rpcs.mosn.config.channel[1].name: channel[0] is called "http", too`},
	} {
		_, err := New(components.Config{Path: "rpcs.mosn", Section: "config", Metadata: c.config},
			func(string, string, int) (stream.Handler, func(), error) {
				return nil, nil, errors.New("there is no listener")
			}, Callbacks()...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v\nwant %s", err, c.want)
		}
		if early := Check(components.Config{Path: "rpcs.mosn", Section: "config", Metadata: c.config}, Callbacks()...); fmt.Sprint(early) != fmt.Sprint(err) && !strings.Contains(c.want, "there is no listener") {
			t.Errorf("Check: %v\nwant %v", early, err)
		}
	}
}

// What is odd is told once: by Check where there is one, and by New otherwise.
func TestWarnedOnce(t *testing.T) {
	var warned []string
	cfg := components.Config{
		Path: "rpcs.mosn", Section: "config",
		Metadata: map[string]any{"channel": []any{map[string]any{"protocol": "http", "listener": "x", "size": 1, "ext": map[string]any{"klass": "C"}}}},
		Warn:     func(p decode.Problem) { warned = append(warned, p.Path) },
	}
	made := func() {
		inv, err := New(cfg, func(string, string, int) (stream.Handler, func(), error) { return nil, func() {}, nil })
		if err != nil {
			t.Fatal(err)
		}
		_ = inv.Close()
	}
	made()
	want := []string{"rpcs.mosn.config.channel[0].ext.klass"}
	if !slices.Equal(warned, want) {
		t.Errorf("New has warned of %q, want %q", warned, want)
	}
	cfg.Checked, warned = true, nil
	if err := Check(cfg); err != nil || !slices.Equal(warned, want) {
		t.Errorf("Check has warned of %q, want %q: %v", warned, want, err)
	}
	warned = nil
	made()
	if len(warned) > 0 {
		t.Errorf("New has warned again of %q", warned)
	}
}
