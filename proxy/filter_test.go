package proxy_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	. "github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// row returns a filter's row in the table. made counts how often it is made.
func row(name string, place filter.Place, made *int, f func(ctx context.Context, req *stream.Request, next stream.Handler) (*stream.Response, error)) filter.Spec {
	return filter.Spec{Name: name, Place: place, New: func(filter.Env, map[string]any) (stream.Filter, error) {
		return func(next stream.Handler) stream.Handler {
			*made++
			return stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) { return f(ctx, req, next) })
		}, nil
	}}
}

func filtered(l config.Listener, filters ...string) config.Listener {
	for _, f := range filters {
		l.StreamFilters = append(l.StreamFilters, config.Extension{Type: f})
	}
	return l
}

func TestFilters(t *testing.T) {
	n := &Network{}
	n.HTTP(t, "h:1", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Header.Get("Trace")) })
	made := 0
	trace := func(name string, place filter.Place) filter.Spec {
		return row(name, place, &made, func(ctx context.Context, req *stream.Request, next stream.Handler) (*stream.Response, error) {
			switch {
			case req.Path == "/"+name+"/answer":
				return &stream.Response{Status: 202, ContentLength: 4, Body: io.NopCloser(strings.NewReader("mine"))}, nil
			case req.Path == "/"+name+"/empty":
				return &stream.Response{Status: 204}, nil
			case req.Path == "/"+name+"/refuse":
				return nil, &stream.Error{Kind: stream.Denied, Op: "filter " + name}
			case req.Path == "/"+name+"/foreign":
				return nil, errors.New("an error of another package")
			case req.Path == "/"+name+"/panic":
				panic("filter's defect")
			}
			req.Header.Set("Trace", req.Header.Get("Trace")+name+"("+req.Info.Route+")")
			return next.Handle(ctx, req)
		})
	}
	s := Start(t, n, &config.Snapshot{
		Listeners: []config.Listener{filtered(Listener("egress", "main"), "late", "one", "two")},
		Routers:   []config.Router{Router("main", To("/", "c"))},
		Clusters:  []config.Cluster{Cluster("c", "h:1"), Cluster("d", "h:1")},
	}, WithFilters(trace("one", filter.BeforeRoute), trace("two", filter.BeforeRoute), trace("late", filter.AfterRoute)))
	records := 0
	for _, c := range []struct {
		path   string
		status int
		body   string
		route  string // in the record
		err    string
	}{
		{"/", 200, "one()two()late(routers[0])", "routers[0]", ""},
		{"/two/answer", 202, "mine", "", ""},
		{"/two/empty", 204, "", "", ""},
		{"/late/answer", 202, "mine", "routers[0]", ""},
		{"/one/refuse", 403, "denied: filter one\n", "", "denied: filter one"},
		{"/one/foreign", 500, "internal: an error of another package\n", "", "an error of another package"},
		{"/late/refuse", 403, "denied: filter late\n", "routers[0]", "denied: filter late"},
	} {
		resp, body := fetch(t, s.Client(t, "egress"), request(t, "GET", "http://pay"+c.path, ""))
		if resp.StatusCode != c.status || body != c.body {
			t.Errorf("%s: %d %q", c.path, resp.StatusCode, body)
		}
		records++
		r := s.Records.Last(t, records)
		if r.Listener != "egress" || r.Method != "GET" || r.Path != c.path || r.Authority != "pay" || r.Status != c.status || r.Route != c.route ||
			r.Start.IsZero() || r.Duration <= 0 || r.FirstByte <= 0 || r.Err == nil && r.BytesOut != int64(len(c.body)) {
			t.Errorf("%s: record %+v", c.path, r)
		}
		if got := ""; r.Err != nil {
			if got = r.Err.Error(); got != c.err {
				t.Errorf("%s: error %q, want %q", c.path, got, c.err)
			}
		} else if c.err != "" {
			t.Errorf("%s: no error", c.path)
		}
	}
	// Filters are made once per place, not per request: 2 before the route, 1
	// before each cluster.
	if made != 4 {
		t.Errorf("filters were put in place %d times, want 4", made)
	}

	// A panic costs one connection: it leaves a record and the stack in the log.
	for range 2 {
		if _, err := s.Client(t, "egress").Do(request(t, "POST", "http://pay/one/panic", "")); err == nil { //nolint:bodyclose // there is none
			t.Error("answered")
		}
		records++
		if r := s.Records.Last(t, records); r.Status != 500 || r.Err == nil || r.Path != "/one/panic" {
			t.Errorf("record %+v", r)
		}
	}
	// The caller may hear of the end, and the record be there, before the log.
	for end := time.Now().Add(time.Minute); strings.Count(s.Log.String(), "filter's defect") < 2 && time.Now().Before(end); {
		runtime.Gosched()
	}
	if log := s.Log.String(); strings.Count(log, "filter's defect") != 2 || !strings.Contains(log, "filter_test.go") {
		t.Errorf("log:\n%s", log)
	}
	if _, body := fetch(t, s.Client(t, "egress"), request(t, "GET", "http://pay/", "")); body != "one()two()late(routers[0])" {
		t.Errorf("after a panic: %q", body)
	}
}

// A filter at the host sees each attempt, with the host that was chosen.
func TestFilterAtTheHost(t *testing.T) {
	n := &Network{}
	n.HTTP(t, "h:1", Echo("h"))
	made := 0
	pass := func(ctx context.Context, req *stream.Request, next stream.Handler) (*stream.Response, error) {
		req.Header.Add("X-At", req.Info.Host)
		resp, err := next.Handle(ctx, req)
		if err == nil {
			resp.Header.Add("X-From", req.Info.Host)
		}
		return resp, err
	}
	s := Start(t, n, &config.Snapshot{
		Listeners: []config.Listener{filtered(Listener("egress", "main"), "late")},
		Routers:   []config.Router{Router("main", To("/", "c"))},
		Clusters:  []config.Cluster{Cluster("c", "h:1")},
	}, WithFilters(row("late", filter.PerHost, &made, pass)))
	resp, _ := fetch(t, s.Client(t, "egress"), request(t, "GET", "http://pay/", ""))
	if resp.Header.Get("X-From") != "h:1" {
		t.Errorf("header %v", resp.Header)
	}
}

func TestUnknownFilter(t *testing.T) {
	made := 0
	pass := func(ctx context.Context, req *stream.Request, next stream.Handler) (*stream.Response, error) {
		return next.Handle(ctx, req)
	}
	_, err := New(t, nil, &config.Snapshot{
		Listeners: []config.Listener{filtered(Listener("egress", "main"), "late", "nite")},
		Routers:   []config.Router{Router("main")},
	}, WithFilters(row("late", filter.AfterRoute, &made, pass)))
	if err == nil || !strings.Contains(err.Error(), `listeners[0].stream_filters[1].type: unknown stream filter "nite" (known: late)`) {
		t.Errorf("%v", err)
	}
}

// A panic must not use a connection's place up for ever, nor one in the
// cluster's limit.
func TestPanicLeaksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Network{}
		n.HTTP(t, "h:1", Echo("h"))
		made := 0
		c := Cluster("c", "h:1")
		c.CircuitBreakers = []config.Breaker{{MaxRequests: 1, MaxConnections: 1}}
		s := Start(t, n, &config.Snapshot{
			Listeners: []config.Listener{filtered(Listener("egress", "main"), "bad")},
			Routers:   []config.Router{Router("main", To("/", "c"))},
			Clusters:  []config.Cluster{c},
		}, WithFilters(row("bad", filter.AfterRoute, &made, func(ctx context.Context, req *stream.Request, next stream.Handler) (*stream.Response, error) {
			if req.Path == "/bad" {
				panic("defect")
			}
			return next.Handle(ctx, req)
		})))
		for range 3 {
			if _, err := s.Client(t, "egress").Do(request(t, "POST", "http://pay/bad", "")); err == nil { //nolint:bodyclose // there is none
				t.Error("answered")
			}
			synctest.Wait()
			if resp, body := fetch(t, s.Client(t, "egress"), request(t, "GET", "http://pay/x", "")); resp.StatusCode != 200 {
				t.Fatalf("after a panic: %d %s", resp.StatusCode, body)
			}
		}
	})
}
