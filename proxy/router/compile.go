package router

import (
	"fmt"
	"net/netip"
	"regexp"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
)

// Options are what a Table needs besides its configuration. With the zero value
// a configuration can be checked, but no request be handled.
type Options struct {
	// Backends are the clusters.
	Backends Backends
	// FilterConfig makes what a route has to say to filters of a type
	// (per_filter_config, which stands at path) from its configuration. An error
	// of it is of type decode.Problems, or is about the whole of path. nil: the
	// configuration is passed on as it is.
	FilterConfig func(filterType string, config any, path string) (any, error)
}

// New compiles the configuration that stands at path. The error is of type
// decode.Problems and tells all that is wrong; the warnings concern what works,
// but hardly as meant. Whether clusters and protocols are there is not checked.
func New(cfg config.Router, opts Options, path string) (_ *Table, warnings decode.Problems, err error) {
	t := &Table{name: cfg.Name, backends: opts.Backends, domains: domains{
		names:   make(foldMap[ports]),
		addrs:   make(map[netip.Addr]ports),
		endings: make(foldMap[ports]),
	}}
	if t.name == "" {
		t.name = "(unnamed)"
	}
	c := compiler{opts: opts}
	for i := range cfg.VirtualHosts {
		c.virtualHost(t, i, &cfg.VirtualHosts[i], decode.At(decode.Join(path, "virtual_hosts"), i))
	}
	if len(c.errs) > 0 {
		return nil, c.warnings, c.errs
	}
	return t, c.warnings, nil
}

// compiler collects what is wrong, and where.
type compiler struct {
	opts           Options
	warnings, errs decode.Problems
}

func (c *compiler) fail(path, remedy, format string, args ...any) {
	c.errs = append(c.errs, decode.Problem{Path: path, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (c *compiler) warn(path, remedy, format string, args ...any) {
	c.warnings = append(c.warnings, decode.Problem{Path: path, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (c *compiler) virtualHost(t *Table, i int, cfg *config.VirtualHost, path string) {
	vh := &virtualHost{name: cfg.Name}
	if vh.name == "" {
		vh.name = fmt.Sprintf("virtual_hosts[%d]", i)
	}
	if len(cfg.Domains) == 0 {
		c.fail(path+".domains", `write ["*"] for all`, "the virtual host has no domain, so no request would come here")
	}
	for j, domain := range cfg.Domains {
		if message, remedy := t.domains.add(domain, vh); message != "" {
			c.fail(decode.At(path+".domains", j), remedy, "%s", message)
		}
	}
	routes := make([]*route, len(cfg.Routes))
	for j := range cfg.Routes {
		routes[j] = c.route(j, &cfg.Routes[j], decode.At(decode.Join(path, "routers"), j))
	}
	vh.routes = newIndex(routes)
}

func (c *compiler) route(i int, cfg *config.Route, path string) *route {
	r := &route{name: cfg.Name}
	if r.name == "" {
		r.name = fmt.Sprintf("routers[%d]", i)
	}
	c.match(r, &cfg.Match, path+".match")
	c.action(r, cfg, path)
	return r
}

func (c *compiler) match(r *route, m *config.Match, path string) {
	r.prefix, r.path = m.Prefix, m.Path
	kinds := 0
	for _, text := range []string{m.Prefix, m.Path, m.Regex} {
		if text != "" {
			kinds++
		}
	}
	if kinds > 1 {
		c.warn(path, "keep one of them", "has more than one of prefix, path and regex: all must hold here, MOSN would look at the first only")
	}
	if m.Regex != "" {
		r.regex = c.regex(decode.Join(path, "regex"), m.Regex)
	}
	for i, h := range m.Headers {
		at := decode.At(decode.Join(path, "headers"), i)
		if h.Name == "" {
			c.fail(decode.Join(at, "name"), "name the header field", "the name is missing")
		}
		f := fieldMatch{part: partOf(h.Name), name: h.Name, value: h.Value, any: h.Value == ".*"}
		if h.Regex && !f.any {
			f.regex = c.regex(decode.Join(at, "value"), h.Value)
		}
		r.fields = append(r.fields, f)
	}
}

// regexSyntax is where to read how a regular expression is written.
const regexSyntax = "the syntax is RE2's: https://github.com/google/re2/wiki/Syntax"

// regex compiles an expression for a whole value.
func (c *compiler) regex(path, expr string) *regexp.Regexp {
	// By itself first: a stray parenthesis must not pair with ours.
	if _, err := regexp.Compile(expr); err != nil {
		c.fail(path, regexSyntax, "%q is no regular expression: %v", expr, err)
		return nil
	}
	re, err := regexp.Compile(`\A(?:` + expr + `)\z`)
	if err != nil {
		c.fail(path, regexSyntax, "%q cannot be applied to a whole value: %v", expr, err)
	}
	return re
}

func (c *compiler) action(r *route, cfg *config.Route, path string) {
	switch {
	case cfg.Route != nil && cfg.DirectResponse != nil:
		c.fail(path, "keep one of them", "the route has both route and direct_response")
	case cfg.DirectResponse != nil:
		d := cfg.DirectResponse
		if d.Status < 200 || d.Status > 599 {
			c.fail(path+".direct_response.status", "", "must be from 200 to 599, is %d", d.Status)
		}
		r.direct = &direct{status: d.Status, body: d.Body}
	case cfg.Route == nil:
		c.fail(path, "add route: {cluster_name: …} or direct_response: {status: …}", "the route does not say what happens with a request")
	default:
		a := cfg.Route
		if a.ClusterName == "" {
			c.fail(path+".route.cluster_name", "name one of the clusters", "the name of the cluster is missing")
		}
		if a.Timeout < 0 {
			c.fail(path+".route.timeout", fmt.Sprintf("0 is the default of %v", config.DefaultRouteTimeout), "must not be negative, is %v", a.Timeout)
		}
		r.cluster, r.protocol, r.timeout = a.ClusterName, a.UpstreamProtocol, a.Timeout
		if r.timeout == 0 {
			r.timeout = config.DefaultRouteTimeout
		}
	}
}
