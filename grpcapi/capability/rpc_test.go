package capability_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

type invoker func(ctx context.Context, req *rpc.Request) (*rpc.Response, error)

func (i invoker) Invoke(ctx context.Context, req *rpc.Request) (*rpc.Response, error) {
	return i(ctx, req)
}
func (invoker) Close() error { return nil }

func newRPC(i invoker) *capability.RPC {
	return capability.NewRPC(map[string]rpc.Invoker{"mosn": i})
}

func TestInvokeRequest(t *testing.T) {
	var got *rpc.Request
	r := newRPC(func(_ context.Context, req *rpc.Request) (*rpc.Response, error) {
		got = req
		return &rpc.Response{Status: 201, Data: []byte("made")}, nil
	})
	body := []byte("body")
	resp, err := r.Invoke(t.Context(), "mosn", &capability.Call{
		ID: "svc", Method: "/a?b=c", Verb: "PUT", Query: "d=e", ContentType: "text/plain", Data: body,
		Metadata: map[string][]string{
			"x-one": {"1"}, "x-many": {"a", "b"}, "authorization": {"secret"}, "traceparent": {"00-1"}, "id": {"route"},
			"rpc_request_timeout": {"1500"}, "rpc_target_address": {"10.0.0.1:80"}, "rpc_request_type": {"oneway"},
			"rpc_channel": {"bolt"},
			// What belongs to the way from the caller to us.
			":authority": {"localhost"}, "content-type": {"application/grpc"}, "user-agent": {"grpc-go"}, "te": {"trailers"},
			"grpc-accept-encoding": {"gzip"}, "grpc-timeout": {"1S"}, "trace-bin": {"\x00"},
			"connection": {"close"}, "transfer-encoding": {"chunked"}, "content-length": {"4"}, "host": {"evil"}, "": {"x"},
		},
	})
	if err != nil || resp.Status != 201 {
		t.Fatalf("Invoke = %+v, %v: every 2xx is a success", resp, err)
	}
	if got.ID != "svc" || got.Method != "/a?b=c" || got.Verb != "PUT" || got.Query != "d=e" || got.ContentType != "text/plain" ||
		&got.Data[0] != &body[0] || got.Timeout != 1500*time.Millisecond || got.Target != "10.0.0.1:80" || !got.OneWay || got.Channel != "bolt" {
		t.Errorf("request %+v", got)
	}
	var header []string
	for _, p := range got.Header {
		header = append(header, p.Name+"="+p.Value)
	}
	slices.SortStableFunc(header, func(a, b string) int { return strings.Compare(a, b) })
	want := []string{"authorization=secret", "id=route", "traceparent=00-1", "x-many=a", "x-many=b", "x-one=1"}
	if !slices.Equal(header, want) {
		t.Errorf("header %q, want %q", header, want)
	}
}

func TestInvokeTimeout(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 3 * time.Second, "0": 3 * time.Second, "1": time.Millisecond, "2147483647": 2147483647 * time.Millisecond,
	} {
		var got time.Duration
		r := newRPC(func(_ context.Context, req *rpc.Request) (*rpc.Response, error) {
			got = req.Timeout
			return &rpc.Response{}, nil
		})
		if _, err := r.Invoke(t.Context(), "mosn", &capability.Call{Metadata: map[string][]string{"rpc_request_timeout": {text}}}); err != nil || got != want {
			t.Errorf("timeout %q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"-1", "2147483648", "1s", "abc", "1.5"} {
		r := newRPC(func(context.Context, *rpc.Request) (*rpc.Response, error) {
			t.Errorf("timeout %q: the service was called", text)
			return nil, nil
		})
		_, err := r.Invoke(t.Context(), "mosn", &capability.Call{Metadata: map[string][]string{"rpc_request_timeout": {text}}})
		if wantError(t, err, capability.InvalidArgument); !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not have %q", err, text)
		}
	}
}

func TestInvokeErrors(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tc := range []struct {
		test string
		ctx  context.Context
		err  error
		want capability.Kind
	}{
		{"internal", t.Context(), &rpc.Error{Code: rpc.Internal, Msg: "m"}, capability.Internal},
		{"invalid", t.Context(), &rpc.Error{Code: rpc.InvalidCall, Msg: "m"}, capability.InvalidArgument},
		{"timeout", t.Context(), &rpc.Error{Code: rpc.Timeout, Msg: "m"}, capability.Deadline},
		{"canceled", t.Context(), &rpc.Error{Code: rpc.Canceled, Msg: "m"}, capability.Canceled},
		{"unavailable", t.Context(), &rpc.Error{Code: rpc.Unavailable, Msg: "m"}, capability.Unavailable},
		{"too large", t.Context(), &rpc.Error{Code: rpc.TooLarge, Msg: "m"}, capability.TooLarge},
		{"status", t.Context(), &rpc.Error{Code: rpc.Status, Msg: "m", Response: &rpc.Response{Status: 404}}, capability.CalleeStatus},
		{"status of nothing", t.Context(), &rpc.Error{Code: rpc.Status, Msg: "m"}, capability.Internal},
		{"code of the future", t.Context(), &rpc.Error{Code: 200, Msg: "m"}, capability.Unknown},
		{"foreign", t.Context(), errors.New("callback refused"), capability.Unknown},
		{"foreign, caller gone", canceled, context.Canceled, capability.Canceled},
		{"nothing at all", t.Context(), nil, capability.Internal},
	} {
		t.Run(tc.test, func(t *testing.T) {
			r := newRPC(func(context.Context, *rpc.Request) (*rpc.Response, error) { return nil, tc.err })
			_, err := r.Invoke(tc.ctx, "mosn", &capability.Call{})
			if wantError(t, err, tc.want); !errors.Is(err, tc.err) && tc.err != nil {
				t.Errorf("error %v does not wrap %v", err, tc.err)
			}
		})
	}
	// A one-way call has no answer.
	r := newRPC(func(context.Context, *rpc.Request) (*rpc.Response, error) { return nil, nil })
	resp, err := r.Invoke(t.Context(), "mosn", &capability.Call{Metadata: map[string][]string{"rpc_request_type": {"ONEWAY"}}})
	if err != nil || resp == nil {
		t.Errorf("one-way: %v, %v", resp, err)
	}
	for _, none := range []*capability.RPC{nil, capability.NewRPC(nil)} {
		_, err := none.Invoke(t.Context(), "mosn", &capability.Call{})
		wantError(t, err, capability.NotConfigured)
	}
	// A call may name its invoker.
	named := map[string][]string{"rpc_invoker": {"mosn"}, "rpc_request_type": {"oneway"}}
	if _, err := r.Invoke(t.Context(), "other", &capability.Call{Metadata: named}); err != nil {
		t.Errorf("%v: %v", named, err)
	}
	_, err = r.Invoke(t.Context(), "other", &capability.Call{})
	wantError(t, err, capability.UnknownComponent)
}

func TestExcerpt(t *testing.T) {
	for _, tc := range []struct {
		in    string
		limit int
		want  string
	}{
		{"", 4, ""},
		{"abcd", 4, "abcd"},
		{"abcde", 4, "abcd..."},
		{"abäx", 3, "ab..."},
		{"abäx", 4, "abä..."},
		{"a\xff\xfeb", 10, "a\uFFFDb"},
		{"\xff\xff\xff\xff\xff", 2, "\uFFFD..."},
		{"世界", 4, "世..."},
		{"世界", 2, "..."},
		{"abc", 0, "..."},
	} {
		if got := capability.Excerpt([]byte(tc.in), tc.limit); got != tc.want {
			t.Errorf("Excerpt(%q, %d) = %q, want %q", tc.in, tc.limit, got, tc.want)
		}
	}
}

func FuzzExcerpt(f *testing.F) {
	f.Add([]byte("世界"), 4)
	f.Add([]byte{0xf0, 0x9f, 0x98}, 2)
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		if limit < 0 {
			return
		}
		got := capability.Excerpt(b, limit)
		if !utf8.ValidString(got) || len(got) > 3*min(limit, len(b))+len("...") {
			t.Errorf("Excerpt(%q, %d) = %q", b, limit, got)
		}
		if utf8.Valid(b) && !strings.HasPrefix(string(b), strings.TrimSuffix(got, "...")) {
			t.Errorf("Excerpt(%q, %d) = %q, which it does not begin with", b, limit, got)
		}
	})
}
