package headertometadata

import (
	"context"
	"fmt"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/variable"
)

// Name is the type by which a configuration asks for the filter.
const Name = "header_to_metadata"

// Spec returns the filter's row for the table.
func Spec() filter.Spec {
	return filter.Spec{Name: Name, Place: filter.BeforeRoute, New: newFilter}
}

// Config holds the rules, which are applied in their order: of a label that
// several of them set, the last counts.
type Config struct {
	RequestRules []Rule `json:"request_rules" doc:"Rules, applied in this order; of a label that several set the last counts."`
}

// Rule says what becomes of a header field.
type Rule struct {
	Header    string `json:"header" doc:"Name of the header field; of one that is repeated the first counts."`
	OnPresent *Label `json:"on_header_present" doc:"Label for requests that have the field."`
	OnMissing *Label `json:"on_header_missing" doc:"Label for requests that do not have it."`
	Remove    bool   `json:"remove" doc:"Remove the field from the request afterwards."`
}

// Label is a label that the host must have.
type Label struct {
	Key   string `json:"key" doc:"The label."`
	Value string `json:"value" doc:"Its value. Default, if the field is there: the value of the field."`
}

// rule is a Rule, compiled. Labels are in the form of variable.EncodeMeta.
type rule struct {
	header  string
	get     variable.Getter
	key     string // label that gets the field's value; "" is none
	present string // label if the field is there; "" is none
	missing string // label if it is not; "" is none
	remove  bool
}

func newFilter(env filter.Env, src map[string]any) (stream.Filter, error) {
	rules, err := compile(env, src)
	if err != nil {
		return nil, err
	}
	return func(next stream.Handler) stream.Handler {
		return stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			apply(rules, req)
			return next.Handle(ctx, req)
		})
	}, nil
}

func compile(env filter.Env, src map[string]any) ([]rule, error) {
	var cfg Config
	warnings, err := decode.Into(&cfg, src, env.Path)
	if err != nil {
		return nil, decode.AsProblems(err, env.Path)
	}
	var problems decode.Problems
	fail := func(path, remedy, format string, args ...any) {
		problems = append(problems, decode.Problem{Path: path, Message: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	var rules []rule
	for i, r := range cfg.RequestRules {
		at := decode.At(decode.Join(env.Path, "request_rules"), i)
		switch {
		case r.Header == "":
			fail(at+".header", "name the header field", "the name is missing")
		case r.OnPresent == nil && r.OnMissing == nil && !r.Remove:
			fail(at, "add on_header_present, on_header_missing or remove", "the rule does nothing")
		case r.Remove && (strings.HasPrefix(r.Header, ":") || stream.EqualName(r.Header, "host")):
			fail(at+".remove", "leave remove out", "%s cannot be removed from a request", r.Header)
		}
		out := rule{header: r.Header, get: variable.Lookup("request_header_" + r.Header), remove: r.Remove}
		if l := r.OnPresent; l != nil {
			if l.Key == "" {
				fail(at+".on_header_present.key", "name the label", "the key is missing")
			}
			if out.present = encode(l.Key, l.Value); l.Value == "" {
				out.key, out.present = l.Key, ""
			}
		}
		if l := r.OnMissing; l != nil {
			if l.Key == "" {
				fail(at+".on_header_missing.key", "name the label", "the key is missing")
			}
			out.missing = encode(l.Key, l.Value)
		}
		rules = append(rules, out)
	}
	if len(rules) == 0 && len(problems) == 0 {
		warnings = append(warnings, decode.Problem{Path: env.Path, Message: "has no effect: there are no request_rules"})
	}
	if len(problems) == 0 && env.Log != nil {
		for _, w := range warnings {
			env.Log.Warn("a filter's configuration is not what it seems", "warning", w.String())
		}
	}
	return rules, problems.Err()
}

func encode(key, value string) string {
	return variable.EncodeMeta([]stream.Label{{Key: key, Value: value}})
}

// apply notes the labels of a request.
func apply(rules []rule, req *stream.Request) {
	before, _ := req.Vars.Get(variable.RouterMeta)
	meta := before
	for i := range rules {
		r := &rules[i]
		value, ok := r.get(req)
		label := r.missing
		if ok {
			if label = r.present; r.key != "" {
				label = encode(r.key, value)
			}
			if r.remove {
				req.Header.Del(r.header)
			}
		}
		switch {
		case label == "":
		case meta == "":
			meta = label
		default:
			meta += "," + label
		}
	}
	if meta != before {
		req.Vars.Set(variable.RouterMeta, meta)
	}
}
