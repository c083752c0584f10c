package faulttolerance_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/filter/faulttolerance"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a core with clusters of hosts.
type world struct {
	mu    sync.Mutex
	hosts map[string]map[string]time.Time // cluster, host, isolated until

	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	started int
	log     strings.Builder
}

func newWorld(t *testing.T, cluster string, hosts int) *world {
	w := &world{hosts: map[string]map[string]time.Time{cluster: {}}}
	for i := range hosts {
		w.hosts[cluster][address(i)] = time.Time{}
	}
	w.ctx, w.cancel = context.WithCancel(t.Context())
	return w
}

func address(i int) string { return fmt.Sprintf("10.0.0.%d:80", i) }

func (w *world) close() { w.cancel(); w.wg.Wait() }

func (w *world) Cluster(string) (stream.Handler, bool) { panic("asked for a cluster") }
func (w *world) Each(string) []stream.Handler          { panic("asked for all hosts") }

func (w *world) Isolate(cluster, address string, d time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	until, ok := w.hosts[cluster][address]
	if !ok || time.Now().Before(until) {
		return false
	}
	w.hosts[cluster][address] = time.Now().Add(d)
	return true
}

func (w *world) Hosts(cluster string) (all, isolated int) {
	return len(w.hosts[cluster]), len(w.isolated(cluster))
}

// isolated returns the numbers of the hosts that are out.
func (w *world) isolated(cluster string) (out []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range len(w.hosts[cluster]) {
		if time.Now().Before(w.hosts[cluster][address(i)]) {
			out = append(out, i)
		}
	}
	return out
}

func (w *world) run(f func(context.Context)) bool {
	if w.ctx.Err() != nil {
		return false
	}
	w.mu.Lock()
	w.started++
	w.mu.Unlock()
	w.wg.Go(func() { f(w.ctx) })
	return true
}

// filter makes the filter, with an answer instead of a host: a status, or an error.
func (w *world) filter(t *testing.T, config map[string]any) (call func(cluster, host string, answer any)) {
	t.Helper()
	env := filter.Env{Listener: "in", Path: "f", Clusters: w, Go: w.run, Log: slog.New(slog.NewTextHandler(&w.log, nil))}
	f, err := faulttolerance.New(env, config)
	if err != nil {
		t.Fatal(err)
	}
	return func(cluster, host string, answer any) {
		h := f(stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) {
			if err, ok := answer.(error); ok {
				return nil, err
			}
			return &stream.Response{Status: answer.(int)}, nil
		}))
		req := &stream.Request{Method: "GET", Path: "/"}
		req.Info.Cluster, req.Info.Host = cluster, host
		resp, err := h.Handle(context.Background(), req)
		if want, _ := answer.(error); !errors.Is(err, want) || err == nil && resp.Status != answer {
			t.Errorf("the filter made %v, %v of %v", resp, err, answer)
		}
	}
}

func on(more map[string]any) map[string]any {
	config := map[string]any{"enabled": true}
	for k, v := range more {
		config[k] = v
	}
	return config
}

func TestSpec(t *testing.T) {
	s := faulttolerance.Spec()
	if s.Name != "fault_tolerance" || s.Place != filter.PerHost || s.Route != nil {
		t.Errorf("%+v", s)
	}
	if _, err := filter.NewTable(s); err != nil {
		t.Error(err)
	}
}

// The row: one bad host of ten removed, back after recover time.
func TestF17OneBadHostOfTen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "c", 10)
		defer w.close()
		call := w.filter(t, on(nil))
		send := func() {
			for i := range 10 {
				for range 10 {
					if slices.Contains(w.isolated("c"), i) {
						continue
					}
					if i == 3 {
						call("c", address(i), 503)
					} else {
						call("c", address(i), 200)
					}
				}
			}
		}
		send()
		time.Sleep(9 * time.Second)
		if out := w.isolated("c"); out != nil {
			t.Fatalf("%v are out before the window is over", out)
		}
		time.Sleep(2 * time.Second)
		if out := w.isolated("c"); !slices.Equal(out, []int{3}) {
			t.Fatalf("out: %v", out)
		}
		for range 88 { // 14 min 40 s
			send()
			time.Sleep(10 * time.Second)
		}
		if out := w.isolated("c"); !slices.Equal(out, []int{3}) {
			t.Fatalf("out before the recovery: %v", out)
		}
		time.Sleep(30 * time.Second)
		if out := w.isolated("c"); out != nil {
			t.Fatalf("out after the recovery: %v", out)
		}
		send()
		time.Sleep(11 * time.Second)
		if out := w.isolated("c"); !slices.Equal(out, []int{3}) {
			t.Errorf("still bad, but not out again: %v", out)
		}
		w.close()
		if s := w.log.String(); strings.Count(s, "level=WARN") != 2 || !strings.Contains(s, "listener=in cluster=c host=10.0.0.3:80 failures=10 requests=10 rate=1 cluster_rate=0.1 for=15m0s") {
			t.Errorf("log: %s", s)
		}
	})
}

func TestF17Windows(t *testing.T) {
	lost := &stream.Error{Kind: stream.Reset, Side: stream.Upstream}
	type answers map[any]int
	good := answers{200: 100}
	// of makes as many good hosts as are missing to n.
	of := func(n int, hosts ...answers) []answers {
		for len(hosts) < n {
			hosts = append(hosts, good)
		}
		return hosts
	}
	for name, c := range map[string]struct {
		config map[string]any
		hosts  []answers
		want   []int
	}{
		"the default statuses":    {nil, of(10, answers{502: 4, 503: 3, 504: 3}), []int{0}},
		"500 is none of them":     {nil, of(10, answers{500: 20}), nil},
		"own statuses":            {map[string]any{"exceptionTypes": []any{500, 404}}, of(10, answers{500: 10, 404: 10, 503: 50}, answers{503: 100}), []int{0}},
		"broken connections":      {nil, of(10, answers{lost: 20}), []int{0}},
		"none can be made":        {nil, of(10, answers{&stream.Error{Kind: stream.Connect, Side: stream.Upstream}: 20}), []int{0}},
		"too slow":                {nil, of(10, answers{&stream.Error{Kind: stream.Timeout, Side: stream.Upstream}: 20}), []int{0}},
		"wrapped":                 {nil, of(10, answers{fmt.Errorf("x: %w", lost): 20}), []int{0}},
		"our limits do not count": {nil, of(10, answers{&stream.Error{Kind: stream.Overload}: 20, 200: 10}), nil},
		"nor callers that go":     {nil, of(10, answers{context.Canceled: 20, &stream.Error{Kind: stream.Canceled, Side: stream.Downstream}: 20, 200: 10}), nil},
		"too few requests":        {nil, of(10, answers{503: 9}), nil},
		"just enough":             {nil, of(10, answers{503: 10}), []int{0}},
		"least by configuration":  {map[string]any{"leastWindowCount": 3}, of(10, answers{503: 3}), []int{0}},
		"all are bad":             {nil, []answers{{503: 50}, {503: 50}, {503: 50}}, nil},
		"all are well":            {nil, of(10), nil},
		// 100 % against 50 % and 25 %.
		"below the multiple":         {nil, of(2, answers{503: 100}), nil},
		"a smaller multiple":         {map[string]any{"exceptionRateMultiple": 2}, of(2, answers{503: 100}), []int{0}},
		"just below it":              {map[string]any{"exceptionRateMultiple": 2.1}, of(2, answers{503: 100}), nil},
		"the worst first":            {map[string]any{"exceptionRateMultiple": 1.5}, of(10, answers{503: 60, 200: 40}, answers{503: 90, 200: 10}, answers{503: 70, 200: 30}), []int{1}},
		"two at a time":              {map[string]any{"exceptionRateMultiple": 1.5, "maxIpCount": 2}, of(10, answers{503: 60, 200: 40}, answers{503: 90, 200: 10}, answers{503: 70, 200: 30}), []int{1, 2}},
		"the ratio limits":           {map[string]any{"exceptionRateMultiple": 1.5, "maxIpCount": 5, "maxIpRatio": 0.1}, of(10, answers{503: 90}, answers{503: 90}), []int{0}},
		"or a percentage":            {map[string]any{"exceptionRateMultiple": 1.5, "maxIpCount": 5, "maxIpRatio": 10}, of(10, answers{503: 90}, answers{503: 90}), []int{0}},
		"the ratio allows none":      {map[string]any{"maxIpRatio": 0.09}, of(10, answers{503: 90}), nil},
		"the count limits the ratio": {map[string]any{"exceptionRateMultiple": 1.5, "maxIpRatio": 0.5}, of(10, answers{503: 90}, answers{503: 90}), []int{0}},
		"one always stays":           {map[string]any{"exceptionRateMultiple": 1.01, "maxIpCount": 5}, []answers{{503: 500}, {503: 300, 200: 200}, {200: 10000}}, []int{0, 1}},
		"the only host":              {map[string]any{"exceptionRateMultiple": 1.01}, []answers{{503: 500}}, nil},
		"switched off":               {map[string]any{"enabled": false}, of(10, answers{503: 100}), nil},
		"tasks are accepted":         {map[string]any{"taskSize": 20}, of(10, answers{503: 100}), []int{0}},
		"numbers are milliseconds":   {map[string]any{"timeWindow": 10000, "recoverTime": "900000"}, of(10, answers{503: 100}), []int{0}},
		"zeros are the defaults":     {map[string]any{"timeWindow": 0, "recoverTime": 0, "leastWindowCount": 0, "exceptionRateMultiple": 0, "maxIpCount": 0, "exceptionTypes": []any{}}, of(10, answers{503: 100}), []int{0}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "c", len(c.hosts))
				defer w.close()
				call := w.filter(t, on(c.config))
				for i, answers := range c.hosts {
					for answer, n := range answers {
						for range n {
							call("c", address(i), answer)
						}
					}
				}
				time.Sleep(10*time.Second + time.Millisecond)
				out := w.isolated("c")
				if !slices.Equal(out, c.want) {
					t.Errorf("out: %v, want %v", out, c.want)
				}
			})
		})
	}
}

// Clusters are compared each by itself, and windows too.
func TestF17Apart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "c", 10)
		defer w.close()
		w.hosts["d"] = map[string]time.Time{address(0): {}, address(1): {}}
		call := w.filter(t, on(map[string]any{"timeWindow": "1s", "recoverTime": "5s"}))
		for n := range 20 { // in each window too few
			for i := range 10 {
				for range 9 {
					call("c", address(i), 200+i/9*303)
				}
			}
			for range 100 {
				call("d", address(0), 503)
				call("d", address(1), 503)
			}
			if time.Sleep(time.Second); n == 0 {
				time.Sleep(time.Second / 2) // not at the moment at which a window ends
			}
		}
		if a, b := w.isolated("c"), w.isolated("d"); a != nil || b != nil {
			t.Errorf("out: %v and %v", a, b)
		}
	})
}

// While nothing comes, nothing runs.
func TestF17Background(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "c", 3)
		call := w.filter(t, on(nil))
		synctest.Wait()
		if w.started != 0 {
			t.Error("something runs before the first request")
		}
		for range 5 {
			call("c", address(0), 200)
			time.Sleep(8 * time.Second)
		}
		if w.started != 1 {
			t.Errorf("%d goroutines for requests that go on", w.started)
		}
		time.Sleep(20 * time.Second)
		w.wg.Wait() // it has ended by itself
		call("c", address(0), 200)
		if w.started != 2 {
			t.Errorf("%d goroutines after a pause", w.started)
		}
		w.close()
		call("c", address(1), 200) // the core has ended
	})
}

func TestF17Bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "c", 2)
		defer w.close()
		call := w.filter(t, on(nil))
		for i := range 30000 {
			call("c", fmt.Sprintf("10.%d.%d.%d:80", i>>16, i>>8&255, i&255), 503)
		}
		for range 20 {
			call("c", address(0), 503)
		}
		time.Sleep(10*time.Second + time.Millisecond)
		if out := w.isolated("c"); out != nil {
			t.Errorf("out: %v, of which nothing could be known", out)
		}
	})
}

func TestF17Concurrency(t *testing.T) {
	w := newWorld(t, "c", 20)
	call := w.filter(t, on(map[string]any{"timeWindow": "10ms", "recoverTime": "20ms", "maxIpCount": 3}))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 20000 {
				call("c", address(i%20), 200+i%20/19*303)
				if i%1000 == 0 && len(w.isolated("c")) > 3 {
					t.Error("too many are out")
				}
			}
		})
	}
	wg.Wait()
	w.close()
}

func TestConfigurationMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		config map[string]any
		want   string
	}{
		"window":   {map[string]any{"timeWindow": 5}, "f.timeWindow: 5ms is too short (at least 10ms)"},
		"multiple": {map[string]any{"exceptionRateMultiple": 1}, "f.exceptionRateMultiple: 1 would isolate hosts that are as good as the others (above 1)"},
		"status":   {map[string]any{"exceptionTypes": []any{502, 1000}}, "f.exceptionTypes[1]: 1000 is no HTTP status (100 to 599)"},
		"ratio":    {map[string]any{"maxIpRatio": 101}, "f.maxIpRatio:"},
		"negative": {map[string]any{"maxIpCount": -1}, "f.maxIpCount:"},
		"type":     {map[string]any{"recoverTime": "soon"}, "f.recoverTime:"},
		"several":  {map[string]any{"timeWindow": 5, "enabled": "perhaps"}, "f.enabled:"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := faulttolerance.New(filter.Env{Path: "f"}, on(c.config))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if _, ok := errors.AsType[decode.Problems](err); !ok {
				t.Errorf("it is a %T", err)
			}
		})
	}
	// What is not known is a warning, and nothing is needed to check a configuration.
	var log strings.Builder
	if _, err := faulttolerance.New(filter.Env{Path: "f", Log: slog.New(slog.NewTextHandler(&log, nil))}, on(map[string]any{"timeWindows": 5})); err != nil || !strings.Contains(log.String(), "timeWindow") {
		t.Errorf("%v, log %q", err, &log)
	}
}

func BenchmarkFilter(b *testing.B) {
	f, err := faulttolerance.New(filter.Env{Go: func(func(context.Context)) bool { return true }}, on(nil))
	if err != nil {
		b.Fatal(err)
	}
	resp := &stream.Response{Status: 200, Body: io.NopCloser(strings.NewReader(""))}
	next := stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) { return resp, nil })
	req := &stream.Request{}
	req.Info.Cluster, req.Info.Host = "c", address(0)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = f(next).Handle(context.Background(), req)
	}
}
