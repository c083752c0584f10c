package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/variable"
)

// Name is the type by which a configuration asks for the filter.
const Name = "fault"

// Spec returns the filter's row for the table.
func Spec() filter.Spec { return spec(rand.Float64) }

// spec makes the row with a source of numbers in [0, 1), which must be safe for
// concurrent use.
func spec(random func() float64) filter.Spec {
	return filter.Spec{
		Name:  Name,
		Place: filter.AfterRoute,
		New: func(env filter.Env, cfg map[string]any) (stream.Filter, error) {
			own, err := compile(env, cfg)
			if err != nil {
				return nil, err
			}
			return func(next stream.Handler) stream.Handler { return &handler{own, random, next} }, nil
		},
		Route: func(env filter.Env, cfg any) (any, error) {
			f, err := compile(env, cfg)
			if err != nil {
				return nil, err
			}
			return f, nil
		},
	}
}

// Config says which requests get a fault, and which. A route's takes the place
// of the listener's as a whole: an empty one means no faults there.
type Config struct {
	Delay           *Delay               `json:"delay" doc:"Hold requests up."`
	Abort           *Abort               `json:"abort" doc:"Answer requests with a status."`
	UpstreamCluster string               `json:"upstream_cluster" doc:"Only requests to this cluster. Default: to any."`
	Headers         []config.HeaderMatch `json:"headers" doc:"Only requests with these header fields. A field without value may have any; a regular expression need match a part of the value only; of a field that is repeated the first counts."`
}

// Delay holds requests up.
type Delay struct {
	Percentage *float64      `json:"percentage" min:"0" max:"100" doc:"Share of the requests in percent. Default 0."`
	FixedDelay time.Duration `json:"fixed_delay" min:"0" doc:"For how long; never beyond the end of the request's timeout."`
}

// Abort answers requests.
type Abort struct {
	Status     int      `json:"status" doc:"HTTP status of the answer, 200 to 599."`
	Percentage *float64 `json:"percentage" min:"0" max:"100" doc:"Share of the requests in percent. Default 0."`
}

// faults are a Config, compiled. They do not change.
type faults struct {
	delay   time.Duration
	delayed float64 // share of the requests, 0 to 1
	status  int
	aborted float64 // share of the requests, 0 to 1
	noted   string  // the status as text
	cluster string
	fields  []field
}

// field is a condition on a header field.
type field struct {
	get   variable.Getter
	value string         // "" is any
	regex *regexp.Regexp // instead of value
}

func compile(env filter.Env, src any) (*faults, error) {
	var cfg Config
	warnings, err := decode.Into(&cfg, src, env.Path)
	if err != nil {
		return nil, decode.AsProblems(err, env.Path)
	}
	var problems decode.Problems
	fail := func(path, remedy, format string, args ...any) {
		problems = append(problems, decode.Problem{Path: path, Message: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	share := func(key string, percent *float64) float64 {
		if percent == nil {
			warnings = append(warnings, decode.Problem{
				Path: decode.Join(env.Path, key), Message: "has no effect: there is no percentage", Remedy: "add percentage: 100 for all requests",
			})
			return 0
		}
		return *percent / 100
	}
	f := &faults{cluster: cfg.UpstreamCluster}
	if d := cfg.Delay; d != nil {
		f.delay, f.delayed = d.FixedDelay, share("delay", d.Percentage)
	}
	if a := cfg.Abort; a != nil {
		f.status, f.aborted, f.noted = a.Status, share("abort", a.Percentage), strconv.Itoa(a.Status)
		if a.Status < 200 || a.Status > 599 {
			fail(decode.Join(decode.Join(env.Path, "abort"), "status"), "write one from 200 to 599", "%d is no status that a request can be answered with", a.Status)
		}
	}
	for i, h := range cfg.Headers {
		at := decode.At(decode.Join(env.Path, "headers"), i)
		if h.Name == "" {
			fail(at+".name", "name the header field", "the name is missing")
			continue
		}
		m := field{get: variable.Lookup("request_header_" + h.Name), value: h.Value}
		switch {
		case h.Value == ".*":
			m.value = ""
		case h.Regex:
			m.regex, err = regexp.Compile(h.Value)
			if err != nil {
				fail(at+".value", "the syntax is RE2's: https://github.com/google/re2/wiki/Syntax", "%q is no regular expression: %v", h.Value, err)
			}
		}
		f.fields = append(f.fields, m)
	}
	if len(problems) == 0 && env.Log != nil {
		for _, w := range warnings {
			env.Log.Warn("a filter's configuration is not what it seems", "warning", w.String())
		}
	}
	return f, problems.Err()
}

// meant reports whether the request is one of those that may get a fault.
func (f *faults) meant(req *stream.Request) bool {
	if f.cluster != "" && f.cluster != req.Info.Cluster {
		return false
	}
	for i := range f.fields {
		if !f.fields[i].holds(req) {
			return false
		}
	}
	return true
}

func (m *field) holds(req *stream.Request) bool {
	v, ok := m.get(req)
	switch {
	case !ok:
		return false
	case m.regex != nil:
		return m.regex.MatchString(v)
	}
	return m.value == "" || m.value == v
}

type handler struct {
	own    *faults // the listener's
	random func() float64
	next   stream.Handler
}

// Handle implements stream.Handler.
func (h *handler) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	f := h.own
	if route, ok := req.Policy.Filter(Name).(*faults); ok {
		f = route
	}
	if f.delayed == 0 && f.aborted == 0 || !f.meant(req) {
		return h.next.Handle(ctx, req)
	}
	if f.delay > 0 && h.random() < f.delayed {
		if err := wait(ctx, req, f.delay); err != nil {
			return nil, err
		}
	}
	if h.random() < f.aborted {
		req.Vars.Set(variable.HijackStatus, f.noted)
		if req.OneWay {
			return stream.NoResponse, nil
		}
		return &stream.Response{Status: f.status}, nil
	}
	return h.next.Handle(ctx, req)
}

// wait returns after d, with an error if the exchange is over before.
func wait(ctx context.Context, req *stream.Request, d time.Duration) error {
	const op = "wait as the filter " + Name + " demands"
	late := false
	if !req.Deadline.IsZero() {
		if left := time.Until(req.Deadline); left <= d {
			d, late = left, true
		}
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return stream.FromContext(ctx, op)
	case <-timer.C:
	}
	if late {
		return &stream.Error{Kind: stream.Timeout, Op: op, Err: context.DeadlineExceeded}
	}
	return nil
}
