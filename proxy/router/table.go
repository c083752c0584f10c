package router

import (
	"context"
	"fmt"
	"iter"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/variable"
)

// Backends knows the clusters that routes lead to. It is asked for each
// request and is safe for concurrent use.
type Backends interface {
	// Cluster returns the handler that sends requests to the cluster.
	Cluster(name string) (stream.Handler, bool)
}

// Table is a compiled router configuration. It does not change and is safe for
// concurrent use.
type Table struct {
	name     string
	domains  domains
	backends Backends
	// usable reports whether a cluster has hosts that can be used.
	usable func(cluster string) bool
	// chooser chooses among the routes that take a request; nil is the first.
	chooser func(req *stream.Request, routes iter.Seq[Candidate]) (Candidate, bool)
	random  func() uint64
	// request and response are the changes for all virtual hosts.
	request, response changes
}

// virtualHost is a named list of routes.
type virtualHost struct {
	name   string
	routes *index
	tls    tlsDemand
	// request and response are the changes for all routes.
	request, response changes
}

// Handle implements stream.Handler: it finds the route for the request, notes
// it in req.Info, and has the cluster answer, or answers itself if the route
// says so.
//
// A request that goes to a cluster has got its route's policy by then: Deadline
// and TryTimeout, Policy, Hash, Labels, UpstreamProtocol if the route names
// one, and the changes of host, path and header. Its times are the route's, or
// those that the request itself asks for by header fields
// (x-mosn-global-timeout, x-mosn-try-timeout), its protocol (Timeout) or
// variables (variable.GlobalTimeout, variable.TryTimeout), counted from
// Info.Start. The changes of an answer are made to all but errors.
//
// Errors of its own are NoRoute, also for a cluster that the request names
// itself and that is not there, NoCluster, and BadMessage for a request that
// cannot be redirected as it names no host.
func (t *Table) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	vh := t.domains.find(req.Authority)
	if vh == nil {
		return nil, stream.Errorf(stream.NoRoute, stream.Local,
			"router %s has no virtual host for host %.100q (path %.100q)", t.name, req.Authority, req.Path)
	}
	req.Info.VirtualHost = vh.name
	if vh.tls.refuses(req) {
		resp, err := toTLS.answer(req)
		return t.answer(req, resp, err, vh, nil)
	}
	r := t.choose(vh, req)
	if r == nil {
		return nil, stream.Errorf(stream.NoRoute, stream.Local,
			"no route of virtual host %s of router %s takes %s %.100q (host %.100q)",
			vh.name, t.name, shorten(req.Method), req.Path, req.Authority)
	}
	req.Info.Route = r.name
	switch {
	case r.direct != nil:
		return t.answer(req, r.direct.answer(req), nil, vh, r)
	case r.redirect != nil:
		resp, err := r.redirect.answer(req)
		return t.answer(req, resp, err, vh, r)
	}
	resp, err := t.send(ctx, req, vh, r)
	return t.finish(req, resp, err, vh, r)
}

// answer finishes an answer that was made here.
func (t *Table) answer(req *stream.Request, resp *stream.Response, err error, vh *virtualHost, r *route) (*stream.Response, error) {
	if req.OneWay {
		return stream.NoResponse, nil
	}
	req.Vars.Set(variable.DirectResponse, "true")
	return t.finish(req, resp, err, vh, r)
}

// finish makes the changes to an answer: those of the route, which may be nil,
// of the virtual host and of the router.
func (t *Table) finish(req *stream.Request, resp *stream.Response, err error, vh *virtualHost, r *route) (*stream.Response, error) {
	if err != nil || resp == stream.NoResponse {
		return resp, err
	}
	if r != nil {
		r.response.apply(&resp.Header, req)
	}
	vh.response.apply(&resp.Header, req)
	t.response.apply(&resp.Header, req)
	return resp, nil
}

// place names a route, for errors.
func (t *Table) place(vh *virtualHost, r *route) string {
	return fmt.Sprintf("route %s of virtual host %s of router %s", r.name, vh.name, t.name)
}

// shorten cuts a method that is no method.
func shorten(s string) string { return s[:min(len(s), 40)] }
