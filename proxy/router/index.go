package router

import (
	"slices"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/variable"
)

// index finds the first route of a list whose conditions hold. Every route is
// filed under one of its conditions; only those that are filed under something
// the request has are looked at.
type index struct {
	routes   []*route
	paths    foldMap[[]int32]
	prefixes prefixTree
	// values are the routes filed under a value of a part of the request,
	// fields those under a value of a header field, by the field's name.
	values [partCount]byText
	fields foldMap[*named]
	// fieldNames is how many names are in fields.
	fieldNames int
	// lengths has bit n set if a name in fields has n bytes, or bit 63 if
	// one has more: most fields of a request are passed over by it.
	lengths uint64
	// query are the routes filed under a value of a query parameter, by name.
	query map[string]*named
	// variables are the routes filed under a value of a variable: tables have
	// many values, but few names.
	variables []variableRoutes
	// rest are the routes that have no condition to be filed under.
	rest []int32
}

// byText holds routes, ascending, by the text that they are filed under.
type byText map[string][]int32

func (m *byText) add(text string, route int32) {
	if *m == nil {
		*m = make(byText)
	}
	(*m)[text] = append((*m)[text], route)
}

// named are the routes filed under values of what has one name. Where a
// request repeats the name, only the first value counts: with the number its
// index notes that it was there, or a request of nothing but one name would
// have a route looked at as often as that.
type named struct {
	number int
	values byText
}

// maxNames is how many names an index has numbers for.
const maxNames = 256

// seen holds the numbers of names that a request has had.
type seen [maxNames / 64]uint64

// first notes a number and reports whether it is new.
func (s *seen) first(number int) bool {
	word, bit := &s[number/64], uint64(1)<<(number%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

// variableRoutes are the routes filed under values of one variable.
type variableRoutes struct {
	name   string
	get    variable.Getter
	values byText
}

// condition is what a route can be filed under.
type condition struct {
	kind  conditionKind
	part  part
	name  string
	value string
}

type conditionKind uint8

const (
	byNothing conditionKind = iota
	byPath
	byPrefix
	byValue
	byQuery
	byVariable
)

// newIndex indexes routes. Each is filed under the one of its conditions that
// the fewest routes share, so that a thousand routes with the prefix "/" that
// differ in a header field do not stand in one line.
func newIndex(routes []*route) *index {
	x := &index{routes: routes, paths: make(foldMap[[]int32]), fields: make(foldMap[*named])}
	shared := make(map[condition]int)
	for _, r := range routes {
		for c := range r.match.exact {
			shared[c]++
		}
	}
	for i, r := range routes {
		var best condition
		for c := range r.match.exact {
			if best.kind == byNothing || shared[c] < shared[best] {
				best = c
			}
		}
		x.file(best, int32(i))
	}
	return x
}

// exact iterates over the conditions that a route can be filed under.
func (c *conditions) exact(yield func(condition) bool) {
	if c.path != "" && !yield(condition{kind: byPath, value: lower(c.path)}) ||
		c.prefix != "" && !yield(condition{kind: byPrefix, value: c.prefix}) {
		return
	}
	for _, m := range c.fields {
		if m.exact() && !yield(condition{kind: byValue, part: m.part, name: lower(m.name), value: m.value}) {
			return
		}
	}
	for _, m := range c.query {
		if m.exact() && !yield(condition{kind: byQuery, name: m.name, value: m.value}) {
			return
		}
	}
	if len(c.variables) != 1 {
		return // alternatives: none of them must hold
	}
	for _, m := range c.variables[0] {
		if m.value != "" && !yield(condition{kind: byVariable, name: m.name, value: m.value}) {
			return
		}
	}
}

func (x *index) file(c condition, route int32) {
	switch {
	case c.kind == byPath:
		at := x.paths.at(c.value)
		*at = append(*at, route)
	case c.kind == byPrefix:
		x.prefixes.add(c.value, route)
	case c.kind == byValue && c.part != partHeader:
		x.values[c.part].add(c.value, route)
	case c.kind == byValue, c.kind == byQuery:
		n := x.named(c)
		if n == nil {
			x.rest = append(x.rest, route)
			return
		}
		n.values.add(c.value, route)
	case c.kind == byVariable:
		i := slices.IndexFunc(x.variables, func(v variableRoutes) bool { return v.name == c.name })
		if i < 0 {
			i = len(x.variables)
			x.variables = append(x.variables, variableRoutes{name: c.name, get: variable.Lookup(c.name)})
		}
		x.variables[i].values.add(c.value, route)
	default:
		x.rest = append(x.rest, route)
	}
}

// named returns where routes are filed under the name of a header field or query
// parameter; nil if there are too many names.
func (x *index) named(c condition) *named {
	if c.kind == byQuery {
		if x.query == nil {
			x.query = make(map[string]*named)
		}
		if x.query[c.name] == nil && len(x.query) < maxNames {
			x.query[c.name] = &named{number: len(x.query)}
		}
		return x.query[c.name]
	}
	if n := x.fields.get(c.name); n != nil || x.fieldNames == maxNames {
		return n
	}
	n := &named{number: x.fieldNames}
	x.fieldNames++
	x.lengths |= lengthBit(c.name)
	*x.fields.at(c.name) = n
	return n
}

func lengthBit(name string) uint64 { return 1 << min(len(name), 63) }

// match returns the first route whose conditions all hold, or nil.
func (x *index) match(req *stream.Request) *route {
	if n := x.next(0, req); n < len(x.routes) {
		return x.routes[n]
	}
	return nil
}

// next returns the number of the first route, from that of number least on, whose
// conditions all hold; that of no route if there is none.
func (x *index) next(least int, req *stream.Request) int {
	from, best := int32(least), int32(len(x.routes))
	if len(x.paths) > 0 {
		best = x.first(x.paths.get(req.Path), from, best, req)
	}
	path := req.Path
	for n := x.prefixes.child(path); n != nil; n = n.child(path) {
		path = path[len(n.text):]
		best = x.first(n.routes, from, best, req)
	}
	for p := range x.values {
		if values := x.values[p]; values != nil {
			if value, ok := part(p).of(req, ""); ok {
				best = x.first(values[value], from, best, req)
			}
		}
	}
	if x.lengths != 0 {
		var had seen
		for i := range req.Header.Len() {
			if f := req.Header.At(i); x.lengths&lengthBit(f.Name) != 0 {
				if n := x.fields.get(f.Name); n != nil && had.first(n.number) {
					best = x.first(n.values[f.Value], from, best, req)
				}
			}
		}
	}
	if x.query != nil {
		var had seen
		for name, value := range variable.QueryArgs(req.Query) {
			if n := x.query[name]; n != nil && had.first(n.number) {
				best = x.first(n.values[value], from, best, req)
			}
		}
	}
	for i := range x.variables {
		if value, ok := x.variables[i].get(req); ok {
			best = x.first(x.variables[i].values[value], from, best, req)
		}
	}
	best = x.first(x.rest, from, best, req)
	return int(best)
}

// first returns the first of the candidates that comes before best, and not before
// from, and whose conditions all hold; else best. Candidates ascend.
func (x *index) first(candidates []int32, from, best int32, req *stream.Request) int32 {
	if from > 0 {
		before, _ := slices.BinarySearch(candidates, from)
		candidates = candidates[before:]
	}
	for _, i := range candidates {
		if i >= best {
			break
		}
		if x.routes[i].match.hold(req) {
			return i
		}
	}
	return best
}
