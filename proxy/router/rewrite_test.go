package router

import (
	"regexp"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/config"
)

func pattern(regex, substitution string) *config.RegexRewrite {
	return &config.RegexRewrite{Pattern: config.RegexPattern{Regex: regex}, Substitution: substitution}
}

func TestG16RewritePath(t *testing.T) {
	for _, c := range []struct {
		name       string
		match      config.Match
		action     config.RouteAction
		path, want string
	}{
		{"prefix", config.Match{Prefix: "/a"}, config.RouteAction{PrefixRewrite: "/b"}, "/a/x", "/b/x"},
		{"prefix is literal", config.Match{Prefix: "/a"}, config.RouteAction{PrefixRewrite: "/b/"}, "/abc", "/b/bc"},
		{"prefix /, as in MOSN's documentation", config.Match{Prefix: "/"}, config.RouteAction{PrefixRewrite: "/abc"}, "/x", "/abcx"},
		{"prefix to /", config.Match{Prefix: "/api/"}, config.RouteAction{PrefixRewrite: "/"}, "/api/x", "/x"},
		{"prefix, unchanged", config.Match{Prefix: "/a"}, config.RouteAction{PrefixRewrite: "/a"}, "/a/x", "/a/x"},
		{"path", config.Match{Path: "/Old"}, config.RouteAction{PrefixRewrite: "/new"}, "/oLD", "/new"},
		{"path and prefix", config.Match{Prefix: "/o", Path: "/old"}, config.RouteAction{PrefixRewrite: "/new"}, "/old", "/new"},
		{"nothing to replace", config.Match{}, config.RouteAction{PrefixRewrite: "/new"}, "/old", "/old"},
		{"regex", config.Match{}, config.RouteAction{RegexRewrite: pattern("^/service/([^/]+)(/.*)$", `\2/instance/\1`)}, "/service/foo/v1", "/v1/instance/foo"},
		{"regex with $", config.Match{}, config.RouteAction{RegexRewrite: pattern("^/service/([^/]+)(/.*)$", `$2/instance/${1}x`)}, "/service/foo/v1", "/v1/instance/foox"},
		{"regex, by name", config.Match{}, config.RouteAction{RegexRewrite: pattern("/(?P<who>[a-z]+)", `/u-$who`)}, "/joe", "/u-joe"},
		{"regex, whole match", config.Match{}, config.RouteAction{RegexRewrite: pattern("b+", `(\0)`)}, "/abba", "/a(bb)a"},
		{"regex, everywhere", config.Match{}, config.RouteAction{RegexRewrite: pattern("/a", "/b")}, "/a/a", "/b/b"},
		{"regex, no match", config.Match{}, config.RouteAction{RegexRewrite: pattern("^/x", "/y")}, "/a", "/a"},
		{"regex, group without a match", config.Match{}, config.RouteAction{RegexRewrite: pattern("^/(x)?", `/v\1`)}, "/a", "/va"},
		{"regex, slash lost", config.Match{}, config.RouteAction{RegexRewrite: pattern("^/", "")}, "/a", "/a"},
		{"regex, all lost", config.Match{}, config.RouteAction{RegexRewrite: pattern(".*", "")}, "/a", "/"},
		{"dollar and backslash as themselves", config.Match{}, config.RouteAction{RegexRewrite: pattern("a", `$$\\$.$`)}, "/a", `/$\$.$`},
		{"prefix before regex", config.Match{Prefix: "/a"}, config.RouteAction{PrefixRewrite: "/b", RegexRewrite: pattern(".*", "/c")}, "/a/x", "/b/x"},
		{"the host as a whole", config.Match{}, config.RouteAction{RegexRewrite: pattern(".", "x")}, "*", "*"},
		{"the host as a whole, prefix", config.Match{Prefix: "*"}, config.RouteAction{PrefixRewrite: "/x"}, "*", "*"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.action.ClusterName = "c"
			req := get("", c.path, "x-mosn-original-path=/forged")
			req.Query, req.HasQuery = "q=/a", true
			got := forwarded(t, routes(config.Route{Match: c.match, Route: &c.action}), req)
			if got.Path != c.want || got.Query != "q=/a" {
				t.Errorf("%s?%s, want %s?q=/a", got.Path, got.Query, c.want)
			}
			original, noted := "/forged", ""
			if c.want != c.path {
				original, noted = c.path, c.path
			}
			if h := got.Header.Get("x-mosn-original-path"); h != original || got.Info.Path != noted {
				t.Errorf("original path %q, noted %q, want %q, %q", h, got.Info.Path, original, noted)
			}
		})
	}
}

func TestG16RewriteHost(t *testing.T) {
	for _, c := range []struct {
		name     string
		action   config.RouteAction
		header   string
		want     string
		autoHost bool
	}{
		{"none", config.RouteAction{}, "", "shop", false},
		{"host", config.RouteAction{HostRewrite: "other:8080"}, "", "other:8080", false},
		{"of the chosen host", config.RouteAction{AutoHostRewrite: true}, "", "shop", true},
		{"header", config.RouteAction{AutoHostRewriteHeader: "X-To"}, "there.example", "there.example", false},
		{"header missing", config.RouteAction{AutoHostRewriteHeader: "x-to"}, "", "shop", false},
		{"header is no host", config.RouteAction{AutoHostRewriteHeader: "x-to"}, "a b", "shop", false},
		{"header is no host, user", config.RouteAction{AutoHostRewriteHeader: "x-to"}, "user@host", "shop", false},
		{"host before header", config.RouteAction{HostRewrite: "a", AutoHostRewriteHeader: "x-to"}, "b", "a", false},
		{"host before the chosen one", config.RouteAction{HostRewrite: "a", AutoHostRewrite: true}, "", "a", false},
		{"header before the chosen one", config.RouteAction{AutoHostRewriteHeader: "x-to", AutoHostRewrite: true}, "b", "b", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.action.ClusterName = "c"
			req := get("shop", "/")
			if c.header != "" {
				req.Header.Add("x-to", c.header)
			}
			got := forwarded(t, action(c.action), req)
			if got.Authority != c.want || got.Policy.AutoHost != c.autoHost {
				t.Errorf("%s, of the chosen host %v, want %s, %v", got.Authority, got.Policy.AutoHost, c.want, c.autoHost)
			}
		})
	}
}

// Whatever is configured, and whatever is asked for, a path that could be sent
// before can be sent after.
func FuzzG16Rewrite(f *testing.F) {
	for _, s := range [][4]string{
		{"/a/b", "/a", "^/(.*)$", `\1`},
		{"/a%20b", "/", "%20", "$0 "},
		{"/", "", ".*", ""},
		{"/x/y", "/x", "(?P<n>.)/", "${n}$$"},
		{"/\xff\xfe", "/", `[^/]`, `\0\0`},
		{"*", "*", `\*`, "/"},
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	f.Fuzz(func(t *testing.T, path, prefix, regex, text string) {
		sendable := func(p string) bool {
			if p == "*" {
				return true
			}
			return strings.HasPrefix(p, "/") && !strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '?' || r == '#' })
		}
		if !sendable(path) || len(regex) > 100 || len(text) > 100 || len(path) > 1000 {
			return
		}
		m := config.Match{Prefix: prefix}
		for _, a := range []config.RouteAction{{PrefixRewrite: text}, {RegexRewrite: pattern(regex, text)}} {
			a.ClusterName = "c"
			table, _, err := New(routes(config.Route{Match: m, Route: &a}), Options{Backends: &echo{}}, "routers[0]")
			if err != nil {
				return
			}
			req := get("", path)
			if _, err := table.Handle(t.Context(), req); err != nil {
				continue // the prefix is another
			}
			if !sendable(req.Path) {
				t.Errorf("%q became %q by %+v of %q", path, req.Path, a, prefix)
			}
			if req.Path != path && req.Header.Get(originalPath) != path {
				t.Errorf("the original of %q is noted as %q", path, req.Header.Get(originalPath))
			}
		}
	})
}

// A substitution that is accepted expands to what its parts say.
func TestSubstitutionRefuses(t *testing.T) {
	re := regexp.MustCompile("(a)(?P<name>b)")
	for _, text := range []string{`\3`, `\`, `\x`, `$3`, `$1x`, `${3}`, `$names`, "a b", "a?b", "a#b", "a\r\nb", "é"} {
		if out, err := substitution(text, re); err == nil {
			t.Errorf("%q became %q, want an error", text, out)
		}
	}
}
