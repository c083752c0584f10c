package expression_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/expression"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http1"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http2"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

type closer struct{ *strings.Reader }

func (closer) Close() error { return nil }

func request() *stream.Request {
	r := &stream.Request{
		Protocol: http1.Name, Method: "POST", Scheme: "https", Authority: "shop:8080", Path: "/a%20b", Query: "a=1&b=x%26y&a=2", HasQuery: true,
		ContentLength: 5, Body: closer{strings.NewReader("hello")},
	}
	r.Header.Add("X-User", "ann")
	r.Header.Add("User-Agent", "curl/8")
	r.Header.Add("Referer", "/from")
	r.Header.Add("Accept", "a/b")
	r.Header.Add("accept", "c/d")
	r.Header.Add("Cookie", "a=1")
	r.Header.Add("Cookie", "b=2")
	r.Info.ID, r.Info.Downstream = "id1", "10.1.2.3:4711"
	r.Info.Start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r.Vars.Set("tenant", "t1")
	return r
}

func TestG8Conditions(t *testing.T) {
	h2 := request()
	h2.Protocol, h2.HasQuery, h2.Query, h2.Body = http2.Name, false, "", nil
	h2.Info.Downstream, h2.Info.Host, h2.Info.Route, h2.Info.Cluster = "[2001:db8::1]:443", "192.168.0.9:80", "r1", "c1"
	bolt := request()
	bolt.Protocol, bolt.Info.Downstream, bolt.ContentLength = "bolt", "@", -1
	mapped := request()
	mapped.Info.Downstream = "[::ffff:10.9.9.9]:1"
	for _, c := range []struct {
		req  *stream.Request
		text string // each line is a condition
		want bool
	}{
		{request(), `
			request.method == "POST"
			request.scheme == "https" && request.host == "shop:8080"
			request.path == "/a b"
			request.url_path == "/a b?a=1&b=x%26y&a=2"
			request.query == "a=1&b=x%26y&a=2"
			request.query_params["a"] == "1" && request.query_params["b"] == "x&y"
			request.query_params == {"a": "1", "b": "x&y"}
			size(request.query_params) == 2
			request.headers["x-user"] == "ann" && request.headers["X-USER"] == "ann"
			request.headers["accept"] == "a/b,c/d"
			request.headers["cookie"] == "a=1; b=2"
			request.headers["host"] == "shop:8080" && request.headers[":method"] == "POST"
			request.headers["content-length"] == "5"
			"x-user" in request.headers && !("y" in request.headers)
			has(request.headers.accept) && !has(request.headers.none)
			size(request.headers) == 6
			request.headers.exists(k, k == "x-user" && request.headers[k] == "ann")
			request.headers.all(k, k in request.headers && k.toUpper() in request.headers)
			["a", "b"].all(k, request.query_params[k] != "" && vars["tenant"] == "t1")
			request.headers == request.headers
			request.headers[?"none"].orValue("x") == "x"
			request.id == "id1" && request.useragent == "curl/8" && request.referer == "/from"
			request.time == timestamp("2026-01-02T03:04:05Z")
			request.time.getFullYear() == 2026
			request.size == 5
			source.address == "10.1.2.3:4711" && source.port == 4711
			source.ip == ip("10.1.2.3") && string(source.ip) == "10.1.2.3"
			cidr("10.0.0.0/8").containsIP(source.ip) && !cidr("11.0.0.0/8").containsIP(source.ip)
			destination.address == "" && destination.port == 0 && !cidr("0.0.0.0/0").containsIP(destination.ip)
			route.name == "" && cluster.name == ""
			protocol == "Http1" && context.protocol == "http"
			vars["tenant"] == "t1" && variables.tenant == "t1"
			vars["x-mosn-method"] == "POST" && vars["request_header_x-user"] == "ann"
			"tenant" in vars && !("no" in vars) && vars[?"no"].orValue("") == ""
			request.path.startsWith("/a") && request.path.matches("^/a.b$") && matches(request.path, "a")
			request.path.split("/")[1] == "a b" && request.path.indexOf("b") == 3
			request.path.replace("/a", "") == " b" && " x ".trim() == "x"
			match(request.path, "/a*") && request.path.match("*b") && match("x", "x") && !match("x", "y") && !match("xy", "*x")
			toLower("ABC") == "abc" && "abc".toUpper() == "ABC" && reverse("añb") == "bña"
			request.method in ["GET", "POST"]
			conditional(request.method == "POST", request.path == "/a b", false)
			pick(request.headers["none"], vars.none, vars.tenant) == "t1" && pick(request.headers["x-user"], "y") == "ann"
			pick(request.id, "y") == "id1" && pick("a", "b") == "a" && pick(request.headers.accept, "x") == "a/b,c/d" && pick("z") == "z"
			request.headers["none"] == "" || true
		`, true},
		{request(), `
			request.method == "post"
			request.query_params.exists(k, k == "c")
			request.headers.exists(k, request.headers[k] == "none")
			false && request.headers["none"] == ""
		`, false},
		{h2, `
			protocol == "Http2" && context.protocol == "h2"
			request.url_path == "/a b" && request.query == "" && size(request.query_params) == 0
			request.size == 0 && !("content-length" in request.headers)
			source.ip == ip("2001:db8::1") && source.port == 443
			destination.ip == ip("192.168.0.9") && destination.port == 80 && destination.address == "192.168.0.9:80"
			route.name == "r1" && cluster.name == "c1"
		`, true},
		{bolt, `
			context.protocol == "bolt" && request.size == -1
			source.address == "@" && source.port == 0 && source.ip != ip("10.1.2.3") && !cidr("::/0").containsIP(source.ip)
		`, true},
		{mapped, `source.ip == ip("10.9.9.9") && cidr("10.0.0.0/8").containsIP(source.ip)`, true},
	} {
		for text := range strings.Lines(c.text) {
			if text = strings.TrimSpace(text); text == "" {
				continue
			}
			p, err := expression.Compile(text)
			if err != nil {
				t.Errorf("%s: %v", text, err)
				continue
			}
			if got, err := p.True(c.req); got != c.want || err != nil {
				t.Errorf("%s: %v, %v", text, got, err)
			}
			if p.String() != text {
				t.Errorf("%s: text %s", text, p)
			}
		}
	}
}

func TestErrorsOfRequests(t *testing.T) {
	for text, want := range map[string]string{
		`request.headers["none"] == ""`:                                              "no such key: none",
		`vars["none"] != "x"`:                                                        "no such key: none",
		`dyn(request.method) + 1 == 2`:                                               "no such overload",
		`request.query_params.all(k, dyn(request.headers)[1] == k)`:                  "no such",
		`dyn(1) in request.headers`:                                                  "no such overload",
		`ip(request.method) == source.ip`:                                            "parse error",
		`request.headers["` + strings.Repeat("x", 100) + `"] == ""`:                  `xxxxx"…: no such key`,
		`[1,2,3,4,5,6,7,8].all(a, [1,2,3].map(x, request.headers[string(x)]) == [])`: "no such key",
	} {
		p, err := expression.Compile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		ok, err := p.True(request())
		if ok || err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "expression ") || errors.Unwrap(err) == nil {
			t.Errorf("%s: %v, %v", text, ok, err)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "the expression is empty"},
		{" \n", "the expression is empty"},
		{"\xff", "not valid UTF-8"},
		{"request.method", "of type string: it must be a condition"},
		{"[true][0] ? dyn(true) : dyn(1)", "of type dyn"},
		{`request.metod == "a"`, "line 1, column 1: unknown name request.metod (did you mean request.method? known: cluster.name, context.protocol,"},
		{"true &&\n  reqest.headers['a'] == 'b'", "line 2, column 3: unknown name reqest.headers (did you mean request.headers?"},
		{`"é" == x`, "line 1, column 8: unknown name x (known:"},
		{`response.code == 200`, "unknown name response.code"},
		{`request.path.startWith("a")`, "line 1, column 14: unknown function startWith (did you mean startsWith?)"},
		{`foo.bar(1)`, "line 1, column 1: unknown name foo ("},
		{`foo.size() == 1`, "line 1, column 1: unknown name foo ("},
		{`reqest.path.startsWith("a")`, "unknown name reqest.path (did you mean request.path?"},
		{`qqqqqqqq(1)`, "line 1, column 1: unknown function qqqqqqqq"},
		{`request.method == 1`, "line 1, column 16: found no matching overload for '_==_' applied to '(string, int)'"},
		{"request.method ==\n\n", "Syntax error"},
		{`a == 1 || b == 1 || c == 1 || d == 1 || e == 1 || f == 1`, "and 1 more"},
		{`cidr("10.0.0.0").containsIP(source.ip)`, "line 1, column 6: invalid cidr argument"},
		{`request.path.matches("(")`, "missing closing )"},
		{strings.Repeat("true && ", 4<<10) + "true", "size"},
		{strings.Repeat("(", 1000) + "true" + strings.Repeat(")", 1000), "recursion"},
		{`pick() == 1`, "unknown function pick"},
		{`conditional(true, 1) == 1`, "unknown function conditional"},
		{`pick(vars[request.method], "x") == "x"`, "vars is no list"},
		// What a caller could make expensive.
		{`request.path.matches(request.query)`, "line 1, column 29: the argument of matches must be written out"},
		{`matches("a", request.query)`, "the argument of matches must be written out"},
		{`request.path.indexOf(request.query) > 0`, "the argument of indexOf must be written out"},
		{`request.path.indexOf("a", int(request.query)) > 0`, "the argument of indexOf must be written out"},
		{`request.path.lastIndexOf(request.query) > 0`, "lastIndexOf"},
		{`request.path.split(request.query) == []`, "split"},
		{`request.path.replace("a", request.query) == ""`, "replace"},
		{`request.path.replace("a", "bb") == ""`, `replace cannot make a text longer: "bb" is longer than "a"`},
		{`"%s".format([1]) == ""`, "unknown function format"},
		{`["a"].join("b") == ""`, "join is not available"},
		// The map of variables is none.
		{`vars.size() > 1`, `vars is no list: ask for one variable by its name, written out, as in vars["name"]`},
		{`variables.exists(k, true)`, "variables is no list"},
		{`vars == {}`, "vars is no list"},
		{`(true ? vars : request.headers).exists(k, true)`, "vars is no list"},
		{`vars[request.method] == ""`, "vars is no list"},
		{`request.method in vars`, "vars is no list"},
	} {
		p, err := expression.Compile(c.text)
		if err == nil || p != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60q: %.400v\nwant: %s", c.text, err, c.want)
		}
	}
}

// Whatever a caller sends, the work is bounded.
func TestHostileRequests(t *testing.T) {
	req := request()
	var query strings.Builder
	for i := range 8000 { // as much as a message may hold
		req.Header.Add(fmt.Sprintf("x-%05d", i), "v")
		fmt.Fprintf(&query, "%d&", i)
	}
	req.Query = query.String()
	for _, text := range []string{
		`request.headers.all(a, request.headers.all(b, request.headers.all(c, a + b + c != "")))`,
		`request.headers.all(a, request.headers.exists(b, true))`,
		`request.headers.all(a, size(request.headers) + size(request.query_params) > 0)`,
		`request.headers.all(a, request.headers[a] == "v" || request.query_params[?a].orValue("") == "")`,
		`request.headers.all(a, vars["cookie_zzz"] == "" || vars["request_arg_zzz"] == "" || true)`,
		`request.headers.all(a, request.query.contains("zzz") || true)`,
		`request.headers.all(a, request.headers != request.query_params)`,
		`request.headers.map(a, request.query + a).size() > 0`,
		`request.headers.map(a, request.headers.map(b, b)).size() > 0`,
		`optional.of(request.query)` + strings.Repeat(`.optMap(v, v + v)`, 40) + `.hasValue()`,
	} {
		p, err := expression.Compile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		began := time.Now()
		_, err = p.True(req)
		t.Logf("%v for %.90s: %v", time.Since(began), text, err)
		// It is 0.1 s on a busy machine; without limits the first would take hours.
		if took := time.Since(began); took > time.Minute {
			t.Errorf("%s: took %v", text, took)
		}
		if err != nil && !strings.Contains(err.Error(), "limit") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	var programs []*expression.Program
	for _, text := range []string{
		`request.headers["n"] == vars["n"] && request.path.matches("^/[0-9]+$")`,
		`request.headers.exists(k, k == "n" && request.headers[k] == vars["n"])`,
	} {
		p, err := expression.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		programs = append(programs, p)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			req := &stream.Request{Path: fmt.Sprintf("/%d", i)}
			req.Header.Add("N", fmt.Sprint(i))
			for j := range 200 {
				req.Vars.Set("n", fmt.Sprint(i+j%2))
				for _, p := range programs {
					if got, err := p.True(req); got != (j%2 == 0) || err != nil {
						t.Errorf("%s: %v, %v", p, got, err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		`request.method == "GET"`, `request.headers["a"].matches("a*")`, `vars.a in ["b"]`, `request.headers.exists(k, k == "x")`, `x`, `"`, "a &&\n b(",
		`request.path.replace("a","b").split("/")[0] == 'x'`, `source.ip == ip("::1")`, `request.headers[?"a"].orValue("") == ""`, `has(vars.a)`, `é.b(c)`,
	} {
		f.Add(s)
	}
	req := request()
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 2000 {
			return
		}
		p, err := expression.Compile(text)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without text")
			}
			return
		}
		if _, err := p.True(req); err != nil && strings.Contains(err.Error(), "internal error") {
			t.Fatalf("%s: %v", text, err)
		}
	})
}

func BenchmarkTrue(b *testing.B) {
	req := request()
	for _, text := range []string{
		`request.method == "POST"`, `request.headers["x-user"] == "ann"`, `vars["tenant"] == "t1"`, `cidr("10.0.0.0/8").containsIP(source.ip)`,
		`request.path.matches("^/a.*")`, `request.headers["none"] == "ann"`, `request.headers.exists(k, k == "x-user")`,
		`request.method == "POST" && request.path.startsWith("/a") && request.headers["x-user"] == "ann"`,
	} {
		p, err := expression.Compile(text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = p.True(req)
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := expression.Compile(`request.method == "POST" && request.headers["x-user"] == "ann"`); err != nil {
			b.Fatal(err)
		}
	}
}
