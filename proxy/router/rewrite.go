package router

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// originalPath is the header field that tells the host what the caller asked
// for, where a route has changed the path.
const originalPath = "x-mosn-original-path"

// rewrite changes path and host of a request. The zero value changes nothing.
type rewrite struct {
	// prefix replaces the first matched bytes of the path, or all of it if
	// whole; "" replaces nothing.
	prefix  string
	matched int
	whole   bool
	// pattern, unless nil, is replaced by substitution.
	pattern      *regexp.Regexp
	substitution string
	// host replaces the authority; hostFrom names a header field whose value does.
	host, hostFrom string
}

// apply changes req.
func (w *rewrite) apply(req *stream.Request) {
	switch {
	case w.host != "":
		req.Authority = w.host
	case w.hostFrom != "":
		if h := req.Header.Get(w.hostFrom); h != "" && validHost(h) {
			req.Authority = h
		}
	}
	if w.prefix == "" && w.pattern == nil {
		return
	}
	path := w.path(req.Path)
	if path == req.Path {
		return
	}
	req.Header.Set(originalPath, req.Path)
	if req.Info.Path == "" {
		req.Info.Path = req.Path
	}
	req.Path = path
}

// path returns what becomes of a path. Of one that can be sent, it makes one
// that can be sent; "*" stays.
func (w *rewrite) path(path string) string {
	switch {
	case !strings.HasPrefix(path, "/"):
	case w.prefix != "" && w.whole:
		return w.prefix
	case w.prefix != "":
		return w.prefix + path[w.matched:]
	case w.pattern != nil:
		path = w.pattern.ReplaceAllString(path, w.substitution)
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
	}
	return path
}

func (c *compiler) rewrite(a *config.RouteAction, m *config.Match, path string) rewrite {
	w := rewrite{host: a.HostRewrite, hostFrom: a.AutoHostRewriteHeader}
	if !validHost(w.host) {
		c.fail(path+".host_rewrite", "write the host only, with :port if need be", "%q is no host", w.host)
	}
	if w.hostFrom != "" && !isToken(w.hostFrom) {
		c.fail(path+".auto_host_rewrite_header", "name a header field", "%q is no name of a header field", w.hostFrom)
	}
	if w.host != "" && (w.hostFrom != "" || a.AutoHostRewrite) {
		c.warn(path+".host_rewrite", "keep one of them", "there are several ways to replace the host; this one counts")
	} else if w.hostFrom != "" && a.AutoHostRewrite {
		c.warn(path+".auto_host_rewrite_header", "keep one of them", "there are several ways to replace the host; this one counts")
	}
	if p := a.PrefixRewrite; p != "" {
		at := path + ".prefix_rewrite"
		switch {
		case p[0] != '/' || !pathText(p):
			c.fail(at, `it begins with "/", has no "?", and other characters than visible ASCII are percent-encoded`, "%q is no path", p)
		case m.Path == "" && m.Prefix == "":
			c.warn(at, "add match.prefix or match.path", "nothing is replaced, as the route matches no prefix and no path")
		default:
			w.prefix, w.matched, w.whole = p, len(m.Prefix), m.Path != ""
		}
	}
	if r := a.RegexRewrite; r != nil {
		at := path + ".regex_rewrite"
		switch {
		case a.PrefixRewrite != "":
			c.warn(at, "keep one of them", "prefix_rewrite is there, too, and counts")
		case r.Pattern.Regex == "":
			c.fail(at+".pattern.regex", "write a regular expression for what is replaced", "the pattern is empty")
		default:
			if w.pattern = c.regex(at+".pattern.regex", r.Pattern.Regex); w.pattern == nil {
				break
			}
			var err error
			if w.substitution, err = substitution(r.Substitution, w.pattern); err != nil {
				c.fail(at+".substitution", `\1 or ${1} stands for the first group of the pattern`, "%v", err)
			}
		}
	}
	return w
}

// substitution turns \1 and $1 into the form that package regexp expands, and
// makes sure that what is between them can stand in a path.
func substitution(text string, pattern *regexp.Regexp) (string, error) {
	var b strings.Builder
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '\\':
			if i+1 == len(text) || text[i+1] != '\\' && !isDigit(text[i+1]) {
				return "", fmt.Errorf("%q has a backslash that is not followed by a digit; write \\\\ for one", text)
			}
			if next := text[i+1 : i+2]; next == `\` {
				b.WriteString(next)
			} else if err := group(&b, next, pattern); err != nil {
				return "", err
			}
			i += 2
		case strings.HasPrefix(text[i:], "$$"):
			b.WriteString("$$")
			i += 2
		case c == '$':
			name, length := groupName(text[i+1:])
			if length == 0 {
				b.WriteString("$$") // stands for itself
			} else if err := group(&b, name, pattern); err != nil {
				return "", err
			}
			i += 1 + length
		case !pathText(text[i : i+1]):
			return "", fmt.Errorf("%q cannot stand in a path: write it percent-encoded", text)
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String(), nil
}

// group writes a reference to a group of the pattern.
func group(b *strings.Builder, name string, pattern *regexp.Regexp) error {
	index := pattern.SubexpIndex(name)
	if n := 0; index < 0 {
		for _, c := range []byte(name) {
			if n = n*10 + int(c-'0'); !isDigit(c) || n > pattern.NumSubexp() {
				return fmt.Errorf("the pattern has no group %q", name)
			}
		}
	}
	b.WriteString("${" + name + "}")
	return nil
}

// groupName returns the name in "name…" or "{name}…", and how much of s it takes.
func groupName(s string) (name string, length int) {
	if rest, ok := strings.CutPrefix(s, "{"); ok {
		if name, _, ok = strings.Cut(rest, "}"); ok && name != "" {
			return name, len(name) + 2
		}
		return "", 0
	}
	for length < len(s) {
		c := s[length]
		if !isDigit(c) && c != '_' && !('a' <= c|0x20 && c|0x20 <= 'z') {
			break
		}
		length++
	}
	return s[:length], length
}
