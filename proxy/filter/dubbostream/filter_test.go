package dubbostream_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/filter/dubbostream"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// rpc is what the Native of an RPC request can do.
type rpc struct{}

func (rpc) FailureCode(*stream.Error) string { return "1" }

// chain makes the filter of a configuration and runs req through it, with what
// the router and the cluster would see.
func chain(t *testing.T, config map[string]any, req *stream.Request) (router, host stream.Request, log string) {
	t.Helper()
	var text strings.Builder
	places, err := dubbostream.Spec().Make(filter.Env{Log: slog.New(slog.NewTextHandler(&text, nil)), Path: "f.config"}, config)
	if err != nil {
		t.Fatal(err)
	}
	cluster := stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
		host = *req
		return &stream.Response{Status: 200}, nil
	})
	behind := stream.Chain(cluster, places.AfterRoute...)
	route := stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		router = *req
		return behind.Handle(ctx, req)
	})
	if _, err := stream.Chain(route, places.BeforeRoute...).Handle(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	return router, host, text.String()
}

func TestRouterSeesHostAndPath(t *testing.T) {
	req := &stream.Request{Method: "GET", Native: rpc{}}
	req.Header.Add("service", "com.example.Pay")
	router, host, log := chain(t, nil, req)
	if router.Authority != "com.example.Pay" || router.Path != "/" || router.Method != "GET" {
		t.Errorf("the router sees %q %q", router.Authority, router.Path)
	}
	if host.Authority != "" || host.Path != "" || host.Idempotent() || req.Path != "" || req.Authority != "" {
		t.Errorf("behind it, the request is to %q %q; afterwards to %q %q", host.Authority, host.Path, req.Authority, req.Path)
	}
	if log != "" {
		t.Errorf("the log says %q", log)
	}
}

func TestOthersPass(t *testing.T) {
	for name, native := range map[string]any{"of HTTP": nil, "an RPC without a service": rpc{}} {
		req := &stream.Request{Method: "GET", Path: "/a", Authority: "h", Native: native}
		if native == nil {
			req.Header.Add("service", "com.example.Pay")
		}
		router, host, _ := chain(t, nil, req)
		if router.Path != "/a" || router.Authority != "h" || host.Path != "/a" || host.Authority != "h" || req.Path != "/a" {
			t.Errorf("%s: %+v, %+v", name, router, host)
		}
	}
}

// What MOSN's file says of labels is taken, and is said to have no effect.
func TestConfig(t *testing.T) {
	req := &stream.Request{Native: rpc{}}
	if _, _, log := chain(t, map[string]any{"subset": "group"}, req); !strings.Contains(log, "f.config.subset") {
		t.Errorf("the log says %q", log)
	}
	_, err := dubbostream.Spec().Make(filter.Env{Path: "f.config"}, map[string]any{"subset": []any{1}})
	if err == nil || !strings.Contains(err.Error(), "f.config.subset") {
		t.Errorf("error %v", err)
	}
}
