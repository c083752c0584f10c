package router

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Chooser is a way to choose among the routes of a virtual host that take a
// request.
type Chooser struct {
	// Name is what configurations call it: router_handler_name.
	Name string
	// Choose returns one of routes, which come in the order of the configuration
	// and are looked for as they are asked for: the first costs what finding a
	// route always costs. There may be none. ok is false where none is to be
	// taken: the request is answered as one without a route. It must not block, and is
	// safe for concurrent use. nil: the first.
	Choose func(req *stream.Request, routes iter.Seq[Candidate]) (c Candidate, ok bool)
}

// BuiltinChoosers returns the choosers of this package, the default first:
//
//   - "default" takes the first route;
//   - "usable" takes the first by which a request gets somewhere (Candidate.Usable),
//     else the first.
func BuiltinChoosers() []Chooser {
	return []Chooser{{Name: "default"}, {Name: "usable", Choose: chooseUsable}}
}

func chooseUsable(req *stream.Request, routes iter.Seq[Candidate]) (first Candidate, ok bool) {
	for c := range routes {
		if c.Usable(req) {
			return c, true
		}
		if !ok {
			first, ok = c, true
		}
	}
	return first, ok
}

// Choosers list choosers by name. They do not change.
type Choosers struct {
	byName map[string]Chooser
	first  Chooser
}

// NewChoosers makes a list, of which the first is what holds where none is named.
// A name that is listed twice is an error.
func NewChoosers(list ...Chooser) (*Choosers, error) {
	c := &Choosers{byName: make(map[string]Chooser, len(list))}
	for i, one := range list {
		if _, dup := c.byName[one.Name]; dup {
			return nil, fmt.Errorf("router: the chooser %q is listed twice", one.Name)
		}
		c.byName[one.Name] = one
		if i == 0 {
			c.first = one
		}
	}
	return c, nil
}

// Names returns the names of all choosers, sorted.
func (c *Choosers) Names() []string { return slices.Sorted(maps.Keys(c.byName)) }

// Lookup returns the chooser of that name; for "" it is the default.
func (c *Choosers) Lookup(name string) (Chooser, bool) {
	if name == "" {
		return c.first, true
	}
	one, ok := c.byName[name]
	return one, ok
}

// Candidate is a route that takes a request.
type Candidate struct {
	table *Table
	route *route
}

// Name returns the route's name, as records have it.
func (c Candidate) Name() string { return c.route.name }

// Clusters returns the names of the clusters that the configuration of the route
// names; there are none if it answers requests itself, or if the request says it all.
func (c Candidate) Clusters() []string {
	f := c.route.forward
	switch {
	case f == nil:
		return nil
	case f.weighted != nil:
		var names []string
		for _, s := range f.weighted.clusters {
			names = append(names, s.name)
		}
		return names
	case f.cluster == "":
		return nil
	}
	return []string{f.cluster}
}

// Usable reports whether a request by the route gets somewhere: it is answered
// here, or a cluster that it may go to is there and has a host that can be used.
func (c Candidate) Usable(req *stream.Request) bool {
	f := c.route.forward
	switch {
	case f == nil:
		return true
	case f.weighted != nil:
		return slices.ContainsFunc(f.weighted.clusters, func(s share) bool { return c.table.usable(s.name) })
	}
	name, _, _ := f.choose(req)
	return c.table.usable(name)
}

// candidates are the routes of a virtual host that take a request.
func (t *Table) candidates(vh *virtualHost, req *stream.Request) iter.Seq[Candidate] {
	return func(yield func(Candidate) bool) {
		routes := vh.routes.routes
		for n := vh.routes.next(0, req); n < len(routes); n = vh.routes.next(n+1, req) {
			if !yield(Candidate{t, routes[n]}) {
				return
			}
		}
	}
}

// choose returns the route of a virtual host for the request, or nil.
func (t *Table) choose(vh *virtualHost, req *stream.Request) *route {
	if t.chooser == nil {
		return vh.routes.match(req)
	}
	c, ok := t.chooser(req, t.candidates(vh, req))
	if !ok {
		return nil
	}
	return c.route
}
