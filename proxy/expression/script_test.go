package expression_test

import (
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/expression"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func fields(h *stream.Header) string {
	var s []string
	for name, value := range h.All() {
		s = append(s, name+"="+value)
	}
	return strings.Join(s, " ")
}

func TestF11Request(t *testing.T) {
	for _, c := range []struct {
		script string
		want   string // path?query fields
		err    string
	}{
		{`ctx.add_request_header("x-new", "1")`, "/a?q=1 X-User=ann x-new=1", ""},
		{`ctx.add_request_header("x-user", request.method)`, "/a?q=1 X-User=GET", ""},
		{`ctx.del_request_header("x-user") && ctx.add_request_header("y", "2")`, "/a?q=1 y=2", ""},
		{`add_request_header(ctx, "y", "2")`, "/a?q=1 X-User=ann y=2", ""},
		{`ctx.rewrite_request_url("/b")`, "/b?q=1 X-User=ann", ""},
		{`ctx.rewrite_request_url("/b?r=2")`, "/b?r=2 X-User=ann", ""},
		{`ctx.rewrite_request_url("/b?")`, "/b? X-User=ann", ""},
		{`rewrite_request_url(ctx, request.path + "/ä b%20c#d")`, "/a/%C3%A4%20b%20c%23d?q=1 X-User=ann", ""},
		{`conditional(request.host == "h", ctx.rewrite_request_url("/yes"), ctx.rewrite_request_url("/no"))`, "/yes?q=1 X-User=ann", ""},
		{`request.host != "h" && ctx.rewrite_request_url("/no")`, "/a?q=1 X-User=ann", ""},
		{`request.headers.map(k, ctx.del_request_header(k))`, "/a?q=1", ""}, // Host is none of ours
		{`"just a text"`, "/a?q=1 X-User=ann", ""},
		// What must not happen.
		{`ctx.add_request_header("x", "a\r\nb: c")`, "/a?q=1 X-User=ann x=a%0D%0Ab: c", ""},
		{`ctx.add_request_header("a\r\nb", "c")`, "/a?q=1 X-User=ann", "is no name of a header field"},
		{`ctx.add_request_header("", "c")`, "/a?q=1 X-User=ann", "name of the header field is empty"},
		{`ctx.add_request_header("Content-Length", "1")`, "/a?q=1 X-User=ann", "content-length cannot be changed"},
		{`ctx.del_request_header("transfer-encoding")`, "/a?q=1 X-User=ann", "cannot be changed"},
		{`ctx.rewrite_request_url("b")`, "/a?q=1 X-User=ann", `rewrite_request_url: "b" does not begin with a /`},
		{`ctx.add_request_header("y", request.headers["none"])`, "/a?q=1 X-User=ann", "no such key: none"},
		{`ctx.add_request_header("y", "1") && request.headers["none"] == ""`, "/a?q=1 X-User=ann y=1", "no such key: none"},
	} {
		s, err := expression.CompileScript(c.script, false)
		if err != nil {
			t.Errorf("%s: %v", c.script, err)
			continue
		}
		req := &stream.Request{Method: "GET", Authority: "h", Path: "/a", Query: "q=1", HasQuery: true}
		req.Header.Add("X-User", "ann")
		if strings.Contains(c.script, "map(") {
			req.Authority = "" // or the loop would come upon Host
		}
		err = s.Run(req, nil)
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v", c.script, err)
		}
		got := req.Path
		if req.HasQuery {
			got += "?" + req.Query
		}
		if got = strings.TrimSpace(got + " " + fields(&req.Header)); got != c.want {
			t.Errorf("%s: %q, want %q", c.script, got, c.want)
		}
		if original := req.Info.Path; original != "" && (original != "/a" || req.Path == "/a") || original == "" && req.Path != "/a" {
			t.Errorf("%s: the original path is %q", c.script, original)
		}
		if s.String() != c.script || s.Run(req, &stream.Response{}) == nil {
			t.Errorf("%s: String, or Run with a response", c.script)
		}
	}
}

func TestF11Response(t *testing.T) {
	for _, c := range []struct{ script, want, err string }{
		{`ctx.add_response_header("x", string(response.code))`, "A=1 a=2 x=200", ""},
		{`ctx.del_response_header("a")`, "", ""},
		{`response.headers["a"] == "1,2" && response.size == 7 && ctx.add_response_header("path", request.path)`, "A=1 a=2 path=/a", ""},
		{`response.headers.exists(k, k == "a") && response.headers.exists(k, k == "a") ? ctx.add_response_header("x", "1") : false`, "A=1 a=2 x=1", ""},
		{`ctx == ctx && ctx.add_response_header("x", "\n")`, "A=1 a=2 x=%0A", ""},
		{`ctx.add_response_header("connection", "close")`, "A=1 a=2", "connection cannot be changed"},
		{`string(dyn(ctx)) == ""`, "A=1 a=2", "no such overload"},
	} {
		s, err := expression.CompileScript(c.script, true)
		if err != nil {
			t.Errorf("%s: %v", c.script, err)
			continue
		}
		resp := &stream.Response{Status: 200, ContentLength: 7}
		resp.Header.Add("A", "1")
		resp.Header.Add("a", "2")
		err = s.Run(&stream.Request{Path: "/a"}, resp)
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v", c.script, err)
		}
		if got := fields(&resp.Header); got != c.want {
			t.Errorf("%s: %q, want %q", c.script, got, c.want)
		}
		if s.Run(&stream.Request{}, nil) == nil {
			t.Errorf("%s: runs without a response", c.script)
		}
	}
}

func TestF11Compile(t *testing.T) {
	for _, c := range []struct {
		text     string
		response bool
		want     string
	}{
		{`ctx.add_response_header("a", "b")`, false, "unknown function add_response_header"},
		{`ctx.add_request_header("a", "b")`, true, "unknown function add_request_header"},
		{`response.code == 200`, false, "unknown name response.code"},
		{`respons.code == 200`, true, "did you mean response.code?"},
		{`ctx.add_request_header("a")`, false, "no matching overload"},
		{`cx.add_request_header("a", "b")`, false, "unknown name cx ("},
		{``, false, "empty"},
	} {
		s, err := expression.CompileScript(c.text, c.response)
		if s != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.text, err)
		}
	}
	// A condition changes nothing.
	if _, err := expression.Compile(`ctx.del_request_header("a")`); err == nil {
		t.Error("a condition can change a request")
	}
}
