package traffic

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/bolt"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/dubbo"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/dubbothrift"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http1"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http2"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/tars"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// speaking are the tables that ship, with the RPC protocols.
func speaking(t testing.TB) proxy.Options {
	t.Helper()
	o := builtin(t)
	var err error
	o.Protocols, err = protocol.NewTable(
		http1.Protocol{}, http2.Protocol{}, bolt.New(bolt.V1(), frame.Options{}), bolt.New(bolt.V2(), frame.Options{}), tars.New(frame.Options{}),
		frame.New(dubbo.Codec{}, frame.Options{}), frame.New(dubbothrift.Codec{}, frame.Options{}),
	)
	must(t, err)
	return o
}

// rpcFile is a configuration with a listener whose proxy filter has this
// configuration, and a cluster of one host with these keys.
func rpcFile(proxy, cluster string) string {
	return fmt.Sprintf(`
listeners:
  - name: in
    address: "unix:/tmp/unused"
    bind_port: false
    filter_chains: [{filters: [{type: proxy, config: {router_config_name: main, %s}}]}]
routers:
  - router_config_name: main
    virtual_hosts:
      - domains: ["*"]
        routers:
          - match: {headers: [{name: service, value: ".*"}]}
            route: {cluster_name: c, timeout: 10s}
clusters:
  - {name: c, hosts: [{address: "host:1"}], %s}
`, proxy, cluster)
}

// payloads are those of calls, of answers to them, and the answers' statuses.
var payloads = map[string][3]string{
	bolt.Name:     {"call", "answer", "0"},
	bolt.NameV2:   {"call", "answer", "0"},
	"tars":        {"call", "answer", "0"},
	"dubbo":       {"", "\x91\x06answer", "20"}, // see payloadTo
	"dubbothrift": {"\x00", "\x00", "2"},
}

// rpcHost puts a host on the network of r that answers every call of a protocol.
func (r *rig) rpcHost(name string) {
	r.t.Helper()
	p, ok := r.tables.Protocols.Lookup(name)
	if !ok {
		r.t.Fatalf("no protocol %q", name)
	}
	r.Network.Speak(r.t, "host:1", proxytest.Protocol{Protocol: p}, stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) {
		text := payloads[p.Name()][1]
		resp := &stream.Response{Status: 200, Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text))}
		resp.Header.Add(frame.StatusField, payloads[p.Name()][2])
		return resp, nil
	}))
}

// rpcCaller is a client on a connection of its own.
func (r *rig) rpcCaller(name string) protocol.Client {
	r.t.Helper()
	p, _ := r.tables.Protocols.Lookup(name)
	c := p.NewClient(conn.New(r.Dial(r.t, "in")), protocol.ClientOptions{})
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

// payloadTo is the payload of a call to a service.
func payloadTo(protocol, service string) string {
	if protocol == "dubbo" {
		return fmt.Sprintf("\x052.0.2%c%s\x051.0.0\x04echo\x00H\x5a", len(service), service)
	}
	return payloads[protocol][0]
}

// call sends a call to a service and returns the HTTP status that the answer's
// own stands for.
func call(c stream.Handler, protocol, service string) (status int, err error) {
	status, _, err = callFor(c, protocol, service, 0)
	return status, err
}

// callFor is call with the caller's own limit. It returns the answer's own status, too.
func callFor(c stream.Handler, protocol, service string, limit time.Duration) (status int, code string, err error) {
	text := payloadTo(protocol, service)
	req := &stream.Request{Method: "echo", Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)), Timeout: limit}
	req.Header.Add("service", service)
	resp, err := c.Handle(context.Background(), req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.Status, resp.Header.Get(frame.StatusField), err
}

// The names that MOSN's files have for RPC protocols lead to them, on both sides.
func TestNamesOfRPC(t *testing.T) {
	for _, c := range []struct {
		proxy string
		speak []string
		// warned is a part of a warning.
		warned []string
	}{
		{`downstream_protocol: X, upstream_protocol: X, extend_config: {sub_protocol: bolt}`, []string{"bolt"}, nil},
		{`downstream_protocol: X, upstream_protocol: X, extend_config: {sub_protocol: bolt, enable_bolt_goaway: true}`, []string{"bolt"}, nil},
		{`downstream_protocol: X, upstream_protocol: X, extend_config: {sub_protocol: boltv2}`, []string{"boltv2"}, nil},
		{`downstream_protocol: X, upstream_protocol: X, extend_config: {sub_protocol: dubbo}`, []string{"dubbo"}, nil},
		{`downstream_protocol: X, upstream_protocol: X, extend_config: {sub_protocol: tars}`, []string{"tars"}, nil},
		{`downstream_protocol: X, upstream_protocol: X, extend_config: {sub_protocol: dubbo-thrift}`, []string{"dubbothrift"}, nil},
		{`downstream_protocol: x, upstream_protocol: x, extend_config: {sub_protocol: "Bolt, boltv2,dubbo"}`, []string{"bolt", "boltv2", "dubbo"}, nil},
		{`downstream_protocol: X, extend_config: {sub_protocol: "bolt,dubbo"}`, []string{"bolt", "dubbo"}, nil},
		{`downstream_protocol: X, upstream_protocol: X`, []string{"bolt", "boltv2", "dubbo", "tars", "dubbothrift"}, nil},
		{`downstream_protocol: "Http1,X", extend_config: {sub_protocol: bolt}`, []string{"bolt"}, nil},
		{`downstream_protocol: SofaRpc, upstream_protocol: SofaRpc`, []string{"bolt"}, nil},
		{`downstream_protocol: sofarpc, upstream_protocol: bolt`, []string{"bolt"}, nil},
		{`downstream_protocol: dubbo-thrift, upstream_protocol: dubbo-thrift`, []string{"dubbothrift"}, nil},
		{`downstream_protocol: dubbothrift`, []string{"dubbothrift"}, nil},
		{`downstream_protocol: bolt, upstream_protocol: X, extend_config: {sub_protocol: bolt}`, []string{"bolt"}, nil},
		{`downstream_protocol: bolt, extend_config: {sub_protocol: bolt}`, []string{"bolt"}, []string{"extend_config.sub_protocol: has no effect"}},
	} {
		for _, name := range c.speak {
			t.Run(c.proxy+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := begin(t, rpcFile(c.proxy, ""), speaking(t), c.warned...)
					r.rpcHost(name)
					caller := r.rpcCaller(name)
					if status, err := call(caller, name, "pay"); status != 200 || err != nil {
						t.Errorf("status %d, %v", status, err)
					}
					if rec := r.Records.Last(t, 1); rec.Protocol != name || rec.UpstreamProtocol != name && rec.UpstreamProtocol != "" || rec.Status != 200 {
						t.Errorf("record %+v", rec)
					}
					_ = caller.Close()
				})
			})
		}
	}
}

// Names that nobody knows are errors that say which there are.
func TestUnknownNamesOfRPC(t *testing.T) {
	const all = "bolt, boltv2, dubbo, dubbothrift, tars"
	for _, c := range []struct {
		proxy string
		want  []string
	}{
		{
			`downstream_protocol: X, upstream_protocol: X, extend_config: {sub_protocol: bolt3}`,
			[]string{`config.extend_config.sub_protocol: unknown protocol "bolt3" (did you mean "bolt"? known: Http1, Http2, ` + all},
		},
		{
			`downstream_protocol: X, extend_config: {sub_protocol: "bolt,tr,nobody"}`,
			[]string{`this version knows the protocol "tr" but has no code behind it yet`, `unknown protocol "nobody"`},
		},
		{`downstream_protocol: X, extend_config: {sub_protocol: 7}`, []string{"extend_config.sub_protocol is no text"}},
		{
			`downstream_protocol: Http1, upstream_protocol: X, extend_config: {sub_protocol: "bolt,dubbo"}`,
			[]string{"config.upstream_protocol: it is not clear which protocol X is for callers that speak Http1 (write the protocol itself: bolt)"},
		},
		{`downstream_protocol: SofaRpcs`, []string{`unknown protocol "SofaRpcs"`, "known: Auto, Http1, Http2, " + all}},
	} {
		_, _, err := parse(rpcFile(c.proxy, ""), speaking(t))
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", c.proxy, err, want)
			}
		}
	}
	_, _, err := parse(strings.Replace(rpcFile("downstream_protocol: bolt", ""), "timeout: 10s", "upstream_protocol: X", 1), speaking(t))
	if want := "X stands for several protocols, and here is one to be named (write the protocol itself; known: " + all; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}
