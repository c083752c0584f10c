package transcoder

import (
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/variable"
)

// DefaultMaxBody is the longest body that is converted, in bytes, unless the
// configuration says otherwise.
const DefaultMaxBody = 4 << 20

// Config says which requests are converted, and how. A route's takes the place of
// the listener's as a whole: an empty one means that nothing is converted there.
type Config struct {
	Type    string         `json:"type" doc:"Converter for all requests, or for those of rules that name none."`
	Rules   []Rule         `json:"rules" doc:"The first rule counts that matches a request and takes its protocol. Others pass as they are."`
	Trans   map[string]any `json:"trans" doc:"Options of the converter, for rules that have no config; and receiver_phase: 1 (default) converts once the route is known, 0 before it is chosen. 2 is taken for 1."`
	MaxBody int64          `json:"max_body_size" min:"1" max:"1073741824" default:"4194304" doc:"Longest body in bytes, of request and answer, as each is sent and as it is received."`
}

// Rule says for which requests there is a converter.
type Rule struct {
	Matcher *Matcher `json:"matcher_config" doc:"Which requests are meant. Default: all."`
	Macther *Matcher `json:"macther_config" doc:"matcher_config, as MOSN spells it."`
	Info    Info     `json:"rule_info" doc:"What is done with them."`
}

// Matcher says which requests a rule is for.
type Matcher struct {
	Type   string         `json:"matcher_type" doc:"simpleMatcher (default) matches all requests, headers those with certain header fields."`
	Config map[string]any `json:"config" doc:"Of headers: headers, a list of name, value and regex, as in a route's match. Of simpleMatcher: nothing."`
}

// headers are the options of the matcher of that name.
type headers struct {
	Headers []config.HeaderMatch `json:"headers"`
}

// Info says what is done with the requests of a rule.
type Info struct {
	Type        string         `json:"type" doc:"Converter. Default: the filter's type, else the one that leads to upstream_protocol."`
	Protocol    string         `json:"upstream_protocol" doc:"Protocol of the hosts; one that the converter can lead to. Default: the route's or listener's, if it is one of them, else the converter's first."`
	SubProtocol string         `json:"upstream_sub_protocol" doc:"The protocol, where upstream_protocol is MOSN's X."`
	Description string         `json:"description" doc:"For people."`
	Config      map[string]any `json:"config" doc:"Options of the converter."`
}

// phases of MOSN's, and where a filter stands for them.
const (
	beforeRoute = 0
	afterRoute  = 1
	perHost     = 2
)

// rules are a Config, compiled. They do not change.
type rules struct {
	list  []rule
	limit int64
	phase int
}

// rule is a rule, compiled.
type rule struct {
	fields     []field
	converters []ready
}

// ready is a converter that can be used.
type ready struct {
	from, to   []string
	conversion Conversion // nil: the core converts by itself
}

// field is a condition on a header field.
type field struct {
	get   variable.Getter
	value string
	any   bool
	regex *regexp.Regexp
}

// find returns the converter for a request, nil if there is none.
func (r *rules) find(req *stream.Request) *ready {
	for i := range r.list {
		if !r.list[i].matches(req) {
			continue
		}
		for k := range r.list[i].converters {
			if c := &r.list[i].converters[k]; contains(c.from, req.Protocol) {
				return c
			}
		}
	}
	return nil
}

func (r *rule) matches(req *stream.Request) bool {
	for i := range r.fields {
		f := &r.fields[i]
		v, ok := f.get(req)
		if !ok || !f.any && f.regex == nil && v != f.value || f.regex != nil && !f.regex.MatchString(v) {
			return false
		}
	}
	return true
}

// compiler collects what is wrong.
type compiler struct {
	table    table
	problems decode.Problems
	warnings decode.Problems
}

func (c *compiler) fail(path, remedy, format string, args ...any) {
	c.problems = append(c.problems, decode.Problem{Path: path, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

// into decodes src; what has no effect is a mistake.
func (c *compiler) into(dst, src any, path string) {
	c.problems = append(c.problems, decode.AsProblems(into(dst, src, path), path)...)
}

func into(dst, src any, path string) error {
	decode.Defaults(dst)
	if m, ok := src.(map[string]any); src == nil || ok && len(m) == 0 {
		return nil
	}
	warnings, err := decode.Into(dst, src, path)
	return append(decode.AsProblems(err, path), warnings...).Err()
}

// compile makes rules of a configuration.
func (t table) compile(env filter.Env, src any) (*rules, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	c := &compiler{table: t}
	var cfg Config
	c.into(&cfg, src, env.Path)
	r := &rules{limit: cfg.MaxBody, phase: afterRoute}
	options := maps.Clone(cfg.Trans)
	if phase, ok := options["receiver_phase"]; ok {
		delete(options, "receiver_phase")
		at := decode.Join(decode.Join(env.Path, "trans"), "receiver_phase")
		var p struct {
			Phase int `json:"receiver_phase"`
		}
		c.into(&p, map[string]any{"receiver_phase": phase}, decode.Join(env.Path, "trans"))
		switch r.phase = p.Phase; p.Phase {
		case beforeRoute, afterRoute:
		case perHost:
			r.phase = afterRoute
			c.warnings = append(c.warnings, decode.Problem{
				Path: at, Message: "is taken for 1: the connection that is chosen with the host speaks the protocol already", Remedy: "write 1",
			})
		default:
			c.fail(at, "write 0 (before the route is chosen) or 1 (once it is)", "%d is no phase", p.Phase)
		}
	}
	trans := decode.Join(env.Path, "trans")
	switch {
	case len(cfg.Rules) > 0:
		for i := range cfg.Rules {
			c.rule(r, &cfg, &cfg.Rules[i], options, decode.At(decode.Join(env.Path, "rules"), i), trans)
		}
	case cfg.Type != "":
		if one, ok := c.named(cfg.Type, "", options, decode.Join(env.Path, "type"), "", trans); ok {
			r.list = append(r.list, rule{converters: []ready{one}})
		}
	case len(options) > 0:
		c.fail(trans, "name a type", "these are the options of no converter")
	}
	if err := c.problems.Err(); err != nil {
		return nil, err
	}
	if env.Log != nil {
		for _, w := range c.warnings {
			env.Log.Warn("a filter's configuration is not what it seems", "warning", w.String())
		}
	}
	return r, nil
}

// rule compiles a rule. options stand at trans, and count for rules without any.
func (c *compiler) rule(to *rules, cfg *Config, src *Rule, options map[string]any, path, trans string) {
	m, at := src.Matcher, decode.Join(path, "matcher_config")
	if src.Macther != nil {
		if m != nil {
			c.fail(decode.Join(path, "macther_config"), "keep one", "matcher_config says it as well")
		}
		m, at = src.Macther, decode.Join(path, "macther_config")
	}
	var r rule
	if m != nil {
		r.fields = c.matcher(m, at)
	}
	info, at := &src.Info, decode.Join(path, "rule_info")
	protocol, protocolAt := info.Protocol, decode.Join(at, "upstream_protocol")
	if strings.EqualFold(protocol, "X") || protocol == "" && info.SubProtocol != "" {
		protocol, protocolAt = info.SubProtocol, decode.Join(at, "upstream_sub_protocol")
	} else if info.SubProtocol != "" && !strings.EqualFold(info.SubProtocol, protocol) {
		c.fail(decode.Join(at, "upstream_sub_protocol"), "leave one out", "upstream_protocol is %q already", protocol)
	}
	optionsAt := trans
	if info.Config != nil {
		options, optionsAt = info.Config, decode.Join(at, "config")
	}
	name, nameAt := info.Type, decode.Join(at, "type")
	if name == "" {
		name = cfg.Type
	}
	switch {
	case name != "":
		if one, ok := c.named(name, protocol, options, nameAt, protocolAt, optionsAt); ok {
			r.converters = []ready{one}
		}
	case protocol == "":
		c.fail(at, "name a type ("+c.table.names()+") or an upstream_protocol", "the rule does nothing")
	case len(options) > 0:
		c.fail(optionsAt, "name the type of the converter, too: "+c.table.names(), "it is not said which converter has these options")
	default:
		r.converters = c.leading(protocol, protocolAt)
	}
	to.list = append(to.list, r)
}

// named makes the converter of that name, for hosts of a protocol, "" being any.
func (c *compiler) named(name, protocol string, options map[string]any, path, protocolPath, optionsPath string) (ready, bool) {
	conv, ok := c.table.find(name)
	if !ok {
		c.fail(path, "known: "+c.table.names(), "unknown converter %q", name)
		return ready{}, false
	}
	made := ready{from: conv.From, to: conv.To}
	if protocol != "" {
		if !contains(conv.To, protocol) {
			c.fail(protocolPath, "known: "+strings.Join(conv.To, ", "), "%s does not lead to %q", name, protocol)
			return ready{}, false
		}
		made.to = []string{protocol}
	}
	if conv.New == nil {
		if len(options) > 0 {
			c.fail(optionsPath, "leave them out", "%s has no options", name)
		}
		return made, true
	}
	var tree any
	if len(options) > 0 {
		tree = options
	}
	var err error
	if made.conversion, err = conv.New(tree, optionsPath); err != nil {
		c.problems = append(c.problems, decode.AsProblems(err, optionsPath)...)
		return ready{}, false
	}
	return made, true
}

// leading returns the converters that lead to a protocol, one for each that
// callers may speak.
func (c *compiler) leading(protocol, path string) []ready {
	var list []ready
	var known []string
	for _, conv := range c.table {
		for _, p := range conv.To {
			if !contains(known, p) {
				known = append(known, p)
			}
		}
		if contains(conv.To, protocol) {
			if made, ok := c.named(conv.Name, protocol, nil, path, path, path); ok {
				list = append(list, made)
			}
		}
	}
	if len(list) == 0 {
		c.fail(path, "known: "+strings.Join(known, ", "), "no converter leads to %q", protocol)
	}
	return list
}

// matcher compiles the conditions of a rule.
func (c *compiler) matcher(m *Matcher, path string) []field {
	at := decode.Join(path, "config")
	var h headers
	switch m.Type {
	case "", "simpleMatcher":
		if len(m.Config) > 0 {
			c.fail(at, "leave it out, or write matcher_type: headers", "simpleMatcher matches every request")
		}
		return nil
	case "headers":
		c.into(&h, m.Config, at)
	default:
		c.fail(decode.Join(path, "matcher_type"), "known: headers, simpleMatcher", "unknown matcher %q", m.Type)
		return nil
	}
	if len(h.Headers) == 0 && len(c.problems) == 0 {
		c.fail(at, "add headers", "there are no conditions")
	}
	var fields []field
	for i, match := range h.Headers {
		place := decode.At(decode.Join(at, "headers"), i)
		if match.Name == "" {
			c.fail(place+".name", "name the header field", "the name is missing")
			continue
		}
		f := field{get: variable.Lookup("request_header_" + match.Name), value: match.Value}
		switch {
		case match.Value == ".*":
			f.any = true
		case match.Regex:
			var err error
			if f.regex, err = regexp.Compile(match.Value); err != nil {
				c.fail(place+".value", "the syntax is RE2's: https://github.com/google/re2/wiki/Syntax", "%q is no regular expression: %v", match.Value, err)
			}
		}
		fields = append(fields, f)
	}
	return fields
}
