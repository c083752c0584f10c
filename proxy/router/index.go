package router

import "github.com/ottavo-runtime/ottavo/proxy/stream"

// index finds the first route of a list whose conditions hold. Every route is
// filed under one of its conditions; only those that are filed under something
// the request has are looked at.
type index struct {
	routes   []*route
	paths    foldMap[[]int32]
	prefixes prefixTree
	// values are the routes filed under a value of a part of the request,
	// fields those under a value of a header field, by the field's name.
	values [partCount]map[string][]int32
	fields foldMap[map[string][]int32]
	// lengths has bit n set if a name in fields has n bytes, or bit 63 if
	// one has more: most fields of a request are passed over by it.
	lengths uint64
	// rest are the routes that have no condition to be filed under.
	rest []int32
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
)

// newIndex indexes routes. Each is filed under the one of its conditions that
// the fewest routes share, so that a thousand routes with the prefix "/" that
// differ in a header field do not stand in one line.
func newIndex(routes []*route) *index {
	x := &index{routes: routes, paths: make(foldMap[[]int32]), fields: make(foldMap[map[string][]int32])}
	shared := make(map[condition]int)
	for _, r := range routes {
		for c := range r.conditions {
			shared[c]++
		}
	}
	for i, r := range routes {
		var best condition
		for c := range r.conditions {
			if best.kind == byNothing || shared[c] < shared[best] {
				best = c
			}
		}
		x.file(best, int32(i))
	}
	return x
}

// conditions iterates over what the route can be filed under.
func (r *route) conditions(yield func(condition) bool) {
	if r.path != "" && !yield(condition{kind: byPath, value: lower(r.path)}) ||
		r.prefix != "" && !yield(condition{kind: byPrefix, value: r.prefix}) {
		return
	}
	for _, m := range r.fields {
		if m.exact() && !yield(condition{kind: byValue, part: m.part, name: lower(m.name), value: m.value}) {
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
	case c.kind == byValue && c.part == partHeader:
		x.lengths |= lengthBit(c.name)
		fileValue(x.fields.at(c.name), c.value, route)
	case c.kind == byValue:
		fileValue(&x.values[c.part], c.value, route)
	default:
		x.rest = append(x.rest, route)
	}
}

func fileValue(values *map[string][]int32, value string, route int32) {
	if *values == nil {
		*values = make(map[string][]int32)
	}
	(*values)[value] = append((*values)[value], route)
}

func lengthBit(name string) uint64 { return 1 << min(len(name), 63) }

// match returns the first route whose conditions all hold, or nil.
func (x *index) match(req *stream.Request) *route {
	best := int32(len(x.routes))
	if len(x.paths) > 0 {
		best = x.first(x.paths.get(req.Path), best, req)
	}
	path := req.Path
	for n := x.prefixes.child(path); n != nil; n = n.child(path) {
		path = path[len(n.text):]
		best = x.first(n.routes, best, req)
	}
	for p := range x.values {
		if values := x.values[p]; values != nil {
			if value, ok := part(p).of(req, ""); ok {
				best = x.first(values[value], best, req)
			}
		}
	}
	if x.lengths != 0 {
		for i := range req.Header.Len() {
			if f := req.Header.At(i); x.lengths&lengthBit(f.Name) != 0 {
				best = x.first(x.fields.get(f.Name)[f.Value], best, req)
			}
		}
	}
	best = x.first(x.rest, best, req)
	if int(best) == len(x.routes) {
		return nil
	}
	return x.routes[best]
}

// first returns the first of the candidates that comes before best and whose
// conditions all hold; else best. Candidates ascend.
func (x *index) first(candidates []int32, best int32, req *stream.Request) int32 {
	for _, i := range candidates {
		if i >= best {
			break
		}
		if x.routes[i].holds(req) {
			return i
		}
	}
	return best
}
