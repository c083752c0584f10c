package cli_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
)

// callable is a runtime with a service behind it.
const callable = `
runtime:
  listen: 127.0.0.1:0
  actuator: {enabled: false}
  hellos: {helloworld: {type: helloworld, hello: "greeting"}}
  state: {memory: {type: in-memory}}
  rpcs: {mosn: {config: {channel: [{protocol: http, listener: egress}]}}}
servers:
  - listeners:
      - name: egress
        address: 127.0.0.1:0
        filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: Http1, router_config_name: r}}]}]
    routers:
      - router_config_name: r
        virtual_hosts: [{name: v, domains: ["*"], routers: [{match: {prefix: /}, route: {cluster_name: c}}]}]
cluster_manager: {clusters: [{name: c, hosts: [{address: "%s"}]}]}
`

func TestCall(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("X-Service", "yes")
		if r.URL.Path == "/teapot" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = fmt.Fprintf(w, "%s %s %s [%s]", r.Method, r.URL, r.Header.Get("X-Mine"), body)
	}))
	defer service.Close()
	rt := runtimetest.Start(t, fmt.Sprintf(callable, service.Listener.Addr()))
	address := rt.Addr(t, "runtime")

	request := file(t, "request.json", `{"storeName": "memory", "states": [{"key": "k", "value": "aGVsbG8="}]}`)
	for _, tc := range []struct {
		name      string
		args      []string
		stdin     string
		code      int
		out, errs []string
	}{
		{
			"hello",
			[]string{"Runtime/SayHello", "-d", `{"serviceName": "helloworld", "name": "eva", "data": {"x": [1]}}`},
			"", 0,
			[]string{"\"hello\": \"greeting, eva\"", `"value": "{\"x\":[1]}"`},
			nil,
		},
		{"from a file", []string{"Runtime/SaveState", "-d", "@" + request}, "", 0, []string{"{}\n"}, nil},
		{"from standard input", []string{"Runtime/GetState", "-d", "-"}, `{"storeName": "memory", "key": "k"}`, 0, []string{`"data": "aGVsbG8="`}, nil},
		{
			"invoke",
			[]string{
				"Runtime/InvokeService", "-H", "x-mine: a: b", "-v", "-d",
				`{"id": "s", "message": {"method": "/p?q=1", "contentType": "text/plain", "data": "raw \u00e9", "httpExtension": {"verb": "PUT"}}}`,
			},
			"", 0,
			[]string{`"value": "PUT /p?q=1 a: b [raw é]"`, `"contentType": "text/plain"`},
			[]string{"header:\n", "  x-service: yes\n", "trailer:\n"},
		},
		{
			"status of the service",
			[]string{"Runtime/InvokeService", "-d", `{"id": "s", "message": {"method": "/teapot"}}`},
			"", 1, nil,
			[]string{"ottavo: UNAVAILABLE: ", "418", "\n  {\n    \"@type\": \"type.googleapis.com/google.rpc.ErrorInfo\""},
		},
		{
			"error with details",
			[]string{"Runtime/GetState", "-d", `{"storeName": "nope", "key": "k"}`},
			"", 1, nil,
			[]string{"ottavo: INVALID_ARGUMENT: state store nope is not found\n", `"domain": "ottavo"`, `"configured": "memory"`},
		},
		{"not configured", []string{"Runtime/GetSecret"}, "", 1, nil, []string{"ottavo: FAILED_PRECONDITION: "}},
		{"bad JSON", []string{"Runtime/SayHello", "-d", "{\n  \"name\": eva}"}, "", 1, nil, []string{"ottavo: the request, line 2, column 11: invalid character 'e'"}},
		{"unknown field", []string{"Runtime/SayHello", "-d", `{"nam": "eva"}`}, "", 1, nil, []string{"line 1, column 2: ", `no field "nam" (did you mean name?)`}},
		{"unknown method", []string{"Runtime/SayHelo"}, "", 1, nil, []string{"(did you mean SayHello?)", "\n  GetState\n"}},
		{"unknown service", []string{"Runtim/SayHello"}, "", 1, nil, []string{"(did you mean spec.proto.runtime.v1.Runtime?)", "\n  grpc.health.v1.Health\n"}},
		{"ambiguous service", []string{"ServerReflection/X"}, "", 1, nil, []string{`"ServerReflection" can be several services`, "grpc.reflection.v1alpha.ServerReflection"}},
		{"no such file", []string{"Runtime/SayHello", "-d", "@/nowhere"}, "", 1, nil, []string{"ottavo: the request cannot be read: open /nowhere"}},
		{"time", []string{"Health/Watch", "--timeout", "3s"}, "", 1, []string{`"status": "SERVING"`}, []string{"ottavo: DEADLINE_EXCEEDED"}},
		{
			"both streams",
			[]string{"grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "-d", `{"listServices": ""} {"fileByFilename": "x"}`},
			"", 0,
			[]string{`"name": "spec.proto.runtime.v1.Runtime"`, `"errorCode": 5`},
			nil,
		},
		{"too large", []string{"Runtime/SayHello", "--max-message-size", "1KiB", "-d", `{"name": "` + strings.Repeat("n", 2000) + `"}`}, "", 1, nil, []string{"ottavo: "}},
		{"list", []string{"--list"}, "", 0, []string{"grpc.health.v1.Health\n", "spec.proto.runtime.v1.Runtime\n"}, nil},
		{"list methods", []string{"--list", "Runtime"}, "", 0, []string{"spec.proto.runtime.v1.Runtime/SayHello(SayHelloRequest) returns (SayHelloResponse)\n", "returns (stream GetFileResponse)", "(google.protobuf.Empty)"}, nil},
		{"list unknown", []string{"--list", "Nothing"}, "", 1, nil, []string{`no service "Nothing"`}},
		{"describe", []string{"--describe", "Runtime/InvokeService"}, "", 0, []string{"InvokeService(InvokeServiceRequest)", "\n  message  CommonInvokeRequest\n", "NONE | GET", "ottavo call spec.proto.runtime.v1.Runtime/InvokeService -d '{\"id\": \"text\""}, nil},
		{"describe, dots", []string{"--describe", "spec.proto.runtime.v1.Runtime.SayHello"}, "", 0, []string{"serviceName"}, nil},
		{"describe service", []string{"--describe", "Lifecycle"}, "", 0, []string{"Lifecycle/ApplyConfiguration("}, nil},
		{"describe message", []string{"--describe", "spec.proto.runtime.v1.StateItem"}, "", 0, []string{"bytes, in base64", "etag"}, nil},
		{"describe unknown", []string{"--describe", "Runtime/Nothing"}, "", 1, nil, []string{`no method "Nothing"`}},
		{"describe nothing", []string{"--describe", "Nothing"}, "", 1, nil, []string{`no service "Nothing"`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			command{args: append([]string{"call", "--address", address}, tc.args...), stdin: tc.stdin}.run(t).wants(t, tc.code, tc.out, tc.errs)
		})
	}
}

func TestCallWithoutServer(t *testing.T) {
	t.Parallel()
	closed := testserver.Addr(t)
	r := run(t, "call", "--address", closed, "Runtime/SayHello")
	r.wants(t, 1, nil, []string{"ottavo: nobody answers at " + closed + ": connect: connection refused"})
	if n := strings.Count(r.errors, closed); n != 1 {
		t.Errorf("the address is said %d times", n)
	}
}
