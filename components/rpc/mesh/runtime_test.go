package mesh_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/bolt"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// file is in Layotto's form. Its invoker "mosn" has channels over bolt, http,
// http2 and boltv2, another one over boltv2. The addresses are those of the three services.
const file = `{
"servers": [{
  "listeners": [
    {"name": "grpc", "address": "127.0.0.1:0", "filter_chains": [{"filters": [{"type": "grpc", "config": {
      "server_name": "runtime",
      "grpc_config": {"rpcs": {
        "mosn": {"config": {"channel": [
          {"protocol": "bolt", "listener": "egress_bolt", "size": 4, "ext": {"class": "com.pay.Request"}},
          {"protocol": "http", "listener": "egress_http", "size": 16, "ext": {}},
          {"protocol": "http2", "listener": "egress_http2"},
          {"protocol": "boltv2", "listener": "egress_bolt2", "size": 1, "ext": {"class": "com.pay.Request", "codec": 11}}
        ]}},
        "second": {"type": "mosn", "config": {"channel": [
          {"protocol": "boltv2", "listener": "egress_bolt2", "size": 1, "ext": {"class": "com.pay.Second"}}
        ]}}
      }}
    }}]}]},
    {"name": "egress_bolt", "bind_port": false, "filter_chains": [{"filters": [{"type": "proxy", "config":
      {"downstream_protocol": "bolt", "upstream_protocol": "bolt", "router_config_name": "rpc"}}]}]},
    {"name": "egress_bolt2", "bind_port": false, "filter_chains": [{"filters": [{"type": "proxy", "config":
      {"downstream_protocol": "boltv2", "upstream_protocol": "boltv2", "router_config_name": "rpc2"}}]}]},
    {"name": "egress_http2", "bind_port": false, "filter_chains": [{"filters": [{"type": "proxy", "config":
      {"downstream_protocol": "Http2", "upstream_protocol": "Http1", "router_config_name": "http"}}]}]},
    {"name": "egress_http", "bind_port": false, "filter_chains": [{"filters": [{"type": "proxy", "config":
      {"downstream_protocol": "Http1", "upstream_protocol": "Http1", "router_config_name": "http"}}]}]}
  ],
  "routers": [
    {"router_config_name": "rpc", "virtual_hosts": [{"name": "all", "domains": ["*"], "routers": [
      {"match": {"headers": [{"name": "service", "value": "Pay:1.0"}]}, "route": {"cluster_name": "one"}},
      {"match": {"headers": [{"name": "service", "value": "Gone:1.0"}]}, "route": {"cluster_name": "gone"}}
    ]}]},
    {"router_config_name": "rpc2", "virtual_hosts": [{"name": "all", "domains": ["*"], "routers": [{"route": {"cluster_name": "two"}}]}]},
    {"router_config_name": "http", "virtual_hosts": [{"name": "all", "domains": ["*"], "routers": [{"route": {"cluster_name": "web"}}]}]}
  ]
}],
"cluster_manager": {"clusters": [
  {"name": "one", "hosts": [{"address": "%s"}]},
  {"name": "two", "hosts": [{"address": "%s"}]},
  {"name": "web", "hosts": [{"address": "%s"}]},
  {"name": "gone", "hosts": [{"address": "127.0.0.1:1"}]}
]}
}`

// rig is a runtime between a client and three services.
type rig struct {
	one, two *peer
	client   runtimev1.RuntimeClient
	mu       sync.Mutex
	frames   []*frame.Message // what has come to the first two
}

func start(t *testing.T) *rig {
	t.Helper()
	r := new(rig)
	handle := func(p *peer, m *frame.Message) *frame.Message {
		r.mu.Lock()
		r.frames = append(r.frames, m)
		r.mu.Unlock()
		return echo(p, m)
	}
	r.one, r.two = serve(t, bolt.V1(), handle), serve(t, bolt.V2(), handle)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %s", q.Method, q.URL)
	}))
	t.Cleanup(web.Close)
	rt := runtimetest.Start(t, fmt.Sprintf(file, r.one.address(), r.two.address(), web.Listener.Addr()))
	r.client = runtimev1.NewRuntimeClient(rt.Client(t))
	return r
}

// last returns the frame that has come last.
func (r *rig) last() *frame.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.frames) == 0 {
		return nil
	}
	return r.frames[len(r.frames)-1]
}

// came waits until a frame with that payload has come.
func (r *rig) came(t *testing.T, payload string) *frame.Message {
	t.Helper()
	deadline, tick := time.After(2*time.Minute), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if m := r.last(); m != nil && string(m.Payload()) == payload {
			return m
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no frame with %q has come", payload)
		}
	}
}

func (r *rig) call(ctx context.Context, id, method, data string, md ...string) (*runtimev1.InvokeResponse, metadata.MD, error) {
	var header metadata.MD
	resp, err := r.client.InvokeService(metadata.AppendToOutgoingContext(ctx, md...), &runtimev1.InvokeServiceRequest{
		Id: id, Message: &runtimev1.CommonInvokeRequest{Method: method, Data: &anypb.Any{Value: []byte(data)}},
	}, grpc.Header(&header))
	return resp, header, err
}

// TestInvokeOverBolt: calls over both versions and HTTP, side by side.
func TestInvokeOverBolt(t *testing.T) {
	r := start(t)
	resp, header, err := r.call(t.Context(), "Pay:1.0", "pay", "hi", "x-a", "b", "rpc_request_timeout", "1500")
	if err != nil || string(resp.Data.Value) != "hi" {
		t.Fatalf("%v, %v", resp, err)
	}
	for name, want := range map[string]string{"x-method": "pay", "x-service": "Pay:1.0", "x-a": "b", "x-timeout": "1.5s", "rpc-status": ""} {
		if got := strings.Join(header.Get(name), ","); got != want {
			t.Errorf("header %s: %q, want %q", name, got, want)
		}
	}
	m := r.last()
	if m.Frame[0] != 1 || m.Frame[9] != 1 || !bytes.Contains(m.Frame, []byte("com.pay.Request")) || m.Header.Get("rpc_request_timeout") != "" || m.Header.Get("bolt-class") != "" {
		t.Errorf("the frame: %q", m.Frame)
	}

	resp, header, err = r.call(t.Context(), "Any:1.0", "do", "hi", "rpc_channel", "boltv2")
	if err != nil || string(resp.Data.Value) != "hi" || strings.Join(header.Get("x-method"), ",") != "do" {
		t.Errorf("boltv2: %v, %v, %v", resp, header, err)
	}
	if m := r.last(); m.Frame[0] != 2 || m.Frame[10] != 11 || !bytes.Contains(m.Frame, []byte("com.pay.Request")) {
		t.Errorf("boltv2's frame: %q", m.Frame)
	}
	for _, channel := range []string{"http", "http2"} {
		resp, _, err = r.call(t.Context(), "Any:1.0", "/hello?a=b", "", "rpc_channel", channel)
		if err != nil || string(resp.Data.Value) != "GET /hello?a=b" {
			t.Errorf("%s: %v, %v", channel, resp, err)
		}
	}
	if resp, _, err = r.call(t.Context(), "Any:1.0", "do", "hey", "rpc_invoker", "second"); err != nil || string(resp.Data.Value) != "hey" {
		t.Errorf("the second invoker: %v, %v", resp, err)
	}
	if m := r.last(); !bytes.Contains(m.Frame, []byte("com.pay.Second")) {
		t.Errorf("the second invoker's frame: %q", m.Frame)
	}
	if _, _, err = r.call(t.Context(), "x", "y", "", "rpc_channel", "gopher"); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "bolt, http, http2, boltv2") {
		t.Errorf("an unknown channel: %v", err)
	}
	if _, _, err = r.call(t.Context(), "x", "y", "", "rpc_invoker", "third"); status.Code(err) != codes.Unknown {
		t.Errorf("an unknown invoker: %v", err)
	}
}

// TestConcurrentCalls: a thousand at a time, each gets its own answer, over few
// connections.
func TestConcurrentCalls(t *testing.T) {
	r := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			channel := []string{"bolt", "boltv2"}[i%2]
			want := fmt.Sprint("call ", i)
			resp, header, err := r.call(ctx, "Pay:1.0", "m"+strconv.Itoa(i), want, "rpc_channel", channel, "rpc_request_timeout", "50000")
			if err != nil || string(resp.Data.Value) != want || strings.Join(header.Get("x-method"), "") != "m"+strconv.Itoa(i) {
				t.Errorf("call %d: %v, %v", i, resp, err)
			}
		})
	}
	wg.Wait()
	if a, b := r.one.connections(), r.two.connections(); a != 1 || b != 1 {
		t.Errorf("%d and %d connections, want one each", a, b)
	}
}

// TestErrors: what a service says, and what goes wrong on the way.
func TestErrors(t *testing.T) {
	r := start(t)
	for code, want := range map[int]codes.Code{
		1: codes.Unavailable, 2: codes.Unavailable, 3: codes.Unavailable, 4: codes.Unavailable, 5: codes.Unavailable, 6: codes.Unavailable,
		7: codes.DeadlineExceeded, 8: codes.Unavailable, 9: codes.Internal, 16: codes.Unavailable, 17: codes.Internal, 18: codes.Internal,
		77: codes.Unavailable,
	} {
		for _, channel := range []string{"bolt", "boltv2"} {
			_, _, err := r.call(t.Context(), "Pay:1.0", "status", strconv.Itoa(code), "rpc_channel", channel)
			if status.Code(err) != want || !strings.Contains(err.Error(), fmt.Sprintf("bolt error code %d", code)) {
				t.Errorf("%s, status %d: %v, want %v", channel, code, err, want)
			}
		}
	}
	for _, c := range []struct {
		name, id string
		md       []string
		want     codes.Code
		text     string
	}{
		{"no route", "Nobody:1.0", nil, codes.Unavailable, "bolt error code 6"},
		{"no host", "Gone:1.0", nil, codes.Unavailable, "bolt error code 6"},
		{"serialisation that is none", "Pay:1.0", []string{"bolt-codec", "x"}, codes.InvalidArgument, "bolt-codec"},
		{"address that is none", "Pay:1.0", []string{"rpc_target_address", "x"}, codes.InvalidArgument, "host:port"},
		{"nobody at the address", "Pay:1.0", []string{"rpc_target_address", "127.0.0.1:1"}, codes.Unavailable, "127.0.0.1:1"},
		{"one-way over http", "Pay:1.0", []string{"rpc_channel", "http", "rpc_request_type", "oneway"}, codes.InvalidArgument, "one-way"},
	} {
		if _, _, err := r.call(t.Context(), c.id, "pay", "hi", c.md...); status.Code(err) != c.want || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// TestOneWayCall: the answer is empty and at once, the service gets a frame
// that wants none.
func TestOneWayCall(t *testing.T) {
	r := start(t)
	for i, channel := range []string{"bolt", "boltv2"} {
		payload := fmt.Sprint("note ", i)
		resp, _, err := r.call(t.Context(), "Pay:1.0", "wait", payload, "rpc_request_type", "oneway", "rpc_channel", channel)
		if err != nil || len(resp.Data.GetValue()) != 0 {
			t.Errorf("%s: %v, %v", channel, resp, err)
		}
		if m := r.came(t, payload); m.Type != frame.OneWay {
			t.Errorf("%s: a frame of type %v", channel, m.Type)
		}
	}
}

// TestTimeLimit: the call's own limit, and a shorter one of the caller's context;
// the connection serves others meanwhile and afterwards.
func TestTimeLimit(t *testing.T) {
	r := start(t)
	testserver.OnceOf(t, func(try int) error {
		begin := time.Now()
		_, _, err := r.call(t.Context(), "Pay:1.0", "wait", fmt.Sprint("a", try), "rpc_request_timeout", "200")
		took := time.Since(begin)
		if status.Code(err) != codes.DeadlineExceeded || took < 150*time.Millisecond {
			t.Errorf("its own limit: %v after %v", err, took)
		}
		m := r.last()
		switch {
		case took > 2*time.Second, m == nil, string(m.Payload()) != fmt.Sprint("a", try), m.Timeout < 100*time.Millisecond:
			return fmt.Errorf("its own limit: %w after %v, and the service was told %+v", err, took, m)
		case m.Timeout > 200*time.Millisecond:
			t.Errorf("the service was told %v", m.Timeout)
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, _, err := r.call(ctx, "Pay:1.0", "wait", "b"); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("the caller's limit: %v", err)
	}
	if resp, _, err := r.call(t.Context(), "Pay:1.0", "pay", "c"); err != nil || string(resp.Data.Value) != "c" {
		t.Errorf("afterwards: %v, %v", resp, err)
	}
	if n := r.one.connections(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// TestCancellation: a caller that goes away ends its call and no other.
func TestCancellation(t *testing.T) {
	r := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, _, err := r.call(ctx, "Pay:1.0", "wait", "long")
		ended <- err
	}()
	r.came(t, "long")
	cancel()
	if err := <-ended; status.Code(err) != codes.Canceled {
		t.Errorf("%v", err)
	}
	if resp, _, err := r.call(t.Context(), "Pay:1.0", "pay", "c"); err != nil || string(resp.Data.Value) != "c" || r.one.connections() != 1 {
		t.Errorf("afterwards: %v, %v, %d connections", resp, err, r.one.connections())
	}
}

// TestCutOff: a service whose connection ends fails the calls on it at once, and
// the next call opens another.
func TestCutOff(t *testing.T) {
	r := start(t)
	ended := make(chan error, 1)
	go func() {
		_, _, err := r.call(t.Context(), "Pay:1.0", "wait", "long", "rpc_request_timeout", "60000")
		ended <- err
	}()
	r.came(t, "long")
	r.one.cut()
	if err := <-ended; status.Code(err) != codes.Unavailable {
		t.Errorf("%v", err)
	}
	if resp, _, err := r.call(t.Context(), "Pay:1.0", "pay", "c"); err != nil || string(resp.Data.Value) != "c" {
		t.Errorf("afterwards: %v, %v", resp, err)
	}
}

// TestTargetAddress: the call goes there, whatever routes say, over connections
// that are kept.
func TestTargetAddress(t *testing.T) {
	r := start(t)
	other := serve(t, bolt.V1(), func(_ *peer, m *frame.Message) *frame.Message {
		return answer(bolt.Success, "other "+string(m.Payload()))
	})
	for range 3 {
		if resp, _, err := r.call(t.Context(), "Nobody:1.0", "pay", "hi", "rpc_target_address", other.address()); err != nil || string(resp.Data.Value) != "other hi" {
			t.Errorf("%v, %v", resp, err)
		}
	}
	if n := other.connections(); n != 1 || r.last() != nil {
		t.Errorf("%d connections; a frame came elsewhere: %v", n, r.last())
	}
}
