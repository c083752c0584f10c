package runtimetest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

const file = `
runtime:
  listen: 127.0.0.1:0
  actuator: {listen: 127.0.0.1:0}
  app: {app_id: app1}
  hellos: {helloworld: {type: helloworld, hello: greeting}}
  state: {memory: {type: in-memory}}
  rpcs:
    mosn: {config: {channel: [{protocol: http, listener: egress}]}}
servers:
- listeners:
  - name: egress
    address: 127.0.0.1:0
    filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: Http1, upstream_protocol: Http1, router_config_name: services}}]}]
  routers:
  - router_config_name: services
    virtual_hosts:
    - {name: all, domains: ["*"], routers: [{match: {headers: [{name: id, value: "HelloService:1.0"}]}, route: {cluster_name: hello}}]}
cluster_manager:
  clusters: [{name: hello, hosts: [{address: "%s"}]}]
`

func TestWholeWay(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, body)
	}))
	defer service.Close()
	rt := runtimetest.Start(t, fmt.Sprintf(file, service.Listener.Addr()))
	client := runtimev1.NewRuntimeClient(rt.Client(t))
	hello, err := client.SayHello(t.Context(), &runtimev1.SayHelloRequest{ServiceName: "helloworld", Name: "eva"})
	if err != nil || hello.Hello != "greeting, eva" {
		t.Errorf("SayHello: %v, %v", hello, err)
	}
	resp, err := client.InvokeService(t.Context(), &runtimev1.InvokeServiceRequest{Id: "HelloService:1.0", Message: &runtimev1.CommonInvokeRequest{
		Method: "/hello", Data: &anypb.Any{Value: []byte("hi")}, HttpExtension: &runtimev1.HTTPExtension{Verb: runtimev1.HTTPExtension_POST, Querystring: "a=b"},
	}})
	if err != nil || string(resp.Data.Value) != "POST /hello?a=b hi" {
		t.Errorf("InvokeService: %v, %v", resp, err)
	}
}

// Files that name no ports can be run beside each other, and beside a runtime of the
// user's that has the usual ones.
func TestDefaultPorts(t *testing.T) {
	for range 2 {
		rt := runtimetest.Start(t, "runtime: {hellos: {hello: {type: helloworld, hello: hi}}}\n")
		for _, name := range []string{"runtime", "actuator"} {
			if addr := rt.Addr(t, name); strings.HasSuffix(addr, ":34904") || strings.HasSuffix(addr, ":34999") {
				t.Errorf("%s listens on %s", name, addr)
			}
		}
	}
}
