package router

import (
	"regexp"
	"strings"

	"github.com/ottavo-runtime/ottavo/proxy/expression"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/variable"
)

// conditions are what a route asks of a request. All of them must hold.
type conditions struct {
	prefix, path string
	regex        *regexp.Regexp
	fields       []fieldMatch
	query        []queryMatch
	// variables are alternatives: in one of the lists, all must hold. nil: nothing is asked.
	variables   [][]variableMatch
	expressions []*expression.Program
}

// hold reports whether all conditions hold.
func (c *conditions) hold(req *stream.Request) bool {
	if !strings.HasPrefix(req.Path, c.prefix) ||
		c.path != "" && !stream.EqualName(req.Path, c.path) ||
		c.regex != nil && !c.regex.MatchString(req.Path) {
		return false
	}
	for i := range c.fields {
		if !c.fields[i].holds(req) {
			return false
		}
	}
	for i := range c.query {
		if !c.query[i].holds(req) {
			return false
		}
	}
	if c.variables != nil && !anyHolds(c.variables, req) {
		return false
	}
	for _, e := range c.expressions {
		// What cannot be said of a request is not true of it.
		if is, err := e.True(req); err != nil || !is {
			return false
		}
	}
	return true
}

// wanted is what a value has to be.
type wanted struct {
	value string
	regex *regexp.Regexp // instead of value
	any   bool           // any value will do
}

func (w *wanted) is(value string) bool {
	switch {
	case w.any:
		return true
	case w.regex != nil:
		return w.regex.MatchString(value)
	}
	return value == w.value
}

// exact reports whether one certain value is wanted.
func (w *wanted) exact() bool { return !w.any && w.regex == nil }

// fieldMatch is a condition on a header field, or on a part of the request
// that goes by the name of one. Of a field that is repeated, the first counts.
type fieldMatch struct {
	part part
	name string
	wanted
}

func (m *fieldMatch) holds(req *stream.Request) bool {
	value, ok := m.part.of(req, m.name)
	return ok && m.is(value)
}

// part says where a value comes from.
type part uint8

const (
	partHeader part = iota // a header field
	partMethod
	partHost
	partPath
	partCount
)

// partOf returns the part of a request that a header name stands for. HTTP/2
// and MOSN have names for parts that are no header fields; the Host field of
// HTTP/1 is taken out of the header by the protocol server.
func partOf(name string) part {
	switch lower(name) {
	case "method", ":method", "x-mosn-method":
		return partMethod
	case "host", ":authority", "x-mosn-host":
		return partHost
	case ":path", "x-mosn-path":
		return partPath
	}
	return partHeader
}

// of returns the value of the part, and whether there is one.
func (p part) of(req *stream.Request, name string) (string, bool) {
	switch p {
	case partMethod:
		return req.Method, req.Method != ""
	case partHost:
		return req.Authority, req.Authority != ""
	case partPath:
		return req.Path, req.Path != ""
	}
	return req.Header.Lookup(name)
}

// queryMatch is a condition on a query parameter, decoded. Of one that is
// repeated, the first counts.
type queryMatch struct {
	name string
	wanted
}

func (m *queryMatch) holds(req *stream.Request) bool {
	value, ok := variable.QueryArg(req.Query, m.name)
	return ok && m.is(value)
}

// variableMatch is a condition on a variable. One without a value does not match.
type variableMatch struct {
	name string
	get  variable.Getter
	// value is compared unless it is "", regex unless it is nil.
	value string
	regex *regexp.Regexp
}

func (m *variableMatch) holds(req *stream.Request) bool {
	value, ok := m.get(req)
	return ok && (m.value == "" || value == m.value) && (m.regex == nil || m.regex.MatchString(value))
}

// anyHolds reports whether all conditions of one of the lists hold.
func anyHolds(lists [][]variableMatch, req *stream.Request) bool {
next:
	for _, list := range lists {
		for i := range list {
			if !list[i].holds(req) {
				continue next
			}
		}
		return true
	}
	return false
}
