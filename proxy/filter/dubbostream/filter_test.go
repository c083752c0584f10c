package dubbostream_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
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

// answering is a filter in front of whatever is answered.
func answering(t *testing.T, calls *filter.Calls) func(req *stream.Request, resp *stream.Response, err error) {
	t.Helper()
	places, err := dubbostream.Spec().Make(filter.Env{Listener: "in", Calls: calls}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(req *stream.Request, resp *stream.Response, err error) {
		h := stream.Chain(stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) { return resp, err }), places.BeforeRoute...)
		if got, gotErr := h.Handle(t.Context(), req); got != resp || !errors.Is(gotErr, err) {
			t.Errorf("the answer is %v, %v", got, gotErr)
		}
	}
}

func call(service, method string) *stream.Request {
	req := &stream.Request{Method: method, Native: rpc{}}
	if service != "" {
		req.Header.Add("service", service)
	}
	return req
}

// Calls are counted by service and method, as MOSN counts them.
func TestCounters(t *testing.T) {
	var calls filter.Calls
	answer := answering(t, &calls)
	ok := &stream.Response{Status: 200}
	for range 3 {
		answer(call("pay", "cash"), ok, nil)
	}
	answer(call("pay", "cash"), &stream.Response{Status: 500}, nil)
	answer(call("pay", "cash"), &stream.Response{Status: 404}, nil)
	answer(call("pay", "card"), nil, &stream.Error{Kind: stream.Timeout})
	answer(call("pay", "card"), nil, &stream.Error{Kind: stream.Canceled})
	oneWay := call("log", "add")
	oneWay.OneWay = true
	answer(oneWay, stream.NoResponse, nil)
	answer(call("", "x"), ok, nil)
	answer(&stream.Request{Method: "GET", Path: "/"}, ok, nil) // HTTP
	var got strings.Builder
	for _, c := range calls.All() {
		fmt.Fprintf(&got, "%s/%s/%s %d %d %d\n", c.Listener, c.Service, c.Method, c.Requests.Load(), c.Succeeded.Load(), c.Failed.Load())
	}
	if want := "in//x 1 1 0\nin/log/add 1 0 0\nin/pay/card 2 0 1\nin/pay/cash 5 3 2\n"; got.String() != want {
		t.Errorf("counted:\n%s\nwant\n%s", got.String(), want)
	}
}

// Nor do names that are as long as a frame can be.
func TestCountersOfLongNames(t *testing.T) {
	var calls filter.Calls
	answer := answering(t, &calls)
	answer(call("pay", strings.Repeat("x", 1<<20)), nil, &stream.Error{Kind: stream.NoRoute})
	answer(call(strings.Repeat("x", 1<<20), "cash"), nil, &stream.Error{Kind: stream.NoRoute})
	if list := calls.All(); len(list) != 1 || list[0].Service != "*" || list[0].Method != "*" || list[0].Failed.Load() != 2 {
		t.Errorf("%d rows, the first is of %.20q", len(list), list[0].Method)
	}
}

// Callers that ask for what does not exist do not fill the memory.
func TestCountersAreBounded(t *testing.T) {
	var calls filter.Calls
	answer := answering(t, &calls)
	const many = 10500
	for i := range many {
		answer(call("nobody", strconv.Itoa(i)), nil, &stream.Error{Kind: stream.NoRoute})
	}
	list := calls.All()
	if last := list[len(list)-1]; len(list) != 10001 || last.Service != "*" || last.Failed.Load() != many-10000 {
		t.Errorf("%d rows; the last is %s %d", len(list), last.Service, last.Failed.Load())
	}
	if n := testing.AllocsPerRun(100, func() { calls.Of("in", "nobody", "7").Requests.Add(1) }); n != 0 {
		t.Errorf("counting takes %v allocations", n)
	}
}
