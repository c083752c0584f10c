package router

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/variable"
)

// forward sends a request to a cluster.
type forward struct {
	// The cluster is one of weighted, or named by the header field or the
	// variable; where these have no value, it is cluster.
	weighted *weighted
	field    string
	variable variable.Getter
	cluster  string

	protocol    string
	timeout     time.Duration
	timeoutSaid bool // it is not the default
	tryTimeout  time.Duration
	labels      []stream.Label
	policy      *stream.Policy
	hashSources []hashSource
	rewrite     rewrite
	// request are the changes of the request that the route makes.
	request changes
}

// choose returns the cluster for the request and the labels of its hosts. asked
// is true if the request itself has named it.
func (f *forward) choose(req *stream.Request) (cluster string, labels []stream.Label, asked bool) {
	if f.weighted != nil {
		s := f.weighted.choose()
		return s.name, s.labels, false
	}
	if f.field != "" {
		if name := req.Header.Get(f.field); name != "" {
			return name, f.labels, true
		}
	}
	if f.variable != nil {
		if name, _ := f.variable(req); name != "" {
			return name, f.labels, true
		}
	}
	return f.cluster, f.labels, f.cluster == ""
}

// send has the cluster answer the request.
func (t *Table) send(ctx context.Context, req *stream.Request, vh *virtualHost, r *route) (*stream.Response, error) {
	f := r.forward
	name, labels, asked := f.choose(req)
	req.Info.Cluster = name
	cluster, ok := t.backends.Cluster(name)
	if !ok || name == "" {
		kind := stream.NoCluster
		if asked {
			kind = stream.NoRoute
		}
		return nil, stream.Errorf(kind, stream.Local, "cluster %.100q, named by %s", name, t.place(vh, r))
	}
	setTimes(req, f.timeout, f.tryTimeout, f.timeoutSaid)
	setCookie := hash(f.hashSources, req, t.random)
	req.Policy = f.policy
	req.Labels = labels
	if meta, ok := req.Vars.Get(variable.RouterMeta); ok {
		req.Labels = mergeLabels(labels, variable.DecodeMeta(meta))
	}
	if f.protocol != "" {
		req.UpstreamProtocol = f.protocol
	}
	f.request.apply(&req.Header, req)
	vh.request.apply(&req.Header, req)
	t.request.apply(&req.Header, req)
	f.rewrite.apply(req)
	resp, err := cluster.Handle(ctx, req)
	if err == nil && setCookie != "" && resp != stream.NoResponse {
		resp.Header.Add("Set-Cookie", setCookie)
	}
	return resp, err
}

// mergeLabels returns the labels of both, sorted; those of over count more.
// Both are sorted; neither is changed.
func mergeLabels(labels, over []stream.Label) []stream.Label {
	switch {
	case len(labels) == 0:
		return over
	case len(over) == 0:
		return labels
	}
	merged := slices.Clone(over)
	for _, l := range labels {
		if !slices.ContainsFunc(over, func(o stream.Label) bool { return o.Key == l.Key }) {
			merged = append(merged, l)
		}
	}
	stream.SortLabels(merged)
	return merged
}

// labelsOf returns the labels that a configuration demands, sorted.
func labelsOf(m *config.Metadata) []stream.Label {
	var list []stream.Label
	for key, value := range m.Labels() {
		list = append(list, stream.Label{Key: key, Value: value})
	}
	stream.SortLabels(list)
	return list
}

// forward compiles the action of a route that stands at path; filters is what
// its virtual host has to say to filters.
func (c *compiler) forward(r *config.Route, filters map[string]any, path string) *forward {
	a, at := r.Route, path+".route"
	c.notNegative(at+".timeout", "the default of "+config.DefaultRouteTimeout.String(), a.Timeout)
	f := &forward{
		cluster: a.ClusterName, field: a.ClusterHeader, protocol: a.UpstreamProtocol, timeout: a.Timeout,
		labels: labelsOf(a.MetadataMatch), hashSources: c.hashSources(a.HashPolicy, at+".hash_policy"),
		rewrite: c.rewrite(a, &r.Match, at),
		request: append(c.changes(&a.HeaderChanges, requestSide, at), c.changes(&r.HeaderChanges, requestSide, path)...),
	}
	if f.timeoutSaid = f.timeout > 0; !f.timeoutSaid {
		f.timeout = config.DefaultRouteTimeout
	}
	c.cluster(f, a, at)
	policy := stream.Policy{AutoHost: a.AutoHostRewrite && a.HostRewrite == "" && a.AutoHostRewriteHeader == ""}
	if p := a.RetryPolicy; p != nil {
		policy.Retry = c.retry(p, at+".retry_policy")
		c.notNegative(at+".retry_policy.retry_timeout", "no limit but that of the whole exchange", p.RetryTimeout)
		if f.tryTimeout = p.RetryTimeout; f.tryTimeout >= f.timeout {
			c.warn(at+".retry_policy.retry_timeout", "make it shorter", "has no effect, as the whole exchange has no more than %v", f.timeout)
		}
		policy.TryTimeout = f.tryTimeout
	}
	policy.Mirrors = append(c.mirrors(r.RequestMirrorPolicies, path), c.mirrors(a.RequestMirrorPolicies, at)...)
	policy.Filters = filters
	if len(a.PerFilterConfig)+len(r.PerFilterConfig) > 0 {
		policy.Filters = maps.Clone(filters)
		if policy.Filters == nil {
			policy.Filters = make(map[string]any)
		}
		maps.Copy(policy.Filters, c.filters(a.PerFilterConfig, at))
		maps.Copy(policy.Filters, c.filters(r.PerFilterConfig, path))
	}
	f.policy = &policy
	return f
}

// cluster compiles which cluster the action is for.
func (c *compiler) cluster(f *forward, a *config.RouteAction, path string) {
	if f.field != "" && !isToken(f.field) {
		c.fail(path+".cluster_header", "name a header field", "%q is no name of a header field", f.field)
	}
	if a.ClusterVariable != "" {
		f.variable = variable.Lookup(a.ClusterVariable)
		switch k := variable.Known(a.ClusterVariable); k {
		case variable.OfRoute, variable.OfHost, variable.OfRecord:
			c.warn(path+".cluster_variable", "choose one that the request has, or that a filter sets", "the variable %q is %v and has no value here", a.ClusterVariable, k)
		}
	}
	named := a.ClusterName != "" || a.ClusterHeader != "" || a.ClusterVariable != ""
	if len(a.WeightedClusters) > 0 {
		f.weighted = c.weighted(a.WeightedClusters, f.labels, path+".weighted_clusters")
		if named {
			c.warn(path+".weighted_clusters", "keep one of them", "there are several ways to find the cluster; this one counts")
		}
	} else if !named {
		c.fail(path+".cluster_name", "name one of the clusters", "the name of the cluster is missing")
	}
}

// mirrors compiles the copies that are sent; path leads to what holds the list.
func (c *compiler) mirrors(list []config.MirrorPolicy, path string) []stream.Mirror {
	var out []stream.Mirror
	for i, m := range list {
		at := decode.At(path+".request_mirror_policies", i)
		if m.Cluster == "" {
			c.fail(at+".cluster", "name one of the clusters", "the name of the cluster is missing")
		}
		percent := 100.0
		if m.Percent != nil {
			percent = *m.Percent
		}
		if !(percent >= 0 && percent <= 100) {
			c.fail(at+".percent", "", "must be from 0 to 100, is %v", percent)
		}
		if percent > 0 {
			out = append(out, stream.Mirror{Cluster: m.Cluster, Percent: percent, Copies: 1})
		}
	}
	return out
}

// filters compiles what is said to filters; path leads to what holds the map.
func (c *compiler) filters(cfg map[string]any, path string) map[string]any {
	if len(cfg) == 0 || c.opts.FilterConfig == nil {
		return cfg
	}
	out := make(map[string]any, len(cfg))
	for _, name := range slices.Sorted(maps.Keys(cfg)) {
		at := decode.Join(path+".per_filter_config", name)
		made, err := c.opts.FilterConfig(name, cfg[name], at)
		if err != nil {
			c.errs = append(c.errs, decode.AsProblems(err, at)...)
			continue
		}
		out[name] = made
	}
	return out
}

// notNegative reports a time below 0; 0 is what zero says.
func (c *compiler) notNegative(path, zero string, d time.Duration) {
	if d < 0 {
		c.fail(path, "0 is "+zero, "must not be negative, is %v", d)
	}
}
