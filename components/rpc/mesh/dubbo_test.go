package mesh_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/dubbo"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

const dubboFile = `
runtime:
  listen: 127.0.0.1:0
  actuator: {enabled: false}
  rpcs: {mosn: {config: {channel: [{protocol: dubbo, listener: egress}]}}}
servers:
- listeners:
  - {name: egress, bind_port: false, filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: dubbo, upstream_protocol: dubbo, router_config_name: r}}]}]}
  routers:
  - router_config_name: r
    virtual_hosts: [{domains: ["*"], routers: [{match: {headers: [{name: service, value: com.Pay}]}, route: {cluster_name: pay}}]}]
cluster_manager: {clusters: [{name: pay, hosts: [{address: %q}]}]}
`

// hessian returns strings, shorter than 32 bytes, in Hessian 2.
func hessian(texts ...string) string {
	var b strings.Builder
	for _, s := range texts {
		b.WriteByte(byte(len(s)))
		b.WriteString(s)
	}
	return b.String()
}

// TestInvokeOverDubbo: data is the body of a frame, both ways.
func TestInvokeOverDubbo(t *testing.T) {
	got := make(chan *frame.Message, 10)
	p := serve(t, dubbo.Codec{}, func(p *peer, m *frame.Message) *frame.Message {
		got <- m
		switch {
		case m.Type == frame.OneWay:
			return nil
		case m.Method == "wait":
			<-p.stop
			return nil
		case m.Method == "fail":
			return answer(dubbo.StatusServiceError, hessian("sorry"), frame.StatusField, fmt.Sprint(dubbo.StatusServiceError))
		}
		return answer(dubbo.StatusOK, "\x91"+hessian("paid"), frame.StatusField, fmt.Sprint(dubbo.StatusOK))
	})
	rt := runtimetest.Start(t, fmt.Sprintf(dubboFile, p.address()))
	r := &rig{client: runtimev1.NewRuntimeClient(rt.Client(t))}
	body := func(service, method string) string { return hessian("2.0.2", service, "1.0", method, "") + "HZ" }

	resp, _, err := r.call(t.Context(), "com.Pay", "pay", body("com.Pay", "pay"), "x-a", "b")
	if err != nil || string(resp.Data.Value) != "\x91"+hessian("paid") {
		t.Fatalf("%v, %v", resp, err)
	}
	if m := <-got; m.Method != "pay" || m.Header.Get("service") != "com.Pay" || m.Header.Get("x-a") != "b" {
		t.Errorf("the service got %q: %+v", m.Frame, m.Header)
	}
	if _, _, err = r.call(t.Context(), "", "", body("com.Pay", "note"), "rpc_request_type", "oneway"); err != nil {
		t.Errorf("one-way: %v", err)
	}
	if m := <-got; m.Type != frame.OneWay {
		t.Errorf("one-way: a frame of type %v", m.Type)
	}
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	for _, c := range []struct {
		name, data string
		ctx        context.Context
		md         []string
		want       codes.Code
		text       string
	}{
		{"the service fails", body("com.Pay", "fail"), t.Context(), nil, codes.Unavailable, "dubbo error code 70"},
		{"no route", body("com.Nobody", "pay"), t.Context(), nil, codes.Unavailable, "dubbo error code 60"},
		{"no call", "hi", t.Context(), nil, codes.InvalidArgument, ""},
		{"its own limit", body("com.Pay", "wait"), t.Context(), []string{"rpc_request_timeout", "200"}, codes.DeadlineExceeded, ""},
		{"the caller's limit", body("com.Pay", "wait"), short, nil, codes.DeadlineExceeded, ""},
	} {
		if _, _, err := r.call(c.ctx, "com.Pay", "pay", c.data, c.md...); status.Code(err) != c.want || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if resp, _, err = r.call(t.Context(), "", "", body("com.Else", "pay"), "rpc_target_address", p.address()); err != nil || len(resp.Data.Value) == 0 {
		t.Errorf("an address: %v, %v", resp, err)
	}
}
