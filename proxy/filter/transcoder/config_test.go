package transcoder_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/filter/transcoder"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/bolt"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

type array = []any

func ruled(info object, more ...object) object {
	rule := object{"rule_info": info}
	for _, m := range more {
		for k, v := range m {
			rule[k] = v
		}
	}
	return object{"rules": array{rule}}
}

func TestMistakes(t *testing.T) {
	const known = "known: bolt2http, bolt2http_simple, dubbo2http, http2Tohttp, http2bolt, http2bolt_simple, http2dubbo, httpTohttp2"
	for _, c := range []struct {
		cfg  object
		want string // "" is none
	}{
		{object{}, ""},
		{object{"type": "http2bolt"}, ""},
		{object{"type": "httpTohttp2", "trans": object{"receiver_phase": 1}}, ""},
		{object{"type": "http2dubbo", "max_body_size": "1000"}, ""},
		{object{"type": "http2bold"}, `f.type: unknown converter "http2bold" (` + known + ")"},
		{object{"typ": "http2bolt"}, "f.typ: "},
		{object{"type": "http2bolt", "go_plugin_config": object{}}, "f.go_plugin_config: "},
		{object{"type": "http2bolt", "max_body_size": 0}, "f.max_body_size: "},
		{object{"type": "http2bolt", "trans": object{"pathh": "/x"}}, "f.trans.pathh: "},
		{object{"type": "http2bolt", "trans": object{"path": "x"}}, `f.trans.path: "x" is no path (write it like /{service}/{method})`},
		{object{"type": "http2bolt", "trans": object{"path": "/{service}/{service}"}}, "more than once"},
		{object{"type": "http2bolt", "trans": object{"path": "/a{service}"}}, "neither {service} nor {method} nor plain text"},
		{object{"type": "http2bolt", "trans": object{"path": "//{service}"}}, "an empty part"},
		{object{"type": "http2bolt", "trans": object{"path": "/{servic}"}}, "neither {service}"},
		{object{"type": "http2bolt_simple", "trans": object{"path": "/x"}}, "this converter has no options"},
		{object{"type": "httpTohttp2", "trans": object{"x": 1}}, "f.trans: httpTohttp2 has no options"},
		{object{"type": "http2dubbo", "trans": object{"parameter_types": object{"m": array{"int", "1x"}}}}, `f.trans.parameter_types.m: "1x" is no Java type`},
		{object{"type": "dubbo2http", "trans": object{"path": ""}}, "is no path"},
		{object{"type": "http2bolt", "trans": object{"receiver_phase": 7}}, "f.trans.receiver_phase: 7 is no phase (write 0"},
		{object{"type": "http2bolt", "trans": object{"receiver_phase": "x"}}, "f.trans.receiver_phase: "},
		{object{"trans": object{"path": "/x"}}, "f.trans: these are the options of no converter (name a type)"},
		{ruled(object{"type": "http2bolt"}), ""},
		{ruled(object{"upstream_protocol": "X", "upstream_sub_protocol": "bolt", "description": "x"}, object{"macther_config": object{"matcher_type": "simpleMatcher"}}), ""},
		{ruled(object{"upstream_sub_protocol": "dubbo"}), ""},
		{ruled(object{}), "f.rules[0].rule_info: the rule does nothing (name a type (bolt2http, "},
		{ruled(object{"type": "x"}), `f.rules[0].rule_info.type: unknown converter "x" (` + known},
		{ruled(object{"type": "http2bolt", "upstream_protocol": "dubbo"}), `f.rules[0].rule_info.upstream_protocol: http2bolt does not lead to "dubbo" (known: bolt, boltv2)`},
		{ruled(object{"upstream_protocol": "tars"}), `no converter leads to "tars" (known: bolt, boltv2, Http1, Http2, dubbo)`},
		{ruled(object{"upstream_protocol": "bolt", "upstream_sub_protocol": "dubbo"}), "f.rules[0].rule_info.upstream_sub_protocol: upstream_protocol is"},
		{ruled(object{"upstream_protocol": "bolt", "config": object{"path": "/x"}}), "f.rules[0].rule_info.config: it is not said which converter"},
		{ruled(object{"type": "http2bolt", "config": object{"x": 1}}), "f.rules[0].rule_info.config.x: "},
		{ruled(object{"type": "http2bolt"}, object{"matcher_config": object{"matcher_type": "x"}}), `f.rules[0].matcher_config.matcher_type: unknown matcher "x" (known: headers, simpleMatcher)`},
		{ruled(object{"type": "http2bolt"}, object{"matcher_config": object{}, "macther_config": object{}}), "f.rules[0].macther_config: matcher_config says it as well"},
		{ruled(object{"type": "http2bolt"}, object{"matcher_config": object{"config": object{"x": 1}}}), "simpleMatcher matches every request"},
		{ruled(object{"type": "http2bolt"}, object{"matcher_config": object{"matcher_type": "headers"}}), "there are no conditions"},
		{ruled(object{"type": "http2bolt"}, object{"matcher_config": object{"matcher_type": "headers", "config": object{"headers": array{object{"value": "x"}}}}}), "headers[0].name: the name is missing"},
		{ruled(object{"type": "http2bolt"}, object{"matcher_config": object{"matcher_type": "headers", "config": object{"headers": array{object{"name": "x", "value": "(", "regex": true}}}}}), "no regular expression"},
	} {
		_, err := transcoder.Spec(transcoder.Builtin()...).Make(filter.Env{Path: "f"}, c.cfg)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%v: %v", c.cfg, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%v: %v; want %s", c.cfg, err, c.want)
		}
		if _, isProblems := err.(decode.Problems); err != nil && !isProblems { //nolint:errorlint // the type itself is promised
			t.Errorf("%v: %T", c.cfg, err)
		}
	}
	var log bytes.Buffer
	_, err := transcoder.Spec(transcoder.Builtin()...).Make(filter.Env{Path: "f", Log: slog.New(slog.NewTextHandler(&log, nil))}, object{"type": "http2bolt", "trans": object{"receiver_phase": 2}})
	if err != nil || !strings.Contains(log.String(), "f.trans.receiver_phase: is taken for 1") {
		t.Errorf("%v, %s", err, log.String())
	}
	if _, err = transcoder.Spec(transcoder.Builtin()...).Route(filter.Env{Path: "r"}, object{"type": "http2bolt", "trans": object{"receiver_phase": 0}}); err == nil || !strings.Contains(err.Error(), "before it is chosen") {
		t.Errorf("a route: %v", err)
	}
	if _, err = transcoder.Spec(transcoder.Builtin()...).Route(filter.Env{Path: "r"}, object{"type": "x"}); err == nil {
		t.Error("a route with an unknown converter")
	}
	one := transcoder.Builtin()[0]
	if _, err = transcoder.Spec(one, one).Make(filter.Env{}, object{}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("twice: %v", err)
	}
}

// shout is a converter that somebody else has written.
type shout struct{ transcoder.Conversion }

func (shout) Request(out *stream.Request, body []byte, _ int) ([]byte, error) {
	out.Header.Set("shouted", "yes")
	return bytes.ToUpper(body), nil
}

func (shout) Response(_ *stream.Request, in *stream.Response, body []byte, out *stream.Response, _ int) ([]byte, error) {
	out.Status = in.Status
	return append(body, '!'), nil
}

// The table is what it is handed, and a route may have the last word.
func TestOwnConverter(t *testing.T) {
	own := transcoder.Converter{
		Name: "shout", From: []string{"Http1"}, To: []string{"Http1"},
		New: func(any, string) (transcoder.Conversion, error) { return shout{}, nil },
	}
	spec := transcoder.Spec(own)
	if _, err := spec.Make(filter.Env{Path: "f"}, object{"type": "http2bolt"}); err == nil || !strings.Contains(err.Error(), "known: shout") {
		t.Errorf("%v", err)
	}
	places, err := spec.Make(filter.Env{}, object{"type": "shout"})
	if err != nil {
		t.Fatal(err)
	}
	h := stream.Chain(stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
		req.Info.Host = "h"
		b := make([]byte, 10)
		n, _ := req.Body.Read(b)
		return &stream.Response{Status: 200, ContentLength: -1, Body: &content{b[:n]}}, nil
	}), places.AfterRoute...)
	req := &stream.Request{Protocol: "Http1", Path: "/", Body: &content{[]byte("hello")}, ContentLength: -1}
	resp, err := h.Handle(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	n, _ := resp.Body.Read(b)
	if string(b[:n]) != "HELLO!" || req.Info.Host != "h" || req.Header.Len() != 0 {
		t.Errorf("%q, %+v", b[:n], req)
	}
}

// content is a body that is not known to be all there.
type content struct{ left []byte }

func (c *content) Read(p []byte) (int, error) {
	n := copy(p, c.left)
	if c.left = c.left[n:]; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (c *content) Close() error { return nil }

// Each route says what is done on it; elsewhere it is what the listener says.
func TestRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &proxytest.Network{}
		n.Speak(t, "bolt:1", proxytest.Protocol{Protocol: protocols()[bolt.NameV2]}, answerWith("0", `"bolt"`))
		n.Speak(t, "dubbo:1", proxytest.Protocol{Protocol: protocols()["dubbo"]}, answerWith("20", encode(int32(1), "dubbo")))
		n.HTTP(t, "web:1", proxytest.Echo("web"))
		r := start(t, n, `
listeners:
- name: in
  bind_port: false
  filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: Auto, router_config_name: main}}]}]
  stream_filters:
  - type: fault
    config: {abort: {status: 503, percentage: 100}, headers: [{name: fail, value: "1"}]}
  - type: transcoder
    config:
      rules:
      - matcher_config: {matcher_type: headers, config: {headers: [{name: to, value: "^d", regex: true}, {name: to, value: ".*"}]}}
        rule_info: {type: http2dubbo}
      - rule_info: {upstream_protocol: X, upstream_sub_protocol: bolt}
  - type: fault
    config: {abort: {status: 418, percentage: 100}, headers: [{name: tea, value: "1"}]}
routers:
- router_config_name: main
  virtual_hosts:
  - domains: ["*"]
    routers:
    - {match: {prefix: /plain}, route: {cluster_name: web}, per_filter_config: {transcoder: {}}}
    - {match: {prefix: /own}, route: {cluster_name: dubbo}, per_filter_config: {transcoder: {type: http2dubbo, trans: {path: "/own/{service}/{method}"}}}}
    - {match: {prefix: /, headers: [{name: to, value: dubbo}]}, route: {cluster_name: dubbo}}
    - {match: {prefix: /}, route: {cluster_name: bolt, upstream_protocol: boltv2}}
clusters:
- {name: bolt, hosts: [{address: "bolt:1"}]}
- {name: dubbo, hosts: [{address: "dubbo:1"}]}
- {name: web, hosts: [{address: "web:1"}]}
`)
		for _, c := range []struct {
			path, field string
			status      int
			want        string
		}{
			{"/plain/x", "", 200, "web: POST /plain/x 1"},
			{"/own/s/m", "", 200, `"dubbo"`},
			{"/s/m", "to: dubbo", 200, `"dubbo"`},
			{"/s/m", "fail: 1", 503, ""},
			{"/s/m", "tea: 1", 418, `{"error":"I'm a teapot"}`},
		} {
			if got := r.web("POST", c.path, "1", c.field); got.status != c.status || got.body != c.want {
				t.Errorf("%s %s: %+v, want %d %s", c.path, c.field, got, c.status, c.want)
			}
		}
		// The rule says bolt, and that counts more than what the route says.
		if got := r.web("POST", "/s/m", "1"); got.status == 200 && got.body != `"bolt"` {
			t.Errorf("%+v", got)
		}
		if rec := r.Records.Last(t, 6); rec.UpstreamProtocol != "bolt" || rec.Route == "" {
			t.Errorf("record %+v", rec)
		}
	})
}

// Where only the converter is named, the route's protocol is spoken if the
// converter can lead there.
func TestProtocolOfRoute(t *testing.T) {
	for spoken, want := range map[string]string{"boltv2": "boltv2", "BoltV2": "BoltV2", "dubbo": "bolt", "Http1": "bolt"} {
		for _, phase := range []string{"0", "1"} {
			synctest.Test(t, func(t *testing.T) {
				n := &proxytest.Network{}
				version := bolt.Name
				if strings.EqualFold(want, bolt.NameV2) {
					version = bolt.NameV2
				}
				speak(t, n, version, func(context.Context, asked) reply { return reply{body: "1"} })
				text := strings.Replace(file("{type: http2bolt, trans: {receiver_phase: "+phase+"}}"), "cluster_name: c,", "cluster_name: c, upstream_protocol: "+spoken+",", 1)
				r := start(t, n, text)
				if got := r.web("POST", "/s/m", "1"); got.status != 200 || got.body != "1" {
					t.Errorf("%s, phase %s: %+v", spoken, phase, got)
				}
				if rec := r.Records.Last(t, 1); rec.UpstreamProtocol != want {
					t.Errorf("%s, phase %s: spoken is %s", spoken, phase, rec.UpstreamProtocol)
				}
			})
		}
	}
}

// Before the route is chosen, routes see the call.
func TestBeforeRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &proxytest.Network{}
		told := answerWith("20", encode(int32(1), "a"))
		n.Speak(t, "a:1", proxytest.Protocol{Protocol: protocols()["dubbo"]}, stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			if req.Timeout != 2*time.Second {
				t.Errorf("the host was told there were %v", req.Timeout)
			}
			return told.Handle(ctx, req)
		}))
		n.Speak(t, "b:1", proxytest.Protocol{Protocol: protocols()["dubbo"]}, stream.HandlerFunc(func(ctx context.Context, _ *stream.Request) (*stream.Response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}))
		n.HTTP(t, "web:1", proxytest.Echo("web"))
		r := start(t, n, `
listeners:
- name: in
  bind_port: false
  filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: Auto, router_config_name: main}}]}]
  stream_filters: [{type: transcoder, config: {trans: {receiver_phase: 0}, rules: [{rule_info: {type: http2dubbo}}, {rule_info: {type: bolt2http}}]}}]
routers:
- router_config_name: main
  virtual_hosts:
  - domains: ["*"]
    routers:
    - {match: {headers: [{name: service, value: A}, {name: method, value: m}]}, route: {cluster_name: a, timeout: 2s}}
    - {match: {headers: [{name: service, value: B}]}, route: {cluster_name: b, timeout: 1s}}
    - {match: {prefix: /W/m}, route: {cluster_name: web}}
clusters: [{name: a, hosts: [{address: "a:1"}]}, {name: b, hosts: [{address: "b:1"}]}, {name: web, hosts: [{address: "web:1"}]}]
`)
		if got := r.web("POST", "/A/m", "1"); got.status != 200 || got.body != `"a"` {
			t.Errorf("%+v", got)
		}
		if got := r.web("POST", "/B/m", "1"); got.status != 504 {
			t.Errorf("%+v", got)
		}
		if got := r.web("POST", "/C/m", "1"); got.status != 404 {
			t.Errorf("%+v", got)
		}
		if status, text, _ := r.call(bolt.Name, askBolt("W", "m"), "1"); status != "0" || text != `"web: POST /W/m 1"` {
			t.Errorf("status %s, %q", status, text)
		}
		// A caller that never sends its body is not waited for for ever.
		c := r.Dial(t, "in")
		_, _ = c.Write([]byte("POST /A/m HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123"))
		b := make([]byte, 1000)
		if k, _ := c.Read(b); !strings.HasPrefix(string(b[:k]), "HTTP/1.1 504 ") {
			t.Errorf("a slow caller: %s", b[:k])
		}
	})
}

// The core converts HTTP's versions by itself; the names choose the version.
func TestVersionsOfHTTP(t *testing.T) {
	for name, behind := range map[string]string{"httpTohttp2": "Http2", "http2Tohttp": "Http1"} {
		for _, phase := range []string{"0", "1"} {
			synctest.Test(t, func(t *testing.T) {
				n := &proxytest.Network{}
				speak(t, n, behind, func(_ context.Context, a asked) reply { return reply{status: 200, body: a.Method + a.Path + a.body} })
				r := start(t, n, file("{type: "+name+", trans: {receiver_phase: "+phase+"}}"))
				if name == "http2Tohttp" { // takes callers of HTTP/2 only
					status, text := h2(t, r)
					if status != 200 || text != "POST/x1" {
						t.Errorf("%s: %d %s", name, status, text)
					}
					return
				}
				if got := r.web("POST", "/x", "1"); got.status != 200 || got.body != "POST/x1" {
					t.Errorf("%s, phase %s: %+v", name, phase, got)
				}
				if rec := r.Records.Last(t, 1); rec.UpstreamProtocol != behind {
					t.Errorf("record %+v", rec)
				}
			})
		}
	}
}
