package dsl_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/filter/dsl"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

type object = map[string]any

// chain puts the filter's parts where they belong: around a handler that is a
// router first, then a cluster, then a host. The host answers with the trace.
func chain(p filter.Places) stream.Handler {
	host := stream.Chain(stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
		switch {
		case req.OneWay:
			return stream.NoResponse, nil
		case req.Path == "/fail":
			return nil, &stream.Error{Kind: stream.Reset}
		}
		resp := &stream.Response{Status: 200}
		resp.Header.Add("Trace", req.Header.Get("trace"))
		return resp, nil
	}), p.PerHost...)
	cluster := stream.Chain(stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		req.Info.Host = "10.0.0.1:80"
		return host.Handle(ctx, req)
	}), p.AfterRoute...)
	return stream.Chain(stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		req.Info.Route = "r1"
		return cluster.Handle(ctx, req)
	}), p.BeforeRoute...)
}

func add(text string) string {
	return `ctx.add_request_header("trace", pick(request.headers["trace"], "") + ` + text + `)`
}

func TestF11Places(t *testing.T) {
	p, err := dsl.Make(filter.Env{Path: "f"}, object{
		"before_router_by_dsl":  add(`"before(" + route.name + ")"`),
		"after_router_by_dsl":   add(`" after(" + route.name + destination.address + ")"`),
		"after_balancer_by_dsl": add(`" host(" + destination.address + ")"`),
		"send_filter_by_dsl":    `ctx.add_response_header("sent", response.headers["trace"] + " " + string(response.code))`,
	})
	if err != nil {
		t.Fatal(err)
	}
	h := chain(p)
	resp, err := h.Handle(t.Context(), &stream.Request{})
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("sent"); got != "before() after(r1) host(10.0.0.1:80) 200" {
		t.Errorf("got %q", got)
	}
	if resp, err := h.Handle(t.Context(), &stream.Request{OneWay: true}); resp != stream.NoResponse || err != nil || resp.Header.Len() != 0 {
		t.Error(resp, err)
	}
	if resp, err := h.Handle(t.Context(), &stream.Request{Path: "/fail"}); resp != nil || stream.AsError(err).Kind != stream.Reset {
		t.Error(resp, err)
	}
	if p, err := dsl.Make(filter.Env{}, nil); err != nil || len(p.BeforeRoute)+len(p.AfterRoute)+len(p.PerHost) != 0 {
		t.Error(p, err)
	}
}

// A script that fails stops nothing, and does not flood the log.
func TestF11Failure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p, err := dsl.Make(filter.Env{Path: "f", Log: slog.New(slog.NewTextHandler(&log, nil))}, object{
			"before_router_by_dsl": `request.headers["none"] == "" ? ctx.add_request_header("trace", "1") : true`, "log_filter_by_dsl": "x", "debug": true,
		})
		if err != nil {
			t.Fatal(err)
		}
		if s := log.String(); strings.Count(s, "level=WARN") != 2 || !strings.Contains(s, "f.log_filter_by_dsl") || !strings.Contains(s, "f.debug") {
			t.Errorf("log:\n%s", s)
		}
		log.Reset()
		h := chain(p)
		for range 30 { // 10 a second
			if resp, err := h.Handle(t.Context(), &stream.Request{}); err != nil || resp.Status != 200 || resp.Header.Get("trace") != "" {
				t.Fatal(resp, err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if s := log.String(); strings.Count(s, "f.before_router_by_dsl") != 3 || !strings.Contains(s, "no such key: none") {
			t.Errorf("log:\n%s", s)
		}
	})
}

func TestF11Config(t *testing.T) {
	for _, c := range []struct {
		cfg  object
		want string
	}{
		{object{"before_router_by_dsl": `reqest.path == "a"`}, "f.before_router_by_dsl: line 1, column 1: unknown name reqest.path (did you mean request.path?"},
		{object{"after_router_by_dsl": `ctx.add_response_header("a", "b")`}, "f.after_router_by_dsl: line 1, column 5: unknown function"},
		{object{"after_balancer_by_dsl": "("}, "f.after_balancer_by_dsl: line 1, column 2: Syntax error"},
		{object{"send_filter_by_dsl": `ctx.rewrite_request_url("/")`}, "f.send_filter_by_dsl: line 1"},
		{object{"send_filter_by_dsl": object{}}, "f.send_filter_by_dsl: must be"},
	} {
		_, err := dsl.Make(filter.Env{Path: "f"}, c.cfg)
		if _, ok := errors.AsType[decode.Problems](err); !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.cfg, err)
		}
	}
}
