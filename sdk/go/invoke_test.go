package ottavo_test

import (
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/anypb"

	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

func TestInvoke(t *testing.T) {
	f, client := serve(t)
	f.answer = &runtimev1.InvokeResponse{Data: &anypb.Any{Value: []byte("pong")}, ContentType: "text/plain"}
	f.send = metadata.Pairs("x-one", "1", "x-one", "2", "x-two", "3")
	ctx := metadata.AppendToOutgoingContext(timeout(t), "from-context", "kept")
	resp, err := client.Invoke(ctx, "HelloService:1.0", &ottavo.Request{
		Method: "/hello", Verb: "POST", Query: "a=b", ContentType: "text/plain", Data: []byte("ping"),
		Header: http.Header{"X-Token": {"a", "b"}}, Timeout: 1500 * time.Microsecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	if string(resp.Data) != "pong" || resp.ContentType != "text/plain" ||
		!reflect.DeepEqual(resp.Header, http.Header{"X-One": {"1", "2"}, "X-Two": {"3"}}) {
		t.Errorf("%+v", resp)
	}
	f.wantSent(t, &runtimev1.InvokeServiceRequest{Id: "HelloService:1.0", Message: &runtimev1.CommonInvokeRequest{
		Method: "/hello", Data: &anypb.Any{Value: []byte("ping")}, ContentType: "text/plain",
		HttpExtension: &runtimev1.HTTPExtension{Verb: runtimev1.HTTPExtension_POST, Querystring: "a=b"},
	}})
	for name, want := range map[string][]string{"x-token": {"a", "b"}, "rpc_request_timeout": {"2"}, "from-context": {"kept"}} {
		if got := f.header.Get(name); !slices.Equal(got, want) {
			t.Errorf("metadata %s: %q, want %q", name, got, want)
		}
	}
}

func TestInvokeNothingMore(t *testing.T) {
	f, client := serve(t)
	resp, err := client.Invoke(timeout(t), "s", &ottavo.Request{Method: "m"})
	if err != nil || len(resp.Data) != 0 || len(resp.Header) != 0 {
		t.Errorf("%+v, %v", resp, err)
	}
	f.wantSent(t, &runtimev1.InvokeServiceRequest{Id: "s", Message: &runtimev1.CommonInvokeRequest{Method: "m", HttpExtension: &runtimev1.HTTPExtension{}}})
	for name, got := range f.header {
		if strings.HasPrefix(name, "rpc_") {
			t.Errorf("metadata %s: %q, which nobody asked for", name, got)
		}
	}
}

// What a call says to the runtime is metadata, each under its own name.
func TestInvokeThroughChannel(t *testing.T) {
	f, client := serve(t)
	resp, err := client.Invoke(timeout(t), "Pay:1.0", &ottavo.Request{
		Method: "pay", Data: []byte("ping"), Header: http.Header{"X-Token": {"a"}},
		OneWay: true, Target: "10.0.0.1:12200", Invoker: "second", Channel: "bolt", Timeout: time.Second,
	})
	if err != nil || len(resp.Data) != 0 {
		t.Errorf("%+v, %v", resp, err)
	}
	f.wantSent(t, &runtimev1.InvokeServiceRequest{Id: "Pay:1.0", Message: &runtimev1.CommonInvokeRequest{
		Method: "pay", Data: &anypb.Any{Value: []byte("ping")}, HttpExtension: &runtimev1.HTTPExtension{},
	}})
	for name, want := range map[string]string{
		"rpc_request_type": "oneway", "rpc_target_address": "10.0.0.1:12200", "rpc_invoker": "second", "rpc_channel": "bolt",
		"rpc_request_timeout": "1000", "x-token": "a",
	} {
		if got := f.header.Get(name); !slices.Equal(got, []string{want}) {
			t.Errorf("metadata %s: %q, want %q", name, got, want)
		}
	}
}

func TestInvokeError(t *testing.T) {
	f, client := serve(t)
	f.err = detailed(t, codes.Unavailable, "http response code 404, body: no", "CALLEE_STATUS",
		map[string]string{"http.status": "404", "http.header.x-why": "because"})
	_, err := client.Invoke(timeout(t), "s", &ottavo.Request{})
	e, ok := errors.AsType[*ottavo.Error](err)
	if !ok || e.HTTPStatus != 404 || e.Reason != "CALLEE_STATUS" || e.Details["http.header.x-why"] != "because" {
		t.Errorf("%#v", err)
	}
}

// What gRPC cannot carry is an error that says so, and nothing is sent.
func TestInvokeRefused(t *testing.T) {
	f, client := serve(t)
	for name, c := range map[string]struct {
		req  ottavo.Request
		want string
	}{
		"verb":              {ottavo.Request{Verb: "get"}, `verb "get"`},
		"content type":      {ottavo.Request{Header: http.Header{"Content-Type": {"a/b"}}}, "use ContentType"},
		"name":              {ottavo.Request{Header: http.Header{"a b": {"x"}}}, `header "a b"`},
		"empty name":        {ottavo.Request{Header: http.Header{"": {"x"}}}, `header ""`},
		"pseudo header":     {ottavo.Request{Header: http.Header{":path": {"x"}}}, `header ":path"`},
		"name of gRPC":      {ottavo.Request{Header: http.Header{"Grpc-Timeout": {"x"}}}, `header "Grpc-Timeout"`},
		"binary":            {ottavo.Request{Header: http.Header{"X-Bin": {"x"}}}, `header "X-Bin"`},
		"line break":        {ottavo.Request{Header: http.Header{"X-A": {"b\r\nc: d"}}}, `header "X-A": the value`},
		"not ASCII":         {ottavo.Request{Header: http.Header{"X-A": {"é"}}}, `header "X-A": the value`},
		"negative timeout":  {ottavo.Request{Timeout: -time.Second}, "Timeout -1s"},
		"target":            {ottavo.Request{Target: "a:1\n"}, `Target "a:1\n"`},
		"invoker":           {ottavo.Request{Invoker: "é"}, `Invoker "é"`},
		"channel":           {ottavo.Request{Channel: "\x00"}, `Channel "\x00"`},
		"second value, too": {ottavo.Request{Header: http.Header{"X-A": {"b", "\x00"}}}, `header "X-A": the value`},
	} {
		if _, err := client.Invoke(timeout(t), "s", &c.req); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if f.got != nil {
		t.Errorf("sent %v", f.got)
	}
}
