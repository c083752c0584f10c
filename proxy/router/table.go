package router

import (
	"context"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
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
}

// virtualHost is a named list of routes.
type virtualHost struct {
	name   string
	routes *index
}

// Handle implements stream.Handler: it finds the route for the request, notes
// it in req.Info, and has the cluster answer within the route's time, or
// answers itself if the route says so.
//
// The time is the route's or, if that is shorter, req.Timeout, counted from
// req.Info.Start; it becomes part of req.Deadline. The route's protocol, if it
// names one, becomes req.UpstreamProtocol.
//
// Errors of its own are NoRoute and NoCluster.
func (t *Table) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	vh := t.domains.find(req.Authority)
	if vh == nil {
		return nil, stream.Errorf(stream.NoRoute, stream.Local,
			"router %s has no virtual host for host %.100q (path %.100q)", t.name, req.Authority, req.Path)
	}
	req.Info.VirtualHost = vh.name
	r := vh.routes.match(req)
	if r == nil {
		return nil, stream.Errorf(stream.NoRoute, stream.Local,
			"no route of virtual host %s of router %s takes %s %.100q (host %.100q)",
			vh.name, t.name, shorten(req.Method), req.Path, req.Authority)
	}
	req.Info.Route = r.name
	if r.direct != nil {
		if req.OneWay {
			return stream.NoResponse, nil
		}
		return r.direct.answer(req), nil
	}
	req.Info.Cluster = r.cluster
	cluster, ok := t.backends.Cluster(r.cluster)
	if !ok {
		return nil, stream.Errorf(stream.NoCluster, stream.Local,
			"cluster %q, named by route %s of virtual host %s of router %s", r.cluster, r.name, vh.name, t.name)
	}
	r.apply(req)
	return cluster.Handle(ctx, req)
}

// apply puts the route's policy on the request.
func (r *route) apply(req *stream.Request) {
	timeout := r.timeout
	if req.Timeout > 0 && req.Timeout < timeout {
		timeout = req.Timeout
	}
	start := req.Info.Start
	if start.IsZero() {
		start = time.Now()
	}
	req.Limit(start.Add(timeout))
	if r.protocol != "" {
		req.UpstreamProtocol = r.protocol
	}
}

// shorten cuts a method that is no method.
func shorten(s string) string { return s[:min(len(s), 40)] }
