package router

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
)

// Options are what a Table needs besides its configuration. With the zero value
// a configuration can be checked, but no request be handled.
type Options struct {
	// Backends are the clusters.
	Backends Backends
	// Usable reports whether a cluster is there and has hosts that can be used; nil:
	// they all are and have. Only choosers ask.
	Usable func(cluster string) bool
	// Chooser chooses among the routes that take a request; the zero value takes
	// the first.
	Chooser Chooser
	// FilterConfig makes what a route has to say to filters of a type
	// (per_filter_config, which stands at path) from its configuration. An error
	// of it is of type decode.Problems, or is about the whole of path. nil: the
	// configuration is passed on as it is.
	FilterConfig func(filterType string, config any, path string) (any, error)
	// Random returns random numbers, concurrently too: they decide where the
	// turns of weighted clusters begin, and become the values of cookies. nil:
	// such as nobody can foresee.
	Random func() uint64
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
	if opts.Random == nil {
		opts.Random = rand.Uint64
	}
	t.random = opts.Random
	t.chooser, t.usable = opts.Chooser.Choose, opts.Usable
	if t.usable == nil {
		t.usable = func(string) bool { return true }
	}
	c := compiler{opts: opts}
	t.request = c.changes(&cfg.HeaderChanges, requestSide, path)
	t.response = c.changes(&cfg.HeaderChanges, responseSide, path)
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
	vh := &virtualHost{
		name:     cfg.Name,
		tls:      c.tlsDemand(cfg.RequireTLS, path),
		request:  c.changes(&cfg.HeaderChanges, requestSide, path),
		response: c.changes(&cfg.HeaderChanges, responseSide, path),
	}
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
	filters := c.filters(cfg.PerFilterConfig, path)
	routes := make([]*route, len(cfg.Routes))
	for j := range cfg.Routes {
		routes[j] = c.route(j, &cfg.Routes[j], filters, decode.At(path+".routers", j))
	}
	vh.routes = newIndex(routes)
}

// route compiles a route; filters is what its virtual host has to say to filters.
func (c *compiler) route(i int, cfg *config.Route, filters map[string]any, path string) *route {
	r := &route{name: cfg.Name, match: c.conditions(&cfg.Match, path+".match")}
	if r.name == "" {
		r.name = fmt.Sprintf("routers[%d]", i)
	}
	actions := 0
	if cfg.Route != nil {
		actions++
		r.forward = c.forward(cfg, filters, path)
		r.response = c.changes(&cfg.Route.HeaderChanges, responseSide, path+".route")
	}
	if cfg.Redirect != nil {
		actions++
		r.redirect = c.redirect(cfg.Redirect, path+".redirect")
	}
	if d := cfg.DirectResponse; d != nil {
		actions++
		if d.Status < 200 || d.Status > 599 {
			c.fail(path+".direct_response.status", "", "must be from 200 to 599, is %d", d.Status)
		}
		r.direct = &direct{status: d.Status, body: d.Body}
	}
	switch actions {
	case 0:
		c.fail(path, "add route: {cluster_name: …}, redirect: {…} or direct_response: {status: …}", "the route does not say what happens with a request")
	case 1:
	default:
		c.fail(path, "keep one of them", "the route has more than one of route, redirect and direct_response")
	}
	r.response = append(r.response, c.changes(&cfg.HeaderChanges, responseSide, path)...)
	return r
}
