package headertometadata_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/filter/headertometadata"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/variable"
)

type object = map[string]any

func rules(r ...any) object { return object{"request_rules": r} }

func TestF10Labels(t *testing.T) {
	version := object{"header": "Version", "on_header_present": object{"key": "version"}, "on_header_missing": object{"key": "version", "value": "v1"}}
	for _, c := range []struct {
		name   string
		cfg    object
		before string   // what was noted before
		fields []string // of the request
		want   string   // labels; "none" is that nothing is noted
		left   string   // names of the fields that are left
	}{
		{"value of the field", rules(version), "", []string{"version", "v2"}, "version=v2", "version"},
		{"missing", rules(version), "", nil, "version=v1", ""},
		{"an empty field is there", rules(version), "", []string{"version", ""}, "version=", "version"},
		{"first of several", rules(version), "", []string{"version", "v2", "version", "v3"}, "version=v2", "version version"},
		{"fixed value", rules(object{"header": "debug", "on_header_present": object{"key": "pool", "value": "slow"}}), "", []string{"Debug", "1"}, "pool=slow", "Debug"},
		{"nothing to say", rules(object{"header": "debug", "on_header_present": object{"key": "pool", "value": "slow"}}), "", nil, "none", ""},
		{"no rules", object{}, "", []string{"version", "v2"}, "none", "version"},
		{"removed", rules(object{"header": "version", "on_header_present": object{"key": "v"}, "remove": true}), "", []string{"Version", "2", "x", "", "version", "3"}, "v=2", "x"},
		{"only removed", rules(object{"header": "version", "remove": true}), "", []string{"version", "2"}, "none", ""},
		{"several", rules(version, object{"header": "zone", "on_header_present": object{"key": "a-zone"}}), "", []string{"zone", "eu", "version", "v2"}, "a-zone=eu version=v2", "zone version"},
		{"the last counts", rules(version, object{"header": "canary", "on_header_present": object{"key": "version", "value": "v9"}}), "", []string{"version", "v2", "canary", ""}, "version=v9", "version canary"},
		{"joins what was noted", rules(version), "zone=eu,version=v0", []string{"version", "v2"}, "version=v2 zone=eu", "version"},
		{"leaves what was noted", rules(object{"header": "x", "on_header_present": object{"key": "x"}}), "zone=eu", nil, "zone=eu", ""},
		{"host", rules(object{"header": "Host", "on_header_present": object{"key": "for"}}), "", nil, "for=shop", ""},
		// A caller cannot smuggle labels in.
		{"hostile value", rules(version), "", []string{"version", "v2,admin=1%2C=,\x01"}, "version=v2,admin=1%2C=,\x01", "version"},
	} {
		f, err := headertometadata.Spec().New(filter.Env{Path: "f"}, c.cfg)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		req := &stream.Request{Authority: "shop"}
		for i := 0; i < len(c.fields); i += 2 {
			req.Header.Add(c.fields[i], c.fields[i+1])
		}
		if c.before != "" {
			req.Vars.Set(variable.RouterMeta, c.before)
		}
		called := false
		resp, err := f(stream.HandlerFunc(func(_ context.Context, r *stream.Request) (*stream.Response, error) {
			called = r == req
			return stream.NoResponse, nil
		})).Handle(t.Context(), req)
		if resp != stream.NoResponse || err != nil || !called {
			t.Errorf("%s: %v, %v, called: %v", c.name, resp, err, called)
		}
		got := "none"
		if text, ok := req.Vars.Get(variable.RouterMeta); ok {
			var labels []string
			for _, l := range variable.DecodeMeta(text) {
				labels = append(labels, l.Key+"="+l.Value)
			}
			got = strings.Join(labels, " ")
		}
		var left []string
		for name := range req.Header.All() {
			left = append(left, name)
		}
		if got != c.want || strings.Join(left, " ") != c.left {
			t.Errorf("%s: labels %q and fields %q", c.name, got, left)
		}
	}
}

func TestF10Config(t *testing.T) {
	for _, c := range []struct {
		cfg  object
		want []string
	}{
		{rules(object{"on_header_present": object{"key": "a"}}), []string{"f.request_rules[0].header: the name is missing"}},
		{rules(object{"header": "x", "remove": true}, object{"header": "x"}), []string{"f.request_rules[1]: the rule does nothing (add on_header_present"}},
		{
			rules(object{"header": "x", "on_header_present": object{"value": "a"}, "on_header_missing": object{}}),
			[]string{"f.request_rules[0].on_header_present.key: the key is missing", "f.request_rules[0].on_header_missing.key: the key is missing"},
		},
		{rules(object{"header": "host", "remove": true}), []string{"f.request_rules[0].remove: host cannot be removed"}},
		{rules(object{"header": ":path", "remove": true}), []string{"f.request_rules[0].remove: :path cannot be removed"}},
		{rules("x"), []string{"f.request_rules[0]"}},
	} {
		_, err := headertometadata.Spec().New(filter.Env{Path: "f"}, c.cfg)
		problems, ok := errors.AsType[decode.Problems](err)
		if !ok || len(problems) != len(c.want) {
			t.Errorf("%v: %v", c.cfg, err)
			continue
		}
		for i, p := range problems {
			if !strings.HasPrefix(p.String(), c.want[i]) {
				t.Errorf("%v: %v", c.cfg, p)
			}
		}
	}
	var log bytes.Buffer
	env := filter.Env{Path: "f", Log: slog.New(slog.NewTextHandler(&log, nil))}
	for _, cfg := range []object{{}, rules(object{"header": "x", "on_header_present": object{"key": "a", "valeu": "b"}})} {
		if _, err := headertometadata.Spec().New(env, cfg); err != nil {
			t.Error(err)
		}
	}
	for _, want := range []string{"f: has no effect", "f.request_rules[0].on_header_present.valeu", "did you mean"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in the log:\n%s", want, log.String())
		}
	}
	if s := headertometadata.Spec(); s.Name != "header_to_metadata" || s.Place != filter.BeforeRoute || s.Route != nil {
		t.Error(s)
	}
}

func FuzzF10Value(f *testing.F) {
	f.Add("v2", "x")
	f.Add("a,b=c", "%2C")
	filt, err := headertometadata.Spec().New(filter.Env{}, rules(
		object{"header": "a", "on_header_present": object{"key": "a"}}, object{"header": "b", "on_header_present": object{"key": "b"}}))
	if err != nil {
		f.Fatal(err)
	}
	h := filt(stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) { return stream.NoResponse, nil }))
	f.Fuzz(func(t *testing.T, a, b string) {
		req := &stream.Request{}
		req.Header.Add("A", a)
		req.Header.Add("B", b)
		if _, err := h.Handle(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		text, _ := req.Vars.Get(variable.RouterMeta)
		if got := variable.DecodeMeta(text); !slices.Equal(got, []stream.Label{{Key: "a", Value: a}, {Key: "b", Value: b}}) {
			t.Fatalf("%q and %q: %q, %v", a, b, text, got)
		}
	})
}
