package mesh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// opened is a channel that New, or a call, has opened.
type opened struct {
	listener, protocol string
	size, closed       int
}

// channels makes an invoker, whose channels tell what they get.
func channels(t *testing.T, config map[string]any, h func(o *opened, req *stream.Request) (*stream.Response, error), callbacks ...rpc.Callback) (inv *Invoker, all *[]*opened, warned *[]string) {
	t.Helper()
	all, warned = new([]*opened), new([]string)
	inv, err := New(components.Config{
		Path: "rpcs.mosn", Section: "config", Metadata: config,
		Warn: func(p decode.Problem) { *warned = append(*warned, p.String()) },
	}, func(listener, protocol string, size int) (stream.Handler, func(), error) {
		o := &opened{listener: listener, protocol: protocol, size: size}
		*all = append(*all, o)
		return stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) { return h(o, req) }), func() { o.closed++ }, nil
	}, callbacks...)
	if err != nil {
		t.Fatal(err)
	}
	return inv, all, warned
}

func channelOf(protocol, listener string, more ...string) map[string]any {
	c := map[string]any{"protocol": protocol, "listener": listener}
	if strings.HasPrefix(protocol, "bolt") {
		c["ext"] = map[string]any{"class": "com.pay.Request"}
	}
	for i := 0; i < len(more); i += 2 {
		c[more[i]] = more[i+1]
	}
	return c
}

// where answers with the name of the listener.
func where(o *opened, req *stream.Request) (*stream.Response, error) {
	if req.OneWay {
		return stream.NoResponse, nil
	}
	return &stream.Response{Status: 200, ContentLength: int64(len(o.listener)), Body: io.NopCloser(strings.NewReader(o.listener))}, nil
}

// TestChannels: each call takes the channel that it names, the first if none.
func TestChannels(t *testing.T) {
	inv, all, warned := channels(t, map[string]any{"channel": []any{
		channelOf("http", "a"), channelOf("bolt", "b"), channelOf("boltv2", "c", "name", "new"), channelOf("http2", "d"), channelOf("http", "e"),
	}}, where)
	for name, want := range map[string]string{"": "a", "http": "a", "bolt": "b", "new": "c", "http2": "d"} {
		resp, err := inv.Invoke(t.Context(), &rpc.Request{ID: "s", Channel: name})
		if err != nil || string(resp.Data) != want {
			t.Errorf("channel %q: %v, %v, want %s", name, resp, err, want)
		}
	}
	_, err := inv.Invoke(t.Context(), &rpc.Request{Channel: "boltv2"})
	if e, ok := rpc.AsError(err); !ok || e.Code != rpc.InvalidCall || !strings.Contains(e.Msg, "http, bolt, new, http2") {
		t.Errorf("a channel that is none: %v", err)
	}
	if len(*warned) != 1 || !strings.Contains((*warned)[0], "channel[4]") || !strings.Contains((*warned)[0], "channel[0]") {
		t.Errorf("warned of %q", *warned)
	}
	var protocols []string
	for _, o := range *all {
		protocols = append(protocols, o.protocol)
	}
	if want := []string{"Http1", "bolt", "boltv2", "Http2", "Http1"}; !slices.Equal(protocols, want) {
		t.Errorf("opened %v, want %v", protocols, want)
	}
	if err := errors.Join(inv.Close(), inv.Close()); err != nil {
		t.Errorf("Close twice: %v", err)
	}
	for _, o := range *all {
		if o.closed != 1 {
			t.Errorf("%s: closed %d times", o.listener, o.closed)
		}
	}
}

// TestHalfOpened: what was opened is closed when a later channel cannot be.
func TestHalfOpened(t *testing.T) {
	closed := 0
	_, err := New(components.Config{Section: "config", Metadata: map[string]any{"channel": []any{channelOf("http", "a"), channelOf("bolt", "b")}}},
		func(listener, _ string, _ int) (stream.Handler, func(), error) {
			if listener == "b" {
				return nil, nil, errors.New("no listener b")
			}
			return &fake{}, func() { closed++ }, nil
		})
	if err == nil || !strings.Contains(err.Error(), "channel[1]: no listener b") || closed != 1 {
		t.Errorf("%v, closed %d", err, closed)
	}
}

func TestBoltRequest(t *testing.T) {
	const class = "bolt-class=com.pay.Request"
	for _, c := range []struct {
		name string
		req  rpc.Request
		want []string
	}{
		{"id and method", rpc.Request{ID: "s:1.0", Method: "pay"}, []string{
			"service=s:1.0", "sofa_head_target_service=s:1.0", "sofa_head_method_name=pay", class, "bolt-codec=1",
		}},
		{"as the caller says", rpc.Request{ID: "s", Method: "m", Header: []rpc.Pair{
			{Name: "sofa_head_target_service", Value: "t"}, {Name: "sofa_head_method_name", Value: "n"}, {Name: "bolt-class", Value: "C"}, {Name: "bolt-codec", Value: "11"},
		}}, []string{"sofa_head_target_service=t", "sofa_head_method_name=n", "bolt-class=C", "bolt-codec=11"}},
		{"service only", rpc.Request{ID: "s", Header: []rpc.Pair{{Name: "service", Value: "t"}}}, []string{"service=t", class, "bolt-codec=1"}},
		{"what HTTP has", rpc.Request{Verb: "POST", Query: "a=b", ContentType: "application/json", Header: []rpc.Pair{
			{Name: "x", Value: "1"}, {Name: "x", Value: "2"}, {Name: "rpc-status", Value: "0"}, {Name: "Content-Type", Value: "text/plain"},
		}}, []string{"x=1", "x=2", "content-type=application/json", "verb=POST", "query_string=a=b", class, "bolt-codec=1"}},
	} {
		var got []string
		inv, _, _ := channels(t, map[string]any{"channel": []any{channelOf("bolt", "b")}}, func(o *opened, req *stream.Request) (*stream.Response, error) {
			for n, v := range req.Header.All() {
				got = append(got, n+"="+v)
			}
			if req.Method != c.req.Method || req.Path != "" || req.Authority != "" {
				t.Errorf("%s: %+v", c.name, req)
			}
			return where(o, req)
		})
		if _, err := inv.Invoke(t.Context(), &c.req); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v\nsent %v\nwant %v", c.name, err, got, c.want)
		}
	}
}

// TestBoltTimeout: the frame says the whole limit, or what the caller's context leaves.
func TestBoltTimeout(t *testing.T) {
	short, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	for _, c := range []struct {
		ctx     context.Context
		timeout time.Duration
		low     time.Duration
		high    time.Duration
	}{
		{t.Context(), 0, 3 * time.Second, 3 * time.Second},
		{t.Context(), time.Minute, time.Minute, time.Minute},
		{short, time.Hour, 5 * time.Minute, 10 * time.Minute},
	} {
		inv, _, _ := channels(t, map[string]any{"channel": []any{channelOf("bolt", "b")}}, func(o *opened, req *stream.Request) (*stream.Response, error) {
			if req.Timeout < c.low || req.Timeout > c.high {
				t.Errorf("the frame says %v, want %v to %v", req.Timeout, c.low, c.high)
			}
			return where(o, req)
		})
		if _, err := inv.Invoke(c.ctx, &rpc.Request{Timeout: c.timeout}); err != nil {
			t.Error(err)
		}
	}
}

func TestBoltAnswer(t *testing.T) {
	for status, want := range map[int]struct {
		code rpc.Code
		text string
	}{
		1: {rpc.Unavailable, "bolt error code 1"}, 2: {rpc.Unavailable, "bolt error code 2"}, 3: {rpc.Unavailable, "bolt error code 3"},
		4: {rpc.Unavailable, "bolt error code 4"}, 5: {rpc.Unavailable, "bolt error code 5"}, 6: {rpc.Unavailable, "bolt error code 6"},
		7: {rpc.Timeout, "bolt error code 7"}, 8: {rpc.Unavailable, "bolt error code 8"}, 9: {rpc.Internal, "bolt error code 9"},
		16: {rpc.Unavailable, "bolt error code 16"}, 17: {rpc.Internal, "bolt error code 17"}, 18: {rpc.Internal, "bolt error code 18"},
		99: {rpc.Unavailable, "bolt error code 99"},
	} {
		inv, _, _ := channels(t, map[string]any{"channel": []any{channelOf("bolt", "b")}}, func(*opened, *stream.Request) (*stream.Response, error) {
			resp := &stream.Response{Status: 500}
			resp.Header.Add("rpc-status", "0") // the service's own, which lies
			resp.Header.Add("rpc-status", fmt.Sprint(status))
			return resp, nil
		})
		_, err := inv.Invoke(t.Context(), &rpc.Request{})
		if e, ok := rpc.AsError(err); !ok || e.Code != want.code || !strings.HasPrefix(e.Msg, want.text) {
			t.Errorf("status %d: %v", status, err)
		}
	}
	inv, _, _ := channels(t, map[string]any{"channel": []any{channelOf("bolt", "b")}}, func(*opened, *stream.Request) (*stream.Response, error) {
		resp := &stream.Response{Status: 200}
		resp.Header.Add("a", "1")
		resp.Header.Add("rpc-status", "0")
		return resp, nil
	})
	resp, err := inv.Invoke(t.Context(), &rpc.Request{})
	if err != nil || resp.Status != 200 || !slices.Equal(resp.Header, []rpc.Pair{{Name: "a", Value: "1"}}) {
		t.Errorf("success: %+v, %v", resp, err)
	}
}

func TestBoltFailures(t *testing.T) {
	for _, c := range []struct {
		err  *stream.Error
		code rpc.Code
		text string
	}{
		{&stream.Error{Kind: stream.Timeout}, rpc.Timeout, "request timeout"},
		{&stream.Error{Kind: stream.Timeout, Err: errors.New("connection pool timeout")}, rpc.Timeout, "connection pool timeout"},
		{&stream.Error{Kind: stream.Reset, Side: stream.Upstream}, rpc.Unavailable, ""},
		{&stream.Error{Kind: stream.Canceled}, rpc.Canceled, ""},
		{&stream.Error{Kind: stream.BadMessage, Side: stream.Downstream}, rpc.InvalidCall, ""},
		{&stream.Error{Kind: stream.BadMessage, Side: stream.Upstream}, rpc.Unavailable, ""},
		{&stream.Error{Kind: stream.TooLarge}, rpc.TooLarge, ""},
	} {
		inv, _, _ := channels(t, map[string]any{"channel": []any{channelOf("bolt", "b")}}, func(*opened, *stream.Request) (*stream.Response, error) { return nil, c.err })
		_, err := inv.Invoke(t.Context(), &rpc.Request{})
		if e, ok := rpc.AsError(err); !ok || e.Code != c.code || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%v: %v", c.err, err)
		}
	}
}

func TestOneWay(t *testing.T) {
	inv, _, _ := channels(t, map[string]any{"channel": []any{channelOf("bolt", "b")}, "after_invoke": []any{map[string]any{"name": "fail"}}},
		func(o *opened, req *stream.Request) (*stream.Response, error) {
			if !req.OneWay {
				t.Error("not one-way")
			}
			return where(o, req)
		},
		rpc.Callback{Name: "fail", After: func(components.Config) (rpc.After, error) {
			return func(context.Context, *rpc.Request, *rpc.Response) error { return errors.New("after a one-way call") }, nil
		}})
	resp, err := inv.Invoke(t.Context(), &rpc.Request{OneWay: true})
	if err != nil || resp == nil || len(resp.Data) != 0 {
		t.Errorf("%v, %v", resp, err)
	}
}

// TestTarget: an address that a call names is gone to, over connections that are
// kept; only so many addresses are.
func TestTarget(t *testing.T) {
	inv, all, _ := channels(t, map[string]any{"channel": []any{channelOf("boltv2", "b")}}, where)
	call := func(target string) (string, error) {
		resp, err := inv.Invoke(t.Context(), &rpc.Request{Target: target})
		if err != nil {
			return "", err
		}
		return string(resp.Data), nil
	}
	for range 2 {
		if got, err := call("10.0.0.1:80"); got != "10.0.0.1:80" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	if n := len(*all); n != 2 || (*all)[1].protocol != "boltv2" {
		t.Errorf("opened %d", n)
	}
	for _, bad := range []string{"x", ":80", "10.0.0.1:0", "10.0.0.1:http", "10.0.0.1:99999"} {
		_, err := call(bad)
		if e, ok := rpc.AsError(err); !ok || e.Code != rpc.InvalidCall {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for i := range mostTargets {
		if _, err := call(fmt.Sprintf("10.0.1.1:%d", 1000+i)); err != nil {
			t.Fatal(err)
		}
	}
	open := 0
	for _, o := range *all {
		open += 1 - o.closed
	}
	if open != mostTargets+1 || (*all)[1].closed != 1 {
		t.Errorf("%d are open, the first address is closed %d times", open, (*all)[1].closed)
	}
	if err := inv.Close(); err != nil {
		t.Fatal(err)
	}
	for _, o := range *all {
		if o.closed != 1 {
			t.Errorf("%s: closed %d times", o.listener, o.closed)
		}
	}
	if _, err := call("10.0.0.1:80"); err == nil {
		t.Error("a call after Close went on")
	}
}

// TestTargetsAllInUse: an address that a call uses is not given up.
func TestTargetsAllInUse(t *testing.T) {
	ts := targets{open: func(string) (stream.Handler, func(), error) { return &fake{}, func() {}, nil }}
	for i := range mostTargets {
		if _, err := ts.take(fmt.Sprintf("h:%d", 1+i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ts.take("h:1"); err != nil {
		t.Error(err)
	}
	if e, ok := rpc.AsError(func() error { _, err := ts.take("h:9999"); return err }()); !ok || e.Code != rpc.Unavailable {
		t.Errorf("%v", e)
	}
}

// TestCallbacks: they run in order, get their settings, see and change the call
// and the answer, and an error of one is the end.
func TestCallbacks(t *testing.T) {
	sign := rpc.Callback{
		Name: "sign",
		Before: func(cfg components.Config) (rpc.Before, error) {
			var c struct {
				Key string `json:"key"`
			}
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			return func(_ context.Context, req *rpc.Request) error {
				if c.Key == "broken" {
					return errors.New("no key")
				}
				req.Header = append(req.Header, rpc.Pair{Name: "sign", Value: c.Key})
				return nil
			}, nil
		},
		After: func(components.Config) (rpc.After, error) {
			return func(_ context.Context, req *rpc.Request, resp *rpc.Response) error {
				if string(resp.Data) == "forged" {
					return &rpc.Error{Code: rpc.Internal, Msg: "forged"}
				}
				resp.Data = append(resp.Data, fmt.Sprint(" for ", req.ID, len(req.Header))...)
				return nil
			}, nil
		},
	}
	entry := func(key string) map[string]any {
		return map[string]any{"name": "sign", "config": map[string]any{"key": key}}
	}
	listener, data := "b", ""
	try := func(keys ...string) (*rpc.Response, error) {
		var before []any
		for _, k := range keys {
			before = append(before, entry(k))
		}
		inv, _, _ := channels(t, map[string]any{
			"channel": []any{channelOf("bolt", listener)}, "before_invoke": before, "after_invoke": []any{map[string]any{"name": "sign"}},
		}, func(o *opened, req *stream.Request) (*stream.Response, error) {
			for n, v := range req.Header.All() {
				if n == "sign" {
					data += v
				}
			}
			return where(o, req)
		}, sign)
		return inv.Invoke(t.Context(), &rpc.Request{ID: "s"})
	}
	if resp, err := try("1", "2"); err != nil || data != "12" || string(resp.Data) != "b for s2" {
		t.Errorf("%v, %v, sent %q", resp, err, data)
	}
	if _, err := try("broken"); err == nil || !strings.Contains(err.Error(), "no key") {
		t.Errorf("%v", err)
	} else if _, ok := rpc.AsError(err); ok {
		t.Errorf("%v has a kind", err)
	}
	listener = "forged"
	if e, ok := rpc.AsError(func() error { _, err := try(); return err }()); !ok || e.Code != rpc.Internal {
		t.Errorf("%v", e)
	}
	_, err := New(components.Config{Section: "config", Metadata: map[string]any{
		"channel": []any{channelOf("bolt", "b")}, "before_invoke": []any{map[string]any{"name": "sign", "config": map[string]any{"key": []any{}}}},
	}}, nil, sign)
	if err == nil || !strings.Contains(err.Error(), "before_invoke[0].config.key") {
		t.Errorf("a callback's own mistake: %v", err)
	}
}
