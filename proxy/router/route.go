package router

import (
	"strings"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// route is one rule, ready to use: conditions, and one of three actions.
type route struct {
	name  string
	match conditions

	direct   *direct
	redirect *redirect
	forward  *forward

	// response are the changes of the answer that the route makes.
	response changes
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
