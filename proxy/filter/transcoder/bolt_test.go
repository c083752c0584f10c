package transcoder_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/bolt"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// F5: HTTP in, a Bolt service behind it.
func TestF5HTTPToBolt(t *testing.T) {
	for _, version := range []string{bolt.Name, bolt.NameV2} {
		t.Run(version, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &proxytest.Network{}
				h := speak(t, n, version, func(ctx context.Context, a asked) reply {
					switch a.Method {
					case "late":
						return stuck(ctx, a)
					case "timeout":
						return reply{status: bolt.Timeout}
					case "fail":
						return reply{body: `"no money"`, fields: []string{"sofa_head_response_error", "true"}}
					case "void":
						return reply{}
					case "odd":
						return reply{body: "\x05hello"}
					case "text":
						return reply{status: bolt.ServerException, body: "out of order"}
					case "fields":
						return reply{body: "1", fields: []string{"x-a", "b", "bad name", "x", "x-bad", "a\nb", "Content-Length", "77", "transfer-encoding", "chunked"}}
					}
					code, err := strconv.Atoi(a.Method)
					if err == nil {
						return reply{status: code}
					}
					return reply{body: `{"paid":` + a.body + `}`}
				})
				filter := "{type: http2bolt}"
				if version == bolt.NameV2 {
					filter = "{rules: [{rule_info: {type: http2bolt, upstream_protocol: boltv2}}]}"
				}
				r := start(t, n, file(filter))

				got := r.web("POST", "/com.shop.Pay:1.0/refund?x=1", ` ["A7", 12] `, "X-User: ann", "Content-Type: application/json", "Accept-Encoding: gzip", "Service: other", "rpc-status: 3")
				if got.status != 200 || got.body != `{"paid": ["A7", 12] }` || got.header.Get("Content-Type") != "application/json" || got.header.Get("rpc-status") != "0" {
					t.Errorf("%+v", got)
				}
				a := h.last(t, 1)
				if a.Method != "refund" || a.body != ` ["A7", 12] ` || a.field("service") != "com.shop.Pay:1.0" || a.field("sofa_head_target_service") != "com.shop.Pay:1.0" ||
					a.field("sofa_head_method_name") != "refund" || a.field("x-user") != "ann" || a.Protocol != version {
					t.Errorf("the host was asked %s %+v", a.Method, a.Header)
				}
				if a.Timeout <= 2*time.Second || a.Timeout > 3*time.Second {
					t.Errorf("the host was told there were %v", a.Timeout)
				}
				for _, name := range []string{"accept-encoding", "content-type", "content-length", "user-agent-x", "rpc-status"} {
					if _, ok := a.Header.Lookup(name); ok {
						t.Errorf("the host was told %s", name)
					}
				}
				rec := r.Records.Last(t, 1)
				if rec.Method != "POST" || rec.Path != "/com.shop.Pay:1.0/refund" || rec.Protocol != "Http1" || rec.UpstreamProtocol != version || rec.Host != "host:1" || rec.Attempts != 1 || rec.Status != 200 || rec.Err != nil {
					t.Errorf("record %+v", rec)
				}

				count := 1
				for _, c := range []struct {
					method string
					status int
					want   string
				}{
					{"timeout", 504, `{"error":"bolt status 7: timeout","rpc_status":7}`}, // p059
					{"fail", 500, `{"error":"no money","rpc_status":0}`},
					{"text", 500, `{"error":"out of order","rpc_status":2}`},
					{"void", 200, `null`},
					{"odd", 502, `no JSON`},
					{fmt.Sprint(bolt.ServerBusy), 503, `"bolt status 4: server busy"`},
					{fmt.Sprint(bolt.ConnectionClosed), 502, `the connection to the service broke`},
					{fmt.Sprint(bolt.NoProcessor), 500, `nobody serves it`},
					{fmt.Sprint(bolt.CodecException), 500, `cannot be read`},
					{fmt.Sprint(bolt.Unknown), 500, `"rpc_status":3`},
				} {
					got := r.web("POST", "/com.shop.Pay/"+c.method, `1`)
					if count++; got.status != c.status || !strings.Contains(got.body, c.want) || got.header.Get("Content-Type") != "application/json" {
						t.Errorf("%s: %+v, want %d %s", c.method, got, c.status, c.want)
					}
				}
				got = r.web("POST", "/s/fields", "1")
				if got.header.Get("x-a") != "b" || got.header.Get("x-bad") != "" || got.body != "1" {
					t.Errorf("fields: %+v", got)
				}
				// The core's own: too late.
				began := time.Now()
				if got = r.web("POST", "/s/late", "1"); got.status != 504 || time.Since(began) != 3*time.Second || !strings.Contains(got.header.Get("Proxy-Status"), "http_response_timeout") {
					t.Errorf("late: %+v after %v", got, time.Since(began))
				}
				if got = r.web("POST", "/s/none", ""); got.status != 200 || h.last(t, count+3).body != "[]" {
					t.Errorf("no body: %+v", got)
				}
			})
		})
	}
}

func TestHTTPToBoltRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &proxytest.Network{}
		h := speak(t, n, bolt.Name, func(_ context.Context, a asked) reply { return reply{body: `"` + strings.Repeat("x", 100) + `"`} })
		r := start(t, n, file("{type: http2bolt, max_body_size: 40}"))
		for _, c := range []struct {
			method, path, body string
			status             int
			want               string
		}{
			{"GET", "/s/m", "", 405, "POST"},
			{"POST", "/", "", 404, "like /{service}/{method}"},
			{"POST", "/a/b/c", "", 404, "/a/b/c"},
			{"POST", "/a//", "", 404, ""},
			{"POST", "/a/%01", "", 400, "control character"},
			{"POST", "/s/m", `{"a":`, 400, "no JSON, at byte 5"},
			{"POST", "/s/m", `1 2`, 400, "at byte 3"},
			{"POST", "/s/m", "\"\x01\"", 400, "no JSON"},
			{"POST", "/s/m", strings.Repeat(" ", 41) + "1", 413, "the body has more than 40 bytes, which is the max_body_size"},
		} {
			got := r.web(c.method, c.path, c.body)
			if got.status != c.status || !strings.Contains(got.body, c.want) || !strings.HasPrefix(got.body, `{"error":"`) {
				t.Errorf("%s %s %s: %+v, want %d %s", c.method, c.path, c.body, got, c.status, c.want)
			}
		}
		if len(h.seen) != 0 {
			t.Errorf("the host was asked %v", h.seen)
		}
		if got := r.web("POST", "/s/m", "1"); got.status != 502 || !strings.Contains(got.body, "the answer has more than 40 bytes") {
			t.Errorf("a long answer: %+v", got)
		}
		// A length that is not said before, and the header fields in place of a path.
		raw := r.Raw(t, "in", "POST / HTTP/1.1\r\nHost: a\r\nservice: s\r\nsofa_head_method_name: m\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"+
			"29\r\n"+strings.Repeat(" ", 41)+"\r\n0\r\n\r\n")
		if !strings.HasPrefix(raw, "HTTP/1.1 413 ") {
			t.Errorf("chunks: %s", raw)
		}
		if got := r.web("POST", "/", "1", "service: s", "sofa_head_method_name: m"); got.status != 502 || h.last(t, 2).Method != "m" {
			t.Errorf("by fields: %+v", got)
		}
	})
}

// Nobody is there, and a caller that is slow.
func TestErrorsOfTheCore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, &proxytest.Network{}, file("{type: http2bolt}"))
		if got := r.web("POST", "/s/m", "1"); got.status != 503 || !strings.Contains(got.header.Get("Proxy-Status"), "connection_refused") {
			t.Errorf("nobody: %+v", got)
		}
		began := time.Now()
		c := r.Dial(t, "in")
		_, _ = c.Write([]byte("POST /s/m HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123"))
		b := make([]byte, 1000)
		k, _ := c.Read(b)
		if !strings.HasPrefix(string(b[:k]), "HTTP/1.1 504 ") || time.Since(began) != 3*time.Second {
			t.Errorf("a slow caller: %s after %v", b[:k], time.Since(began))
		}
	})
}

func TestOneWayToBolt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &proxytest.Network{}
		h := speak(t, n, bolt.Name, func(context.Context, asked) reply { return reply{} })
		r := start(t, n, file(`{type: http2bolt, trans: {one_way: true, path: "/notes/{method}", service: s, class: C}}`))
		if got := r.web("POST", "/notes/m", "1"); got.status != 202 || got.body != "" {
			t.Errorf("%+v", got)
		}
		synctest.Wait()
		if a := h.last(t, 1); !a.OneWay || a.Method != "m" || a.field("service") != "s" {
			t.Errorf("the host was asked %+v", a)
		}
	})
}

// askBolt returns a call.
func askBolt(service, method string) *stream.Request {
	req := &stream.Request{Method: method}
	req.Header.Add("service", service)
	req.Header.Add("sofa_head_target_service", service)
	req.Header.Add("sofa_head_method_name", method)
	req.Header.Add("user", "ann")
	return req
}

// F5: Bolt in, a web service behind it.
func TestF5BoltToHTTP(t *testing.T) {
	for _, version := range []string{bolt.Name, bolt.NameV2} {
		for _, behind := range []string{"Http1", "Http2"} {
			t.Run(version+" "+behind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := &proxytest.Network{}
					h := speak(t, n, behind, func(ctx context.Context, a asked) reply {
						_, method, _ := strings.Cut(a.Path[1:], "/")
						if status, err := strconv.Atoi(method); err == nil {
							return reply{status: status, body: "words"}
						}
						switch method {
						case "late":
							return stuck(ctx, a)
						case "text":
							return reply{status: 200, body: `say "hello"`, fields: []string{"Content-Type", "text/plain"}}
						case "broken":
							return reply{status: 200, body: `{"a":`, fields: []string{"Content-Type", "application/json"}}
						case "binary":
							return reply{status: 200, body: "\xff\xfe"}
						case "void":
							return reply{status: 204}
						case "long":
							return reply{status: 200, body: strings.Repeat("1", 2000)}
						}
						return reply{status: 201, body: a.body, fields: []string{"X-Answer", "yes", "Content-Type", "application/json; charset=utf-8", "rpc-status", "7"}}
					})
					r := start(t, n, file(fmt.Sprintf("{max_body_size: 1000, rules: [{rule_info: {upstream_protocol: %s}}]}", behind)))
					ask := askBolt("com.shop.Pay:1.0", "re/fund")
					ask.Header.Add("rpc_trace_context.sofaRpcId", "0")
					ask.Header.Add("Transfer-Encoding", "chunked")
					ask.Header.Add("bad name", "x")
					status, text, header := r.call(version, ask, `["A7",12]`)
					if status != "0" || text != `["A7",12]` || !strings.EqualFold(header.Get("x-answer"), "yes") || header.Get("content-type") != "" {
						t.Errorf("status %s, %q, %+v", status, text, header)
					}
					a := h.last(t, 1)
					if a.Method != "POST" || a.Path != "/com.shop.Pay:1.0/re%2Ffund" || a.Authority != "com.shop.Pay" || a.body != `["A7",12]` || a.field("user") != "ann" || a.field("content-type") != "application/json" ||
						a.field("rpc_trace_context.sofaRpcId") != "0" || a.field("service") != "com.shop.Pay:1.0" || a.ContentLength != 9 {
						t.Errorf("the host was asked %s %s: %+v", a.Method, a.Path, a.Header)
					}
					rec := r.Records.Last(t, 1)
					if rec.Method != "re/fund" || rec.Protocol != version || rec.UpstreamProtocol != behind || rec.Status != 201 {
						t.Errorf("record %+v", rec)
					}
					unknown, noProcessor := fmt.Sprint(bolt.Unknown), fmt.Sprint(bolt.NoProcessor)
					denied := fmt.Sprint(bolt.ServerException)
					if version == bolt.NameV2 {
						denied = unknown
					}
					for _, c := range []struct{ method, body, status, text string }{
						{"text", "", "0", `"say \"hello\""`},
						{"void", "", "0", `null`},
						{"broken", "1", fmt.Sprint(bolt.CodecException), ""},
						{"binary", "1", fmt.Sprint(bolt.CodecException), ""},
						{"long", "1", fmt.Sprint(bolt.CodecException), ""},
						{"302", "1", fmt.Sprint(bolt.CodecException), ""},
						{"400", "1", fmt.Sprint(bolt.CodecException), "words"},
						{"403", "1", denied, "words"},
						{"404", "1", noProcessor, "words"},
						{"500", "1", unknown, "words"},
						{"503", "1", fmt.Sprint(bolt.ServerBusy), "words"},
						{"504", "1", fmt.Sprint(bolt.Timeout), "words"},
						{"late", "1", fmt.Sprint(bolt.Timeout), ""},
						{"m", "not JSON", fmt.Sprint(bolt.CodecException), ""},
						{"m", strings.Repeat(" ", 1001), fmt.Sprint(bolt.CodecException), ""},
						{"", "1", fmt.Sprint(bolt.CodecException), ""},
					} {
						if status, text, _ := r.call(version, askBolt("s", c.method), c.body); status != c.status || text != c.text {
							t.Errorf("%s %.20s: status %s, %q; want %s, %q", c.method, c.body, status, text, c.status, c.text)
						}
					}
					if e := r.Records.Wait(t, 17)[15].Err; e == nil || !strings.Contains(e.Error(), "more than 1000 bytes, which is the max_body_size") {
						t.Errorf("the record of what is too long: %v", e)
					}
				})
			})
		}
	}
}

func TestOneWayFromBolt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &proxytest.Network{}
		h := speak(t, n, "Http1", func(context.Context, asked) reply { return reply{status: 500, body: "no"} })
		r := start(t, n, file(`{type: bolt2http, trans: {path: "/rpc/{method}"}}`))
		ask := askBolt("s", "m")
		ask.OneWay = true
		r.call(bolt.Name, ask, "1")
		synctest.Wait()
		if a := h.last(t, 1); a.Path != "/rpc/m" || a.body != "1" {
			t.Errorf("the host was asked %s %s", a.Method, a.Path)
		}
		if rec := r.Records.Last(t, 1); rec.Status != 0 || rec.Err != nil {
			t.Errorf("record %+v", rec)
		}
	})
}

// MOSN's own converter, and its mirror: bodies and fields are what they are.
func TestSimple(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &proxytest.Network{}
		h := speak(t, n, bolt.Name, func(_ context.Context, a asked) reply {
			code, _ := strconv.Atoi(a.field("code"))
			return reply{status: code, body: "\x00" + a.body, fields: []string{"x-a", "b"}}
		})
		r := start(t, n, file("{type: http2bolt_simple}"))
		got := r.web("PUT", "/", "\x01", "Service: s", "Code: 0")
		if got.status != 200 || got.body != "\x00\x01" || got.header.Get("x-a") != "b" {
			t.Errorf("%+v", got)
		}
		if a := h.last(t, 1); a.body != "\x01" || a.field("service") != "s" {
			t.Errorf("the host was asked %+v", a)
		}
		if got = r.web("GET", "/s/m", "", "Code: 7"); got.status != 504 {
			t.Errorf("timeout: %+v", got)
		}
		if a := h.last(t, 2); a.Method != "m" || a.field("service") != "s" {
			t.Errorf("the host was asked %+v", a)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		n := &proxytest.Network{}
		h := speak(t, n, "Http1", func(_ context.Context, a asked) reply {
			if a.Path == "/s" {
				return reply{status: 503, body: "busy"}
			}
			return reply{status: 200, body: a.body + "\x00", fields: []string{"x-a", "b"}}
		})
		r := start(t, n, file("{type: bolt2http_simple}"))
		status, text, header := r.call(bolt.Name, askBolt("s", "m"), "\x01")
		if a := h.last(t, 1); status != "0" || text != "\x01\x00" || header.Get("x-a") != "b" || a.Path != "/s/m" || a.field("user") != "ann" {
			t.Errorf("status %s, %q; the host was asked %+v", status, text, a)
		}
		if status, text, _ = r.call(bolt.Name, askBolt("s", ""), "\x01"); status != fmt.Sprint(bolt.ServerBusy) || text != "busy" {
			t.Errorf("busy: status %s, %q", status, text)
		}
	})
}
