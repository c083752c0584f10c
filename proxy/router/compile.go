package router

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"

	"github.com/ottavo-runtime/ottavo/proxy/config"
)

// New compiles a Table. The error tells all that is wrong with the
// configuration, each with its place; it can be split with errors.Join's
// Unwrap.
func New(cfg config.Router, backends Backends) (*Table, error) {
	t := &Table{name: cfg.Name, backends: backends, domains: domains{
		names:   make(foldMap[ports]),
		addrs:   make(map[netip.Addr]ports),
		endings: make(foldMap[ports]),
	}}
	if t.name == "" {
		t.name = "(unnamed)"
	}
	var c compiler
	for i := range cfg.VirtualHosts {
		c.at = fmt.Sprintf("router %s: virtual_hosts[%d]", t.name, i)
		c.virtualHost(t, i, &cfg.VirtualHosts[i])
	}
	if len(c.problems) > 0 {
		return nil, errors.Join(c.problems...)
	}
	return t, nil
}

// compiler collects what is wrong, and where.
type compiler struct {
	at       string
	problems []error
}

func (c *compiler) fail(format string, args ...any) {
	c.problems = append(c.problems, fmt.Errorf("%s%w", c.at, fmt.Errorf(format, args...)))
}

func (c *compiler) virtualHost(t *Table, i int, cfg *config.VirtualHost) {
	vh := &virtualHost{name: cfg.Name}
	if vh.name == "" {
		vh.name = fmt.Sprintf("virtual_hosts[%d]", i)
	}
	if len(cfg.Domains) == 0 {
		c.fail(`.domains: is empty, so the routes would never be used; name the hosts, or "*" for all`)
	}
	for j, domain := range cfg.Domains {
		if err := t.domains.add(domain, vh); err != nil {
			c.fail(".domains[%d]: %w", j, err)
		}
	}
	routes := make([]*route, len(cfg.Routes))
	host := c.at
	for j := range cfg.Routes {
		c.at = fmt.Sprintf("%s.routers[%d]", host, j)
		routes[j] = c.route(j, &cfg.Routes[j])
	}
	vh.routes = newIndex(routes)
}

func (c *compiler) route(i int, cfg *config.Route) *route {
	m := &cfg.Match
	r := &route{name: cfg.Name, prefix: m.Prefix, path: m.Path}
	if r.name == "" {
		r.name = fmt.Sprintf("routers[%d]", i)
	}
	if m.Regex != "" {
		r.regex = c.regex(".match.regex", m.Regex)
	}
	for j, h := range m.Headers {
		at := fmt.Sprintf(".match.headers[%d]", j)
		if h.Name == "" {
			c.fail("%s.name: is empty; write the name of a header field", at)
		}
		f := fieldMatch{part: partOf(h.Name), name: h.Name, value: h.Value, any: h.Value == ".*"}
		if h.Regex && !f.any {
			f.regex = c.regex(at+".value", h.Value)
		}
		r.fields = append(r.fields, f)
	}
	c.action(r, cfg)
	return r
}

// regex compiles an expression for a whole value.
func (c *compiler) regex(at, expr string) *regexp.Regexp {
	// By itself first: a stray parenthesis must not pair with ours.
	if _, err := regexp.Compile(expr); err != nil {
		c.fail("%s: %q is not a regular expression (RE2): %w", at, expr, err)
		return nil
	}
	re, err := regexp.Compile(`\A(?:` + expr + `)\z`)
	if err != nil {
		c.fail("%s: %q cannot be applied to a whole value: %w", at, expr, err)
	}
	return re
}

func (c *compiler) action(r *route, cfg *config.Route) {
	switch {
	case cfg.Route != nil && cfg.DirectResponse != nil:
		c.fail(": has both route and direct_response; leave out one")
	case cfg.DirectResponse != nil:
		d := cfg.DirectResponse
		if d.Status < 200 || d.Status > 599 {
			c.fail(".direct_response.status: is %d, want 200 to 599", d.Status)
		}
		r.direct = &direct{status: d.Status, body: d.Body}
	case cfg.Route == nil:
		c.fail(": has neither route nor direct_response; say what to do with the request")
	default:
		a := cfg.Route
		if a.ClusterName == "" {
			c.fail(".route.cluster_name: is empty; name a cluster")
		}
		if a.Timeout < 0 {
			c.fail(".route.timeout: is %v, want a time above 0, or 0 for the default of %v", a.Timeout, config.DefaultRouteTimeout)
		}
		r.cluster, r.protocol, r.timeout = a.ClusterName, a.UpstreamProtocol, a.Timeout
		if r.timeout == 0 {
			r.timeout = config.DefaultRouteTimeout
		}
	}
}
