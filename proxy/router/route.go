package router

import (
	"regexp"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// route is one rule, ready to use: conditions and an action, which is to call
// a cluster if direct is nil.
type route struct {
	name string

	prefix, path string
	regex        *regexp.Regexp
	fields       []fieldMatch

	cluster  string
	protocol string
	timeout  time.Duration
	direct   *direct
}

// holds reports whether all conditions of r hold.
func (r *route) holds(req *stream.Request) bool {
	if !strings.HasPrefix(req.Path, r.prefix) ||
		r.path != "" && !stream.EqualName(req.Path, r.path) ||
		r.regex != nil && !r.regex.MatchString(req.Path) {
		return false
	}
	for i := range r.fields {
		if !r.fields[i].holds(req) {
			return false
		}
	}
	return true
}

// fieldMatch is a condition on a header field, or on a part of the request
// that goes by the name of one. Of a field that is repeated, the first counts.
type fieldMatch struct {
	part  part
	name  string
	value string
	regex *regexp.Regexp // instead of value
	any   bool           // any value will do
}

func (m *fieldMatch) holds(req *stream.Request) bool {
	value, ok := m.part.of(req, m.name)
	switch {
	case !ok:
		return false
	case m.any:
		return true
	case m.regex != nil:
		return m.regex.MatchString(value)
	}
	return value == m.value
}

// exact reports whether the condition is that a field has one certain value.
func (m *fieldMatch) exact() bool { return !m.any && m.regex == nil }

// part says where a value comes from.
type part uint8

const (
	partHeader part = iota // a header field
	partMethod
	partHost
	partPath
	partCount
)

// partOf returns the part of a request that a header name stands for. HTTP/2
// and MOSN have names for parts that are no header fields; the Host field of
// HTTP/1 is taken out of the header by the protocol server.
func partOf(name string) part {
	switch lower(name) {
	case "method", ":method", "x-mosn-method":
		return partMethod
	case "host", ":authority", "x-mosn-host":
		return partHost
	case ":path", "x-mosn-path":
		return partPath
	}
	return partHeader
}

// of returns the value of the part, and whether there is one.
func (p part) of(req *stream.Request, name string) (string, bool) {
	switch p {
	case partMethod:
		return req.Method, req.Method != ""
	case partHost:
		return req.Authority, req.Authority != ""
	case partPath:
		return req.Path, req.Path != ""
	}
	return req.Header.Lookup(name)
}

// direct is an answer that needs no cluster.
type direct struct {
	status int
	body   string
}

// directBody is the body of a direct answer.
type directBody struct{ strings.Reader }

// Close does nothing.
func (*directBody) Close() error { return nil }

// Ready implements stream.Ready.
func (*directBody) Ready() bool { return true }

// answer makes the response to req. 204, 205 and 304 have no body, whatever
// was configured, and neither has the answer to HEAD.
func (d *direct) answer(req *stream.Request) *stream.Response {
	resp := &stream.Response{Status: d.status, ContentLength: int64(len(d.body))}
	switch {
	case d.status == 204, d.status == 205:
		resp.ContentLength = 0
	case d.body == "", d.status == 304:
	default:
		resp.Header.Add("Content-Type", "text/plain; charset=utf-8")
		if req.Method != "HEAD" {
			body := new(directBody)
			body.Reset(d.body)
			resp.Body = body
		}
	}
	return resp
}
