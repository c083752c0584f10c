package transcoder

import (
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/filter/transcoder/hessian"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// defaultPath is where calls are to be found over HTTP.
const defaultPath = "/{service}/{method}"

// Places in a path.
const (
	servicePlace = "{service}"
	methodPlace  = "{method}"
)

// target says which service and method a call over HTTP is for.
type target struct {
	parts           []string // of the path
	service, method string   // "" where the path or the caller says it
}

// newTarget reads the options of a target, which stand at path.
func newTarget(template, service, method, path string) (target, error) {
	t := target{service: service, method: method}
	at := decode.Join(path, "path")
	fail := func(text string) (target, error) {
		return t, decode.Problems{{Path: at, Message: strconv.Quote(template) + " " + text, Remedy: "write it like " + defaultPath}}
	}
	if !strings.HasPrefix(template, "/") || strings.ContainsAny(template, "?# ") {
		return fail("is no path")
	}
	t.parts = strings.Split(template[1:], "/")
	for i, part := range t.parts {
		bare := strings.NewReplacer(servicePlace, "", methodPlace, "").Replace(part)
		switch {
		case part == servicePlace || part == methodPlace:
			if strings.Count(template, part) > 1 {
				return fail("has " + part + " more than once")
			}
		case bare != part || strings.ContainsAny(part, "{}"):
			return fail("has a part that is neither {service} nor {method} nor plain text: " + part)
		case part == "" && i < len(t.parts)-1:
			return fail("has an empty part")
		}
	}
	return t, nil
}

// has reports whether the path has a place.
func (t *target) has(place string) bool {
	for _, part := range t.parts {
		if part == place {
			return true
		}
	}
	return false
}

// find says what a request over HTTP is for: what its path says, else what the
// options say, else its header fields of these names.
func (t *target) find(req *stream.Request, services, methods []string) (service, method string, err error) {
	service, method, ok := t.match(req.Path)
	if !ok {
		service, method = "", ""
	}
	first := func(value, option string, fields []string) string {
		if value == "" {
			value = option
		}
		for _, f := range fields {
			if value == "" {
				value = req.Header.Get(f)
			}
		}
		return value
	}
	service, method = first(service, t.service, services), first(method, t.method, methods)
	switch {
	case service == "" || method == "":
		return "", "", refuse(404, "it is not said what to call: the path is %s, not like /%s, and there are no header fields %s and %s",
			shown(req.Path), strings.Join(t.parts, "/"), services[0], methods[0])
	case !plain(service) || !plain(method):
		return "", "", refuse(400, "a control character in the name of a service or method")
	}
	return service, method, nil
}

// shown is what of a path a caller is told.
func shown(path string) string {
	if len(path) > 100 {
		return strconv.QuoteToASCII(path[:100]) + "..."
	}
	return strconv.QuoteToASCII(path)
}

// plain reports whether a name is text without control characters.
func plain(name string) bool {
	for _, r := range name {
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	return utf8.ValidString(name) && len(name) <= 1024
}

// match compares a path with the template.
func (t *target) match(path string) (service, method string, ok bool) {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return "", "", false
	}
	for i, part := range t.parts {
		have, after, more := strings.Cut(rest, "/")
		if more != (i < len(t.parts)-1) {
			return "", "", false
		}
		rest = after
		if part != servicePlace && part != methodPlace {
			if part != have {
				return "", "", false
			}
			continue
		}
		name, err := url.PathUnescape(have)
		switch {
		case err != nil || name == "":
			return "", "", false
		case part == servicePlace:
			service = name
		default:
			method = name
		}
	}
	return service, method, true
}

// path returns the path of a call.
func (t *target) path(service, method string) string {
	var b strings.Builder
	for _, part := range t.parts {
		b.WriteByte('/')
		switch part {
		case servicePlace:
			b.WriteString(segment(service))
		case methodPlace:
			b.WriteString(segment(method))
		default:
			b.WriteString(part)
		}
	}
	return b.String()
}

// segment writes a name as one segment of a path.
func segment(name string) string {
	if name == "." || name == ".." { // which would mean another segment
		return strings.ReplaceAll(name, ".", "%2E")
	}
	return url.PathEscape(name)
}

// callOverHTTP makes out a call over HTTP. Unless the route has said which host is
// meant, the service is: HTTP must have one.
func callOverHTTP(out *stream.Request, t *target, service, method string) {
	if out.Authority == "" {
		out.Authority = hostOf(service)
	}
	out.Method, out.Path, out.Query, out.HasQuery = "POST", t.path(service, method), "", false
	if out.Scheme == "" {
		out.Scheme = "http"
	}
	out.OneWay = false // HTTP has none: the answer is thrown away
	dropRPC(&out.Header)
}

// hostOf makes a host's name of a service's, without its version.
func hostOf(service string) string {
	name, _, _ := strings.Cut(service, ":")
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return "localhost"
		}
	}
	if name == "" || len(name) > 253 {
		return "localhost"
	}
	return name
}

// expectPOST refuses requests that are no calls: what calls a service is not to be
// done because a link was followed.
func expectPOST(req *stream.Request) error {
	if req.Method != "POST" {
		return refuse(405, "a call is made with POST, not with %.20q", req.Method)
	}
	return nil
}

// notWeb makes out no HTTP request any more.
func notWeb(out *stream.Request, method string) {
	out.Method, out.Scheme, out.Authority = method, "", ""
	out.Path, out.Query, out.HasQuery = "", "", false
}

// problem is the body of an answer over HTTP that tells of an error, in JSON.
func problem(text, rpcStatus, exception string) []byte {
	b := hessian.Text([]byte(`{"error":`), text)
	if rpcStatus != "" {
		b = append(append(b, `,"rpc_status":`...), rpcStatus...)
	}
	if exception != "" {
		b = hessian.Text(append(b, `,"exception":`...), exception)
	}
	return append(b, "}\n"...)
}

// toHTTP refuses in HTTP.
func toHTTP(r *Refusal) *stream.Response {
	b := problem(r.Text, "", "")
	resp := &stream.Response{Status: r.Status, ContentLength: int64(len(b)), Body: &content{left: b}}
	resp.Header.Add("Content-Type", "application/json")
	if r.Status == 405 {
		resp.Header.Add("Allow", "POST")
	}
	if r.Status == 415 {
		resp.Header.Add("Accept-Encoding", "gzip")
	}
	return resp
}

// rpcStatus returns the status of an answer in its protocol's own terms; "" if it
// has none.
func rpcStatus(resp *stream.Response) string {
	s := resp.Header.Get(frame.StatusField)
	if _, err := strconv.ParseUint(s, 10, 32); err != nil {
		return ""
	}
	return s
}
