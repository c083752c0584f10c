package grpccall_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/cmd/cli/grpccall"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// call calls and returns the answers, each in compact JSON.
func call(t testing.TB, ctx context.Context, c *grpccall.Client, method string, requests io.Reader) ([]string, error) {
	t.Helper()
	md, err := c.Method(ctx, method)
	if err != nil {
		return nil, err
	}
	var answers []string
	err = c.Call(ctx, grpccall.Call{Method: md, Requests: requests, OnMessage: func(text []byte) error {
		var v any
		if err := json.Unmarshal(text, &v); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		compact, err := json.Marshal(v)
		answers = append(answers, string(compact))
		return err
	}})
	return answers, err
}

func TestCallKinds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		method, requests string
		want             []string // answers
		asked            []string // what the server got
		err              string
	}{
		"unary":              {"Runtime/SayHello", `{"name": "eva"}`, []string{`{"hello":"hello eva"}`}, []string{"eva"}, ""},
		"unary, full":        {"/spec.proto.runtime.v1.Runtime/SayHello", `{"name": "eva"}`, []string{`{"hello":"hello eva"}`}, []string{"eva"}, ""},
		"unary, dot":         {"v1.Runtime.SayHello", `{"name": "eva"}`, []string{`{"hello":"hello eva"}`}, []string{"eva"}, ""},
		"unary, text name":   {"Runtime/SayHello", `{"service_name": "", "name": "eva"}`, []string{`{"hello":"hello eva"}`}, []string{"eva"}, ""},
		"unary, no request":  {"Runtime/SayHello", ``, []string{`{"hello":"hello "}`}, []string{""}, ""},
		"unary, two":         {"Runtime/SayHello", "{}\n {}", nil, nil, "line 2, column 2: spec.proto.runtime.v1.Runtime.SayHello takes one request, this is a second one"},
		"unary, error":       {"Runtime/SayHello", `{"name": "fail"}`, nil, []string{"fail"}, "NOT_FOUND: no such thing"},
		"any, text":          {"Runtime/SayHello", `{"data": "hällo \"x\""}`, []string{`{"data":{"value":"hällo \"x\""},"hello":"hello "}`}, []string{""}, ""},
		"any, empty text":    {"Runtime/SayHello", `{"data": ""}`, []string{`{"data":{"value":""},"hello":"hello "}`}, []string{""}, ""},
		"any, object":        {"Runtime/SayHello", `{"data": {"a": [1, {"b": null}] , "c": "d e"}}`, []string{`{"data":{"value":"{\"a\":[1,{\"b\":null}],\"c\":\"d e\"}"},"hello":"hello "}`}, []string{""}, ""},
		"any, list":          {"Runtime/SayHello", `{"data": [ 1, 2 ]}`, []string{`{"data":{"value":"[1,2]"},"hello":"hello "}`}, []string{""}, ""},
		"any, message":       {"Runtime/SayHello", `{"data": {"@type": "x/spec.proto.runtime.v1.GetFileRequest", "name": "n"}}`, []string{`{"data":{"@type":"x/spec.proto.runtime.v1.GetFileRequest","name":"n"},"hello":"hello "}`}, []string{""}, ""},
		"any, well-known":    {"Runtime/SayHello", `{"data": {"@type": "x/google.protobuf.StringValue", "value": "n"}}`, []string{`{"data":{"@type":"x/google.protobuf.StringValue","value":"n"},"hello":"hello "}`}, []string{""}, ""},
		"any, number":        {"Runtime/SayHello", `{"data": 17}`, nil, nil, "line 1, column 10: 17 is no google.protobuf.Any: write a text, an object or a list"},
		"any, null":          {"Runtime/SayHello", `{"data": null}`, []string{`{"hello":"hello "}`}, []string{""}, ""},
		"any, unknown type":  {"Runtime/SayHello", `{"data": {"@type": "x/un.Known"}}`, nil, nil, `line 1, column 20: unable to resolve "x/un.Known": "not found"`},
		"server stream":      {"Runtime/GetFile", `{"name": "ab"}`, []string{`{"data":"YQ=="}`, `{"data":"Yg=="}`}, []string{"ab"}, ""},
		"server stream, nil": {"Runtime/GetFile", `{}`, nil, []string{""}, ""},
		"server stream, err": {"Runtime/GetFile", `{"name": "a", "storeName": "torn"}`, []string{`{"data":"YQ=="}`}, []string{"a"}, "DATA_LOSS: torn off"},
		"client stream":      {"Runtime/PutFile", `{"data": "YQ=="} {"data": "Yg=="}` + "\n" + `{"data": "Yw=="}`, []string{`{}`}, []string{"a", "b", "c"}, ""},
		"client stream, nil": {"Runtime/PutFile", ` `, []string{`{}`}, nil, ""},
		"client stream, err": {"Runtime/PutFile", `{"storeName": "full"} {}`, nil, nil, "RESOURCE_EXHAUSTED: no room"},
		"client stream, bad": {"Runtime/PutFile", "{\"data\": \"YQ==\"}\n{\"date\": 1}", nil, nil, `line 2, column 2: spec.proto.runtime.v1.PutFileRequest has no field "date" (did you mean data?); its fields: storeName, name, data, metadata`},
		"both streams":       {"Runtime/SubscribeConfiguration", `{"storeName": "a"} {"storeName": "b"}`, []string{`{"storeName":"a"}`, `{"storeName":"b"}`}, nil, ""},
		"not there":          {"Runtime/GetSecret", `{}`, nil, nil, "UNIMPLEMENTED: method GetSecret not implemented"},
		"cut off":            {"Runtime/SayHello", `{"name":` + "\n", nil, nil, "line 2, column 1: the JSON ends too early"},
		"no JSON":            {"Runtime/SayHello", "{\n  \"name\": eva}", nil, nil, "line 2, column 11: invalid character 'e' looking for beginning of value"},
		"no object":          {"Runtime/SayHello", `"eva"`, nil, nil, `line 1, column 1: syntax error unexpected token "eva"`},
		"wrong kind":         {"Runtime/SayHello", "{\n  \"name\": 3}", nil, nil, "line 2, column 11: invalid value for string field name: 3"},
		"unknown field":      {"Runtime/SayHello", `{"nam": "eva"}`, nil, nil, `line 1, column 2: spec.proto.runtime.v1.SayHelloRequest has no field "nam" (did you mean name?); its fields: serviceName, name, data`},
		"twice":              {"Runtime/SayHello", `{"name": "a", "name": "b"}`, nil, nil, `line 1, column 15: duplicate field "name"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, c := serveFake(t)
			got, err := call(t, timeout(t), c, tc.method, strings.NewReader(tc.requests))
			if text := fmt.Sprint(err); tc.err == "" && err != nil || tc.err != "" && text != tc.err {
				t.Errorf("error %q, want %q", text, tc.err)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("answers\n%q, want\n%q", got, tc.want)
			}
			for _, want := range tc.asked {
				select {
				case asked := <-f.requests:
					if asked != want {
						t.Errorf("the server was asked for %q, want %q", asked, want)
					}
				default:
					t.Errorf("the server was not asked for %q", want)
				}
			}
		})
	}
}

// A request is sent when it is complete, not when the input ends: a conversation.
func TestCallConversation(t *testing.T) {
	t.Parallel()
	_, c := serveFake(t)
	in, out := io.Pipe()
	defer func() { _ = out.Close() }()
	ctx := timeout(t)
	md, err := c.Method(ctx, "Runtime/SubscribeConfiguration")
	if err != nil {
		t.Fatal(err)
	}
	questions := []string{"one", "two", "three"}
	ask := func() error {
		if len(questions) == 0 {
			return out.Close()
		}
		q := questions[0]
		questions = questions[1:]
		_, err := fmt.Fprintf(out, `{"storeName": %q}`, q)
		return err
	}
	firstAsked := make(chan error, 1)
	go func() { firstAsked <- ask() }()
	var got []string
	err = c.Call(ctx, grpccall.Call{Method: md, Requests: in, OnMessage: func(text []byte) error {
		got = append(got, string(text))
		return ask()
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-firstAsked; err != nil {
		t.Error(err)
	}
	if len(got) != 3 || !strings.Contains(got[2], "three") {
		t.Errorf("answers %q, want one, two, three", got)
	}
}

func TestCallStatusDetails(t *testing.T) {
	t.Parallel()
	_, c := serveFake(t)
	_, err := call(t, timeout(t), c, "Runtime/SayHello", strings.NewReader(`{"name": "fail"}`))
	e, ok := errors.AsType[*grpccall.StatusError](err)
	if !ok {
		t.Fatalf("error %v, want a StatusError", err)
	}
	if status.Code(err) != codes.NotFound {
		t.Errorf("status.Code = %v, want NotFound", status.Code(err))
	}
	if len(e.Details) != 2 {
		t.Fatalf("details %v, want two", e.Details)
	}
	var info map[string]any
	if err := json.Unmarshal(e.Details[0].JSON, &info); err != nil || info["reason"] != "GONE" || info["domain"] != "test" {
		t.Errorf("first detail %s (%v), want an ErrorInfo", e.Details[0].JSON, err)
	}
	if want := `"value": "//4="`; !strings.Contains(string(e.Details[1].JSON), want) {
		t.Errorf("second detail %s, want %s", e.Details[1].JSON, want)
	}
}

func TestCallMetadata(t *testing.T) {
	t.Parallel()
	_, c := serveFake(t)
	ctx := metadata.NewOutgoingContext(timeout(t), metadata.Pairs("x-test", "v"))
	md, err := c.Method(ctx, "Runtime/SayHello")
	if err != nil {
		t.Fatal(err)
	}
	var header, trailer metadata.MD
	err = c.Call(ctx, grpccall.Call{
		Method: md, Requests: strings.NewReader(`{}`), OnMessage: func([]byte) error { return nil },
		OnHeader: func(md metadata.MD) { header = md }, OnTrailer: func(md metadata.MD) { trailer = md },
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(header.Get("echo"), []string{"v"}) || !slices.Equal(header.Get("raw-bin"), []string{"\x00\xff"}) {
		t.Errorf("header %v", header)
	}
	if !slices.Equal(trailer.Get("end"), []string{"reached"}) {
		t.Errorf("trailer %v", trailer)
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	f, c := serveFake(t)
	ctx, cancel := context.WithCancel(timeout(t))
	result := make(chan error, 1)
	go func() {
		_, err := call(t, ctx, c, "Runtime/SayHello", strings.NewReader(`{"name": "wait"}`))
		result <- err
	}()
	if got := <-f.requests; got != "wait" {
		t.Fatalf("asked for %q", got)
	}
	cancel()
	if err := <-result; status.Code(err) != codes.Canceled {
		t.Errorf("error %v, want CANCELLED", err)
	}
}

func TestCallStopsWhenAnswersAreRefused(t *testing.T) {
	t.Parallel()
	_, c := serveFake(t)
	ctx := timeout(t)
	md, err := c.Method(ctx, "Runtime/GetFile")
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	n := 0
	err = c.Call(ctx, grpccall.Call{Method: md, Requests: strings.NewReader(`{"name": "abc"}`), OnMessage: func([]byte) error {
		n++
		return full
	}})
	if !errors.Is(err, full) || n != 1 {
		t.Errorf("error %v after %d answers, want %v after 1", err, n, full)
	}
}

func TestMessageSizes(t *testing.T) {
	t.Parallel()
	address := serve(t, "tcp", func(s *grpc.Server) {
		runtimev1.RegisterRuntimeServer(s, &fake{requests: make(chan string, 10)})
		reflection.Register(s)
	})
	c, err := grpccall.New(grpccall.Options{Address: address, MaxMessageSize: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ctx := timeout(t)
	md, err := c.Method(ctx, "Runtime/SayHello")
	if err != nil {
		t.Fatal(err)
	}
	for size, want := range map[int]string{
		99_900:  "",
		99_992:  "RESOURCE_EXHAUSTED: grpc: received message larger", // by a greeting
		150_000: "RESOURCE_EXHAUSTED: trying to send message larger",
		500_000: "larger than a message may be",
	} {
		err := c.Call(ctx, grpccall.Call{
			Method: md, MaxMessageSize: 200_000,
			Requests:  strings.NewReader(`{"name": "` + strings.Repeat("n", size) + `"}`),
			OnMessage: func([]byte) error { return nil },
		})
		if want == "" && err != nil || want != "" && !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%d bytes: error %v, want %q", size, err, want)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	c := client(t, serve(t, "unix", func(s *grpc.Server) {
		runtimev1.RegisterRuntimeServer(s, &fake{requests: make(chan string, 10)})
		reflection.Register(s)
	}))
	got, err := call(t, timeout(t), c, "Runtime/SayHello", strings.NewReader(`{}`))
	if err != nil || len(got) != 1 {
		t.Errorf("answers %q, %v", got, err)
	}
}

// A server that has only the older reflection.
func TestOldReflection(t *testing.T) {
	t.Parallel()
	c := client(t, serve(t, "tcp", func(s *grpc.Server) {
		runtimev1.RegisterRuntimeServer(s, &fake{requests: make(chan string, 10)})
		reflectionv1alpha.RegisterServerReflectionServer(s, reflection.NewServer(reflection.ServerOptions{Services: s}))
	}))
	got, err := call(t, timeout(t), c, "Runtime/SayHello", strings.NewReader(`{"name": "eva"}`))
	if err != nil || !slices.Equal(got, []string{`{"hello":"hello eva"}`}) {
		t.Errorf("answers %q, %v", got, err)
	}
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	gone := testserver.Addr(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	other, err := net.Listen("tcp", "127.0.0.1:0") // speaks something else
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := other.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_, _ = io.Copy(io.Discard, conn) // until the client gives up
			_ = conn.Close()
		}
	}()
	defer func() { _ = other.Close(); <-done }()
	mute := serve(t, "tcp", func(*grpc.Server) {})
	for name, tc := range map[string]struct{ address, want string }{
		"refused":       {gone, "nobody answers at " + gone + ": connect: connection refused"},
		"no socket":     {"unix:" + t.TempDir() + "/none", "connect: no such file or directory"},
		"silent":        {silent.Addr().String(), "no answer from " + silent.Addr().String() + " in time"},
		"not gRPC":      {other.Addr().String(), "does not speak gRPC"},
		"no reflection": {mute, "the server at " + mute + " has no reflection"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := timeout(t)
			if name == "silent" {
				short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
				ctx = short
			}
			_, err := call(t, ctx, client(t, tc.address), "Runtime/SayHello", strings.NewReader(`{}`))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestBadAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "34904", "localhost", "localhost:", "unix:", "http://localhost:1/"} {
		if c, err := grpccall.New(grpccall.Options{Address: address}); err == nil {
			t.Errorf("%q: no error", address)
			_ = c.Close()
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	_, c := serveFake(t)
	for name, want := range map[string][]string{
		"Runtime/SayHallo":     {`spec.proto.runtime.v1.Runtime has no method "SayHallo" (did you mean SayHello?)`, "\n  GetState\n", "\n  PutFile\n"},
		"Runtime/Nothing":      {`has no method "Nothing"; it has:`},
		"Runtme/SayHello":      {`no service "Runtme" (did you mean spec.proto.runtime.v1.Runtime?)`, "\n  spec.proto.runtime.v1.Lifecycle"},
		"spec.Runtime/X":       {`no service "spec.Runtime"`},
		"Lifecycle/X":          {`"Lifecycle" can be several services`, "\n  other.v1.Lifecycle\n  spec.proto.runtime.v1.Lifecycle"},
		"other.v1.Lifecycle/X": {"asking the server what other.v1.Lifecycle is", "other.v1.Lifecycle but does not describe it"},
		"SayHello":             {`"SayHello" is not SERVICE/METHOD`},
		"/":                    {"is not SERVICE/METHOD"},
	} {
		_, err := c.Method(timeout(t), name)
		found := 0
		for _, w := range want {
			if err != nil && strings.Contains(err.Error(), w) {
				found++
			}
		}
		if found < len(want) && (found == 0 || !strings.HasPrefix(name, "other")) {
			t.Errorf("%s: error %v, want %q", name, err, want)
		}
	}
	if services, err := c.Services(timeout(t)); err != nil || len(services) != 5 || !slices.IsSorted(services) {
		t.Errorf("Services = %q, %v", services, err)
	}
}
