package router

import (
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// takes tells whether a route with the conditions takes the request.
func takes(t *testing.T, m config.Match, req *stream.Request) bool {
	t.Helper()
	_, err := compile(t, routes(config.Route{Match: m, Route: to("c")})).Handle(t.Context(), req)
	if err != nil {
		wantKind(t, err, stream.NoRoute)
	}
	return err == nil
}

func TestG6QueryParameters(t *testing.T) {
	one := func(name, value string) []config.HeaderMatch { return []config.HeaderMatch{{Name: name, Value: value}} }
	regex := func(name, value string) []config.HeaderMatch {
		return []config.HeaderMatch{{Name: name, Value: value, Regex: true}}
	}
	for _, c := range []struct {
		name  string
		match []config.HeaderMatch
		query string
		want  bool
	}{
		{"there", one("a", "1"), "a=1", true},
		{"among others", one("a", "1"), "b=2&a=1&c", true},
		{"other value", one("a", "1"), "a=2", false},
		{"longer value", one("a", "1"), "a=11", false},
		{"missing", one("a", "1"), "b=1", false},
		{"name is compared exactly", one("a", "1"), "A=1", false},
		{"no query", one("a", ""), "", false},
		{"without =", one("a", ""), "a", true},
		{"empty value", one("a", ""), "a=", true},
		{"wants empty, has some", one("a", ""), "a=1", false},
		{"any value", one("a", ".*"), "a=x%0Ay", true},
		{"any value, missing", one("a", ".*"), "b=x", false},
		{"first of two", one("a", "1"), "a=1&a=2", true},
		{"second of two", one("a", "2"), "a=1&a=2", false},
		{"decoded value", one("a", "x y/z"), "a=x+y%2fz", true},
		{"decoded name", one("a b", "1"), "a%20b=1", true},
		{"first of two, differently written", one("ab", "2"), "%61b=1&ab=2", false},
		{"broken escape stays", one("a", "100%"), "a=100%", true},
		{"broken escape stays, long", one("a", "%zz"), "a=%zz", true},
		{"not decoded twice", one("a", "1"), "a=%2531", false},
		{"and", append(one("a", "1"), one("b", "2")...), "b=2&a=1", true},
		{"and, one fails", append(one("a", "1"), one("b", "2")...), "a=1&b=1", false},
		{"regex", regex("a", "^[0-9]+$"), "a=123", true},
		{"regex fails", regex("a", "^[0-9]+$"), "a=12x", false},
		{"regex on what is decoded", regex("a", "^x y$"), "a=x%20y", true},
		{"ampersand in a value", one("a", "1&b=2"), "a=1%26b%3D2", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := get("", "/")
			req.Query, req.HasQuery = c.query, c.query != ""
			if got := takes(t, config.Match{QueryParameters: c.match}, req); got != c.want {
				t.Errorf("?%s: taken %v, want %v", c.query, got, c.want)
			}
		})
	}
}

func TestG7Variables(t *testing.T) {
	v := func(name, value, model string) config.VariableMatch {
		return config.VariableMatch{Name: name, Value: value, Model: model}
	}
	yes, no := v("tenant", "t1", ""), v("tenant", "t2", "")
	or := func(m config.VariableMatch) config.VariableMatch { m.Model = "OR"; return m }
	and := func(m config.VariableMatch) config.VariableMatch { m.Model = "and"; return m }
	for _, c := range []struct {
		name string
		list []config.VariableMatch
		want bool
	}{
		{"set by a filter", []config.VariableMatch{yes}, true},
		{"other value", []config.VariableMatch{no}, false},
		{"not set", []config.VariableMatch{v("other", "t1", "")}, false},
		{"regex", []config.VariableMatch{{Name: "tenant", Regex: "^t[0-9]$"}}, true},
		{"regex fails", []config.VariableMatch{{Name: "tenant", Regex: "^[0-9]$"}}, false},
		{"regex for any value, not set", []config.VariableMatch{{Name: "other", Regex: ".*"}}, false},
		{"value and regex", []config.VariableMatch{{Name: "tenant", Value: "t1", Regex: "1"}}, true},
		{"value and regex that fails", []config.VariableMatch{{Name: "tenant", Value: "t1", Regex: "2"}}, false},
		{"path", []config.VariableMatch{v("x-mosn-path", "/b", "")}, true},
		{"method", []config.VariableMatch{v("x-mosn-method", "GET", "")}, true},
		{"argument", []config.VariableMatch{v("Http1_request_arg_q", "x y", "")}, true},
		{"header field", []config.VariableMatch{v("Http1_request_header_id", "7", "")}, true},
		{"cookie", []config.VariableMatch{v("Http1_cookie_s", "abc", "")}, true},
		{"of another protocol", []config.VariableMatch{v("Http2_request_arg_q", "x y", "")}, false},
		{"yes and yes", []config.VariableMatch{and(yes), yes}, true},
		{"yes and no", []config.VariableMatch{and(yes), no}, false},
		{"yes or no", []config.VariableMatch{or(yes), no}, true},
		{"no or yes", []config.VariableMatch{or(no), yes}, true},
		{"no or no", []config.VariableMatch{or(no), no}, false},
		{"and before or", []config.VariableMatch{and(no), or(yes), yes}, true},
		{"and before or, behind", []config.VariableMatch{or(yes), and(no), no}, true},
		{"and before or, neither", []config.VariableMatch{and(yes), or(no), and(no), yes}, false},
		{"or at the end joins nothing", []config.VariableMatch{or(no)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := get("", "/b", "id=7", "cookie=a=1; s=abc")
			req.Protocol, req.Query, req.HasQuery = "Http1", "q=x+y", true
			req.Vars.Set("tenant", "t1")
			if got := takes(t, config.Match{Variables: c.list}, req); got != c.want {
				t.Errorf("taken %v, want %v", got, c.want)
			}
		})
	}
}

func TestG8Expressions(t *testing.T) {
	for _, c := range []struct {
		name  string
		exprs []string
		want  bool
	}{
		{"true", []string{`request.method == "GET"`}, true},
		{"false", []string{`request.method == "POST"`}, false},
		{"all", []string{`request.method == "GET"`, `request.headers["id"] == "7"`}, true},
		{"all, one is false", []string{`request.method == "GET"`, `request.headers["id"] == "8"`}, false},
		{"error is not true", []string{`request.headers["none"] == "7"`}, false},
		{"error is not true either way", []string{`request.headers["none"] != "7"`}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m config.Match
			for _, e := range c.exprs {
				m.DSLExpressions = append(m.DSLExpressions, config.DSLExpression{Expression: e})
			}
			if got := takes(t, m, get("", "/", "id=7")); got != c.want {
				t.Errorf("taken %v, want %v", got, c.want)
			}
		})
	}
}

// All kinds of conditions together: each of them can fail the route.
func TestG3AllConditionsMustHold(t *testing.T) {
	whole := config.Match{
		Prefix: "/a", Path: "/a/b", Regex: "b$",
		Headers:         []config.HeaderMatch{{Name: "id", Value: "7"}},
		QueryParameters: []config.HeaderMatch{{Name: "q", Value: "1"}},
		Variables:       []config.VariableMatch{{Name: "tenant", Value: "t1"}},
		DSLExpressions:  []config.DSLExpression{{Expression: `request.method == "GET"`}},
	}
	request := func(spoil func(*stream.Request)) *stream.Request {
		req := get("", "/a/b", "id=7")
		req.Query, req.HasQuery = "q=1", true
		req.Vars.Set("tenant", "t1")
		spoil(req)
		return req
	}
	for name, spoil := range map[string]func(*stream.Request){
		"path":       func(r *stream.Request) { r.Path = "/a/c/b" },
		"header":     func(r *stream.Request) { r.Header.Set("id", "8") },
		"query":      func(r *stream.Request) { r.Query = "q=2" },
		"variable":   func(r *stream.Request) { r.Vars.Set("tenant", "t2") },
		"expression": func(r *stream.Request) { r.Method = "POST" },
	} {
		if takes(t, whole, request(spoil)) {
			t.Errorf("taken although the %s does not match", name)
		}
	}
	if !takes(t, whole, request(func(*stream.Request) {})) {
		t.Error("not taken")
	}
}
