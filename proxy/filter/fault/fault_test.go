package fault

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/variable"
)

// host is what stands behind the filter: it answers 200.
type host struct{ calls int }

// answer answers 200 and may be called concurrently.
func answer(context.Context, *stream.Request) (*stream.Response, error) {
	return &stream.Response{Status: 200}, nil
}

func (h *host) Handle(_ context.Context, req *stream.Request) (*stream.Response, error) {
	h.calls++
	if req.OneWay {
		return stream.NoResponse, nil
	}
	return &stream.Response{Status: 200}, nil
}

type object = map[string]any

// seeded is a source of numbers that is the same in each run.
func seeded() func() float64 {
	r := rand.New(rand.NewPCG(1, 2))
	return r.Float64
}

func build(t *testing.T, random func() float64, cfg object, next stream.Handler) stream.Handler {
	t.Helper()
	f, err := spec(random).New(filter.Env{Path: "f"}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f(next)
}

// policy is the policy of a route that has this to say to the filter.
func policy(t *testing.T, cfg any) *stream.Policy {
	t.Helper()
	v, err := Spec().Route(filter.Env{Path: "r"}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &stream.Policy{Filters: map[string]any{Name: v}}
}

func status(t *testing.T, h stream.Handler, req *stream.Request) int {
	t.Helper()
	resp, err := h.Handle(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Close() }()
	return resp.Status
}

func TestF1Shares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10_000
		for _, c := range []struct{ percent, delayed float64 }{{50, 0}, {0, 50}, {10, 30}, {0, 0}, {100, 100}, {0.5, 99.5}} {
			next := &host{}
			h := build(t, seeded(), object{
				"abort": object{"status": 503, "percentage": c.percent}, "delay": object{"fixed_delay": "1s", "percentage": c.delayed},
			}, next)
			aborted, delayed, both := 0, 0, 0
			for range n {
				began := time.Now()
				req := &stream.Request{}
				got := status(t, h, req)
				took := time.Since(began)
				switch noted, _ := req.Vars.Get(variable.HijackStatus); {
				case got == 503 && noted == "503":
					aborted++
				case got != 200 || noted != "":
					t.Fatalf("status %d, noted %q", got, noted)
				}
				switch took {
				case 0:
				case time.Second:
					delayed++
					if got == 503 {
						both++
					}
				default:
					t.Fatalf("took %v", took)
				}
			}
			// Three standard deviations are 1.5 % of all; 0 and 100 % are exact.
			near := func(got int, percent float64) bool {
				want := percent / 100 * n
				if percent == 0 || percent == 100 {
					return float64(got) == want
				}
				return float64(got) > want-0.015*n && float64(got) < want+0.015*n
			}
			if !near(aborted, c.percent) || !near(delayed, c.delayed) || !near(both, c.percent*c.delayed/100) || next.calls != n-aborted {
				t.Errorf("%+v: %d aborted, %d delayed, %d both, %d at the host", c, aborted, delayed, both, next.calls)
			}
		}
	})
}

// The row's own figure: of 1,000 calls about half, with the source that is used.
func TestF1HalfOfThousand(t *testing.T) {
	f, err := Spec().New(filter.Env{}, object{"abort": object{"status": 503, "percentage": 50}})
	if err != nil {
		t.Fatal(err)
	}
	h, aborted := f(stream.HandlerFunc(answer)), 0
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range 100 {
				if resp, err := h.Handle(t.Context(), &stream.Request{}); err == nil && resp.Status == 503 {
					mu.Lock()
					aborted++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if aborted < 400 || aborted > 600 { // six standard deviations
		t.Errorf("%d of 1000", aborted)
	}
}

func TestF1Which(t *testing.T) {
	always := object{"status": 418, "percentage": 100}
	request := func(cluster string, fields ...string) *stream.Request {
		r := &stream.Request{Authority: "shop", Method: "GET"}
		r.Info.Cluster = cluster
		for i := 0; i < len(fields); i += 2 {
			r.Header.Add(fields[i], fields[i+1])
		}
		return r
	}
	match := func(m ...any) object { return object{"abort": always, "headers": m} }
	for _, c := range []struct {
		name string
		cfg  object
		req  *stream.Request
		want int
	}{
		{"all", object{"abort": always}, request("c"), 418},
		{"nothing configured", object{}, request("c"), 200},
		{"cluster", object{"abort": always, "upstream_cluster": "c"}, request("c"), 418},
		{"other cluster", object{"abort": always, "upstream_cluster": "c"}, request("d"), 200},
		{"field", match(object{"name": "x", "value": "1"}), request("", "X", "1"), 418},
		{"other value", match(object{"name": "x", "value": "1"}), request("", "X", "12"), 200},
		{"first value", match(object{"name": "x", "value": "1"}), request("", "X", "2", "X", "1"), 200},
		{"no field", match(object{"name": "x", "value": "1"}), request(""), 200},
		{"any value", match(object{"name": "x"}), request("", "x", "2"), 418},
		{"any value in MOSN's words", match(object{"name": "x", "value": ".*", "regex": true}), request("", "x", ""), 418},
		{"any value needs the field", match(object{"name": "x", "value": ".*"}), request(""), 200},
		{"regex", match(object{"name": "x", "value": "^a+$", "regex": true}), request("", "x", "aa"), 418},
		{"regex of a part", match(object{"name": "x", "value": "a", "regex": true}), request("", "x", "bab"), 418},
		{"regex that does not match", match(object{"name": "x", "value": "a", "regex": true}), request("", "x", "b"), 200},
		{"all fields", match(object{"name": "x", "value": "1"}, object{"name": "y", "value": "2"}), request("", "x", "1", "y", "2"), 418},
		{"one of two fields", match(object{"name": "x", "value": "1"}, object{"name": "y", "value": "2"}), request("", "x", "1"), 200},
		{"host", match(object{"name": "Host", "value": "shop"}, object{"name": ":method", "value": "GET"}), request(""), 418},
	} {
		if got := status(t, build(t, seeded(), c.cfg, &host{}), c.req); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestF1Route(t *testing.T) {
	h := build(t, seeded(), object{"abort": object{"status": 500, "percentage": 100}}, &host{})
	for _, c := range []struct {
		name   string
		policy *stream.Policy
		want   int
	}{
		{"no route", nil, 500},
		{"a route that says nothing", &stream.Policy{}, 500},
		{"a route that says another filter something", &stream.Policy{Filters: map[string]any{"x": 1}}, 500},
		{"a route with its own", policy(t, object{"abort": object{"status": 429, "percentage": 100.0}}), 429},
		{"a route without faults", policy(t, object{}), 200},
		{"a route for another cluster", policy(t, object{"upstream_cluster": "d", "abort": object{"status": 429, "percentage": 100}}), 200},
	} {
		if got := status(t, h, &stream.Request{Policy: c.policy}); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestF1OneWay(t *testing.T) {
	next := &host{}
	h := build(t, seeded(), object{"abort": object{"status": 500, "percentage": 100}}, next)
	if resp, err := h.Handle(t.Context(), &stream.Request{OneWay: true}); resp != stream.NoResponse || err != nil || next.calls != 0 {
		t.Error(resp, err, next.calls)
	}
}

// A delay ends with the caller and with the request's time.
func TestF1DelayEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			name     string
			deadline time.Duration // from now; 0 is none
			timeout  time.Duration // of the context; 0 is none
			cancel   time.Duration // when the caller goes; 0 is never
			took     time.Duration
			kind     stream.Kind
			ok       bool
		}{
			{name: "long enough", deadline: 11 * time.Second, took: 10 * time.Second, ok: true},
			{name: "deadline", deadline: 3 * time.Second, took: 3 * time.Second, kind: stream.Timeout},
			{name: "deadline at that very moment", deadline: 10 * time.Second, took: 10 * time.Second, kind: stream.Timeout},
			{name: "deadline has passed", deadline: -time.Second, kind: stream.Timeout},
			{name: "context", timeout: 2 * time.Second, took: 2 * time.Second, kind: stream.Timeout},
			{name: "the caller goes", cancel: time.Second, deadline: 3 * time.Second, took: time.Second, kind: stream.Canceled},
		} {
			next := &host{}
			h := build(t, seeded(), object{"delay": object{"fixed_delay": "10s", "percentage": 100}}, next)
			ctx, cancel := context.WithCancel(t.Context())
			if c.timeout > 0 {
				ctx, cancel = context.WithTimeout(t.Context(), c.timeout)
			}
			if c.cancel > 0 {
				time.AfterFunc(c.cancel, cancel)
			}
			req := &stream.Request{}
			if c.deadline != 0 {
				req.Deadline = time.Now().Add(c.deadline)
			}
			began := time.Now()
			resp, err := h.Handle(ctx, req)
			cancel()
			if took := time.Since(began); took != c.took {
				t.Errorf("%s: took %v", c.name, took)
			}
			if c.ok {
				if err != nil || resp.Status != 200 || next.calls != 1 {
					t.Errorf("%s: %v, %v", c.name, resp, err)
				}
				continue
			}
			if e, ok := errors.AsType[*stream.Error](err); !ok || e.Kind != c.kind || resp != nil || next.calls != 0 {
				t.Errorf("%s: %v, %v, %d calls", c.name, resp, err, next.calls)
			}
		}
	})
}

func TestF1Config(t *testing.T) {
	for _, c := range []struct {
		cfg  object
		want string
	}{
		{object{"abort": object{"percentage": 1}}, "f.abort.status: 0 is no status that a request can be answered with (write one from 200 to 599)"},
		{object{"abort": object{"status": 600, "percentage": 1}}, "f.abort.status: 600 is"},
		{object{"abort": object{"status": 100, "percentage": 1}}, "f.abort.status: 100 is"},
		{object{"abort": object{"status": 500, "percentage": 101}}, "f.abort.percentage"},
		{object{"delay": object{"fixed_delay": "1", "percentage": 1}}, "f.delay.fixed_delay"},
		{object{"delay": object{"fixed_delay": "-1s", "percentage": -1}}, "f.delay.percentage"},
		{object{"headers": []any{object{"value": "x"}}}, "f.headers[0].name: the name is missing"},
		{object{"headers": []any{object{"name": "x", "value": "(", "regex": true}}}, `f.headers[0].value: "(" is no regular expression`},
	} {
		for where, err := range map[string]error{
			"listener": second(Spec().New(filter.Env{Path: "f"}, c.cfg)),
			"route":    second(Spec().Route(filter.Env{Path: "f"}, c.cfg)),
		} {
			if _, ok := errors.AsType[decode.Problems](err); !ok || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v (%s): %v", c.cfg, where, err)
			}
		}
	}
	if v, err := Spec().Route(filter.Env{Path: "f"}, "text"); v != nil || err == nil {
		t.Error(v, err)
	}
	var log bytes.Buffer
	env := filter.Env{Path: "f", Log: slog.New(slog.NewTextHandler(&log, nil))}
	if _, err := Spec().New(env, object{"abort": object{"status": 500}, "delay": object{"fixed_delay": "1s"}, "abrot": 1}); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"f.abort: has no effect: there is no percentage", "f.delay: has no effect", "f.abrot", "did you mean"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in the log:\n%s", want, log.String())
		}
	}
	if s := Spec(); s.Name != "fault" || s.Place != filter.AfterRoute {
		t.Error(s)
	}
}

func second[T any](_ T, err error) error { return err }

// A filter that does nothing costs nothing.
func TestCost(t *testing.T) {
	next := stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) { return stream.NoResponse, nil })
	h := build(t, seeded(), object{"abort": object{"status": 500, "percentage": 0.0}, "headers": []any{object{"name": "x"}}}, next)
	req := &stream.Request{Policy: policy(t, object{"abort": object{"status": 500, "percentage": 1}, "headers": []any{object{"name": "x"}}})}
	if n := testing.AllocsPerRun(100, func() { _, _ = h.Handle(t.Context(), req) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
