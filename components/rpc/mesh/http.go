package mesh

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// httpWire: method is the path, with or without "?query", and the field "id"
// carries the service's id for routes to match.
type httpWire struct{}

func newHTTP(r *reader, path string, ext map[string]any) wire {
	var none struct{}
	r.ext(&none, ext, path)
	return httpWire{}
}

func (httpWire) refuse(r *rpc.Request) error {
	switch {
	case r.OneWay:
		return &rpc.Error{Code: rpc.InvalidCall, Msg: "one-way calls need a protocol that has them; http has not"}
	case r.Target != "":
		return &rpc.Error{Code: rpc.InvalidCall, Msg: "rpc_target_address is not served over http; address the service by a route"}
	}
	return nil
}

func (httpWire) fill(_ context.Context, req *stream.Request, r *rpc.Request) {
	req.Method = r.Verb
	if req.Method == "" {
		req.Method = "GET" // as Layotto has it, also with a body
	}
	req.Scheme, req.Authority = "http", "localhost"
	req.Path, req.Query, req.HasQuery = strings.Cut(r.Method, "?")
	if !strings.HasPrefix(req.Path, "/") && req.Path != "*" {
		req.Path = "/" + req.Path
	}
	if query := strings.TrimPrefix(r.Query, "?"); query != "" {
		if req.Query != "" {
			query = req.Query + "&" + query
		}
		req.Query, req.HasQuery = query, true
	}
	req.Header.Add("id", r.ID)
	for _, p := range r.Header {
		if stream.EqualName(p.Name, "content-type") && r.ContentType != "" || stream.EqualName(p.Name, "id") {
			continue
		}
		req.Header.Add(p.Name, p.Value)
	}
	if r.ContentType != "" {
		req.Header.Add("Content-Type", r.ContentType)
	}
}

func (httpWire) answer(resp *stream.Response, out *rpc.Response) error {
	if kind, ok := stream.ParseProxyStatus(resp.Header.Get(stream.ProxyStatus)); ok {
		// An answer to HEAD has no body, and so no words of the proxy's.
		return &rpc.Error{Code: code(kind), Msg: cmp.Or(strings.TrimSpace(string(out.Data)), kind.String())}
	}
	if resp.Status < 200 || resp.Status > 299 {
		return &rpc.Error{Code: rpc.Status, Response: out, Msg: fmt.Sprintf("http response code %d", resp.Status)}
	}
	return nil
}

func (httpWire) failed(err error) *rpc.Error { return translate(err) }
