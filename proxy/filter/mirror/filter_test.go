package mirror

import (
	"bytes"
	"context"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// policyBehind returns the policy that a request with p has behind the filter.
func policyBehind(t *testing.T, config map[string]any, p *stream.Policy) *stream.Policy {
	t.Helper()
	f, err := Spec().New(filter.Env{Path: "config"}, config)
	if err != nil {
		t.Fatal(err)
	}
	var got *stream.Policy
	h := f(stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
		got = req.Policy
		return stream.NoResponse, nil
	}))
	if resp, err := h.Handle(t.Context(), &stream.Request{Policy: p}); resp != stream.NoResponse || err != nil {
		t.Fatalf("%v, %v", resp, err)
	}
	return got
}

// The filter says how many copies there are, and for whom; the rest of the
// route's policy stays, and the policy that all requests share is not touched.
func TestF9FilterSetsCopies(t *testing.T) {
	for _, tt := range []struct {
		name      string
		config    map[string]any
		copies    int
		broadcast bool
	}{
		{"nothing", nil, 1, false},
		{"amplification", map[string]any{"amplification": 3}, 3, false},
		{"amplification 0", map[string]any{"amplification": 0}, 1, false},
		{"old style", map[string]any{"amplification": "2", "broadcast": "true"}, 2, true},
		{"broadcast", map[string]any{"broadcast": true}, 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			retry := &stream.Retry{Max: 1}
			p := &stream.Policy{Retry: retry, AutoHost: true, Mirrors: []stream.Mirror{
				{Cluster: "a", Percent: 10, Copies: 1},
				{Cluster: "b", Percent: 20, Copies: 1},
			}}
			before := *p
			before.Mirrors = append([]stream.Mirror(nil), p.Mirrors...)
			got := policyBehind(t, tt.config, p)
			want := []stream.Mirror{
				{Cluster: "a", Percent: 10, Copies: tt.copies, Broadcast: tt.broadcast},
				{Cluster: "b", Percent: 20, Copies: tt.copies, Broadcast: tt.broadcast},
			}
			if !reflect.DeepEqual(got.Mirrors, want) || got.Retry != retry || !got.AutoHost {
				t.Errorf("policy %+v", got)
			}
			if !reflect.DeepEqual(*p, before) {
				t.Errorf("the route's policy is changed: %+v", p)
			}
		})
	}
	for _, p := range []*stream.Policy{nil, {AutoHost: true}} {
		if got := policyBehind(t, map[string]any{"amplification": 2}, p); got != p {
			t.Errorf("a policy without mirrors is replaced by %+v", got)
		}
	}
}

// A mistake is refused with its place, what has no effect is logged.
func TestF9FilterConfig(t *testing.T) {
	for _, config := range []map[string]any{{"amplification": -1}, {"amplification": "many"}, {"broadcast": 7}} {
		_, err := Spec().New(filter.Env{Path: "at"}, config)
		if p := decode.AsProblems(err, ""); err == nil || len(p) != 1 || !strings.HasPrefix(p[0].Path, "at.") {
			t.Errorf("%v: %v", config, err)
		}
	}
	var log bytes.Buffer
	env := filter.Env{Path: "at", Log: slog.New(slog.NewTextHandler(&log, nil))}
	if _, err := Spec().New(env, map[string]any{"broadcasts": true}); err != nil || !strings.Contains(log.String(), "at.broadcasts") {
		t.Errorf("%v, log %q", err, log.String())
	}
	if s := Spec(); s.Name != "mirror" || s.Place != filter.AfterRoute {
		t.Errorf("%+v", s)
	}
}
