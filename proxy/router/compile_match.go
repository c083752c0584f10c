package router

import (
	"regexp"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/expression"
	"github.com/ottavo-runtime/ottavo/proxy/variable"
)

func (c *compiler) conditions(m *config.Match, path string) conditions {
	out := conditions{prefix: m.Prefix, path: m.Path}
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
		out.regex = c.regex(path+".regex", m.Regex)
	}
	for i, h := range m.Headers {
		at := decode.At(path+".headers", i)
		if h.Name == "" {
			c.fail(at+".name", "name the header field", "the name is missing")
		}
		out.fields = append(out.fields, fieldMatch{part: partOf(h.Name), name: h.Name, wanted: c.wanted(&h, at)})
	}
	for i, q := range m.QueryParameters {
		at := decode.At(path+".query_parameters", i)
		if q.Name == "" {
			c.fail(at+".name", "name the query parameter", "the name is missing")
		}
		out.query = append(out.query, queryMatch{name: q.Name, wanted: c.wanted(&q, at)})
	}
	out.variables = c.variables(m.Variables, path+".variables")
	for i, e := range m.DSLExpressions {
		p, err := expression.Compile(e.Expression)
		if err != nil {
			c.fail(decode.At(path+".dsl_expressions", i)+".expression", "", "%v", err)
			continue
		}
		out.expressions = append(out.expressions, p)
	}
	return out
}

func (c *compiler) wanted(m *config.HeaderMatch, path string) wanted {
	w := wanted{value: m.Value, any: m.Value == ".*"}
	if m.Regex && !w.any {
		w.regex = c.regex(path+".value", m.Value)
	}
	return w
}

// variables divides conditions, each of which says how it is joined with the
// next, into alternatives.
func (c *compiler) variables(list []config.VariableMatch, path string) [][]variableMatch {
	var all [][]variableMatch
	var current []variableMatch
	for i, v := range list {
		at := decode.At(path, i)
		m := variableMatch{name: v.Name, get: variable.Lookup(v.Name), value: v.Value}
		switch variable.Known(v.Name) {
		case variable.OfRoute, variable.OfHost, variable.OfRecord:
			c.warn(at+".name", "choose one that the request has", "the variable %q has no value before a route is chosen, unless a filter sets it", v.Name)
		}
		if v.Name == "" {
			c.fail(at+".name", "name the variable", "the name is missing")
		}
		if v.Regex != "" {
			m.regex = c.regex(at+".regex", v.Regex)
		} else if v.Value == "" {
			c.fail(at, "add value or regex", "the condition does not say what the variable should be")
		}
		current = append(current, m)
		switch strings.ToLower(v.Model) {
		case "", "and":
		case "or":
			if i < len(list)-1 {
				all = append(all, current)
				current = nil
			}
		default:
			c.fail(at+".model", "known: and, or", "unknown model %q", v.Model)
		}
	}
	if current != nil {
		all = append(all, current)
	}
	return all
}

// regexSyntax is where to read how a regular expression is written.
const regexSyntax = "the syntax is RE2's: https://github.com/google/re2/wiki/Syntax"

// regex compiles an expression that has to match a part of a value at least;
// nil if it cannot be.
func (c *compiler) regex(path, expr string) *regexp.Regexp {
	re, err := regexp.Compile(expr)
	if err != nil {
		c.fail(path, regexSyntax, "%q is no regular expression: %v", expr, err)
		return nil
	}
	return re
}
