package mesh_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/components/rpc/memory"
	"github.com/ottavo-runtime/ottavo/components/rpc/mesh"
	"github.com/ottavo-runtime/ottavo/components/rpc/rpctest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/bolt"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/dubbo"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/runtime"
	"github.com/ottavo-runtime/ottavo/runtime/builtin"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
)

// suiteFile is a runtime whose listener "egress" speaks one protocol on both
// sides, and knows the suite's services by a field.
const suiteFile = `
runtime:
  listen: 127.0.0.1:0
  actuator: {enabled: false}
  rpcs: {open: {type: open}}
servers:
- listeners:
  - {name: egress, bind_port: false, filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: %[1]s, upstream_protocol: %[1]s, router_config_name: r}}]}]}
  routers:
  - router_config_name: r
    virtual_hosts:
    - domains: ["*"]
      routers:
      - {match: {headers: [{name: %[2]q, value: suite.Known}]}, route: {cluster_name: known, timeout: 60s}}
      - {match: {headers: [{name: %[2]q, value: suite.Gone}]}, route: {cluster_name: gone}}
cluster_manager: {clusters: [{name: known, hosts: [{address: %[3]q}]}, {name: gone, hosts: [{address: %[4]q}]}]}
`

// TestSuite: each channel keeps the contract, as far as its protocol goes. The
// services are real ones behind the proxy core of a whole runtime.
func TestSuite(t *testing.T) {
	matrix.Backend(t, "rpc", mesh.Type)
	web := rpctest.Features{Method: true, HTTP: true, ContentTypes: true, Headers: true, Repeated: true, Cancels: true}
	bolts := rpctest.Features{Method: true, ContentTypes: true, Headers: true, Repeated: true, OneWay: true, Targets: true}
	for _, tt := range []struct {
		channel, core, id string // the protocol's two names, and the field that routes look at
		features          rpctest.Features
		serve             func(t *testing.T, service *atomic.Pointer[rpctest.Service]) (addr string)
	}{
		{"http", "Http1", "id", web, serveHTTP},
		{"http2", "Http2", "id", web, serveHTTP2},
		{"bolt", "bolt", "service", bolts, serveBolt(bolt.V1())},
		{"boltv2", "boltv2", "service", bolts, serveBolt(bolt.V2())},
		{"dubbo", "dubbo", "service", rpctest.Features{Method: true, OneWay: true, Targets: true}, serveDubbo},
	} {
		t.Run(tt.channel, func(t *testing.T) {
			t.Parallel()
			service := new(atomic.Pointer[rpctest.Service])
			addr, refused := tt.serve(t, service), testserver.Addr(t)
			open := channelsOf(t, fmt.Sprintf(suiteFile, tt.core, tt.id, addr, refused))
			rpctest.Run(t, rpctest.Options{
				Features: tt.features,
				Open: func(t *testing.T, s rpctest.Setup) rpctest.Peer {
					service.Store(&s.Service)
					if tt.channel == "dubbo" {
						// A call is what the frame's body says, so the suite's bytes are put into one.
						s.Callbacks.Before = append(slices.Clone(s.Callbacks.Before), packDubbo)
						s.Callbacks.After = append([]rpc.After{unpackDubbo}, s.Callbacks.After...)
					}
					return rpctest.Peer{Invoker: suiteInvoker(t, tt.channel, open, s.Callbacks), Target: addr, Refused: refused}
				},
			})
		})
	}
}

// channelsOf starts a runtime and returns its way of opening channels.
func channelsOf(t *testing.T, file string) mesh.Open {
	t.Helper()
	var open runtime.OpenChannel
	tables := builtin.Tables()
	tables.Invokers = append(tables.Invokers, runtime.Invoker{
		Type: "open", Metadata: new(struct{}),
		New: func(_ context.Context, _ components.Env, _ components.Config, o runtime.OpenChannel) (rpc.Invoker, error) {
			open = o
			return memory.New(memory.Options{}), nil
		},
	})
	runtimetest.Start(t, file, runtimetest.Options{Tables: &tables})
	return mesh.Open(open)
}

// suiteInvoker makes an invoker with one channel. The callbacks are rows with numbers.
func suiteInvoker(t *testing.T, protocol string, open mesh.Open, chain rpc.Chain) rpc.Invoker {
	t.Helper()
	channel := map[string]any{"protocol": protocol, "listener": "egress"}
	if strings.HasPrefix(protocol, "bolt") {
		channel["ext"] = map[string]any{"class": "com.pay.Request"}
	}
	var rows []rpc.Callback
	var before, after []any
	for i, b := range chain.Before {
		name := fmt.Sprint("before", i)
		rows = append(rows, rpc.Callback{Name: name, Before: func(components.Config) (rpc.Before, error) { return b, nil }})
		before = append(before, map[string]any{"name": name})
	}
	for i, a := range chain.After {
		name := fmt.Sprint("after", i)
		rows = append(rows, rpc.Callback{Name: name, After: func(components.Config) (rpc.After, error) { return a, nil }})
		after = append(after, map[string]any{"name": name})
	}
	inv, err := mesh.New(components.Config{
		Path: "rpcs.mosn", Section: "config", Metadata: map[string]any{"channel": []any{channel}, "before_invoke": before, "after_invoke": after},
	}, open, rows...)
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

func serveHTTP(t *testing.T, service *atomic.Pointer[rpctest.Service]) string {
	t.Helper()
	return serveWeb(t, service, false)
}

func serveHTTP2(t *testing.T, service *atomic.Pointer[rpctest.Service]) string {
	t.Helper()
	return serveWeb(t, service, true)
}

// serveWeb starts a service over HTTP, either version without TLS.
func serveWeb(t *testing.T, service *atomic.Pointer[rpctest.Service], two bool) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return // the caller has gone
		}
		call := &rpc.Request{Method: r.URL.Path, Verb: r.Method, Query: r.URL.RawQuery, ContentType: r.Header.Get("Content-Type"), Data: data}
		for name, values := range r.Header {
			for _, v := range values {
				call.Header = append(call.Header, rpc.Pair{Name: name, Value: v})
			}
		}
		resp := (*service.Load())(r.Context(), call)
		for _, p := range resp.Header {
			w.Header().Add(p.Name, p.Value)
		}
		if resp.ContentType != "" {
			w.Header().Set("Content-Type", resp.ContentType)
		}
		if resp.Status > 0 {
			w.WriteHeader(resp.Status)
		}
		_, _ = w.Write(resp.Data) // the caller may have gone
	}))
	if two {
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
	}
	s.Start()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.Listener.Addr().String()
}

// asked has the service answer a frame. The frame's own protocol knows no end of a
// call, so that only the end of the test ends it.
func asked(p *peer, service *atomic.Pointer[rpctest.Service], call *rpc.Request) *rpc.Response {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-p.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	return (*service.Load())(ctx, call)
}

func headerOf(m *frame.Message) (pairs []rpc.Pair) {
	for name, value := range m.Header.All() {
		pairs = append(pairs, rpc.Pair{Name: name, Value: value})
	}
	return pairs
}

func serveBolt(codec frame.Codec) func(*testing.T, *atomic.Pointer[rpctest.Service]) string {
	return func(t *testing.T, service *atomic.Pointer[rpctest.Service]) string {
		t.Helper()
		return serve(t, codec, func(p *peer, m *frame.Message) *frame.Message {
			resp := asked(p, service, &rpc.Request{
				Method: m.Method, ContentType: m.Header.Get("content-type"), Header: headerOf(m),
				Data: slices.Clone(m.Payload()), OneWay: m.Type == frame.OneWay,
			})
			switch {
			case m.Type == frame.OneWay:
				return nil
			case resp.Status > 299:
				return answer(1, "sorry")
			}
			out := answer(bolt.Success, string(resp.Data), "class", "the-class")
			for _, h := range resp.Header {
				out.Header.Add(h.Name, h.Value)
			}
			if resp.ContentType != "" {
				out.Header.Add("content-type", resp.ContentType)
			}
			return out
		}).address()
	}
}

func serveDubbo(t *testing.T, service *atomic.Pointer[rpctest.Service]) string {
	t.Helper()
	return serve(t, dubbo.Codec{}, func(p *peer, m *frame.Message) *frame.Message {
		// The argument is behind five texts and the type of the sixth.
		rest := m.Payload()
		for range 5 {
			rest = rest[1+int(rest[0]):]
		}
		data, err := fromHessian(rest)
		if err != nil {
			return answer(dubbo.StatusBadRequest, hessian(err.Error()), frame.StatusField, fmt.Sprint(dubbo.StatusBadRequest))
		}
		resp := asked(p, service, &rpc.Request{Method: m.Method, Header: headerOf(m), Data: data, OneWay: m.Type == frame.OneWay})
		switch {
		case m.Type == frame.OneWay:
			return nil
		case resp.Status > 299:
			return answer(dubbo.StatusServiceError, hessian("sorry"), frame.StatusField, fmt.Sprint(dubbo.StatusServiceError))
		}
		return answer(dubbo.StatusOK, "\x91"+string(toHessian(resp.Data)), frame.StatusField, fmt.Sprint(dubbo.StatusOK))
	}).address()
}

// packDubbo makes the call of a method with one argument, which are the bytes.
func packDubbo(_ context.Context, r *rpc.Request) error {
	r.Data = slices.Concat([]byte(hessian("2.0.2", r.ID, "1.0", r.Method, "[B")), toHessian(r.Data), []byte("HZ"))
	return nil
}

// unpackDubbo takes the bytes out of an answer; the request is as the suite knows it.
func unpackDubbo(_ context.Context, r *rpc.Request, resp *rpc.Response) error {
	if len(resp.Data) == 0 {
		return errors.New("no answer")
	}
	var err error
	if resp.Data, err = fromHessian(resp.Data[1:]); err != nil {
		return err
	}
	for range 5 {
		r.Data = r.Data[1+int(r.Data[0]):]
	}
	r.Data, err = fromHessian(r.Data)
	return err
}

// toHessian is binary data in Hessian 2: chunks, each with a length of two bytes.
func toHessian(data []byte) []byte {
	const most = 1 << 15
	var out []byte
	for len(data) > most {
		out = append(binary.BigEndian.AppendUint16(append(out, 'A'), most), data[:most]...)
		data = data[most:]
	}
	return append(binary.BigEndian.AppendUint16(append(out, 'B'), uint16(len(data))), data...)
}

// fromHessian is the other way round; something may be behind the data.
func fromHessian(b []byte) ([]byte, error) {
	var data []byte
	for {
		if len(b) < 3 || b[0] != 'A' && b[0] != 'B' || len(b) < 3+int(binary.BigEndian.Uint16(b[1:])) {
			return nil, fmt.Errorf("no binary data: %.20q", b)
		}
		n := 3 + int(binary.BigEndian.Uint16(b[1:]))
		data = append(data, b[3:n]...)
		if b[0] == 'B' {
			return data, nil
		}
		b = b[n:]
	}
}
