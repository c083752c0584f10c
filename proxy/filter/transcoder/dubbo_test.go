package transcoder_test

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	hessian2 "github.com/apache/dubbo-go-hessian2"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/dubbo"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// encode returns values in Hessian 2, as the library writes them.
func encode(values ...any) string {
	e := hessian2.NewEncoder()
	for _, v := range values {
		if err := e.Encode(v); err != nil {
			panic(err)
		}
	}
	return string(e.Buffer())
}

// decode returns all values of a body, as the library reads them.
func decodeAll(t *testing.T, body string) (values []any) {
	t.Helper()
	d := hessian2.NewDecoder([]byte(body))
	for {
		v, err := d.Decode()
		if err != nil {
			return values
		}
		values = append(values, v)
	}
}

type (
	dict = map[any]any
	list = []any
)

// throw is an exception that a service throws.
type throw struct {
	DetailMessage string `hessian:"detailMessage"`
	Cause         *throw `hessian:"cause"`
}

func (throw) JavaClassName() string { return "com.shop.NoMoney" }

// general is what $invoke makes of exceptions.
type general struct {
	Class         string `hessian:"exceptionClass"`
	Message       string `hessian:"exceptionMessage"`
	DetailMessage string `hessian:"detailMessage"`
}

func (general) JavaClassName() string { return "com.shop.General" }

// F5: HTTP in, a Dubbo service behind it.
func TestF5HTTPToDubbo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &proxytest.Network{}
		h := speak(t, n, "dubbo", func(ctx context.Context, a asked) reply {
			if status, err := strconv.Atoi(a.Method); err == nil {
				return reply{status: status, body: encode("words\n\tat peers.Demo")}
			}
			ok := func(values ...any) reply { return reply{status: dubbo.StatusOK, body: encode(values...)} }
			switch a.Method {
			case "late":
				return stuck(ctx, a)
			case "void":
				return ok(int32(2))
			case "attached":
				return ok(int32(4), "x", map[string]string{"x-a": "b", "bad name": "c", "dubbo": "2.0.2", "content-length": "9", "x-bad": "a\nb"})
			case "nothing":
				return ok(int32(5), map[string]string{"x-a": "b"})
			case "throw":
				e := &throw{DetailMessage: "no money"}
				e.Cause = e // as Java has it
				return ok(int32(0), e)
			case "throw2":
				return ok(int32(3), &throw{DetailMessage: "no money"}, map[string]string{"x-a": "b"})
			case "generic":
				return ok(int32(0), &general{Class: "com.shop.NoMoney", Message: "no money", DetailMessage: "com.shop.NoMoney: no money\n\tat com.shop.Pay"})
			case "silent":
				return ok(int32(0), &general{})
			case "text":
				return ok(int32(0), "out of money\n\tat com.shop.Pay")
			case "odd":
				return reply{status: dubbo.StatusOK, body: "G"}
			case "empty":
				return reply{status: dubbo.StatusOK}
			case "long":
				return ok(int32(1), strings.Repeat("x", 2000))
			case "foreign":
				return reply{status: dubbo.StatusOK, body: "1\n", fields: []string{"dubbo-serialization", "6"}}
			}
			return ok(int32(1), dict{"paid": list{int32(1), int64(1 << 40), 2.5, true, nil, "größer", []byte{1, 2, 3}}})
		})
		r := start(t, n, file(`{type: http2dubbo, max_body_size: 1000, trans: {version: "1.0", group: shop, parameter_types: {com.shop.Pay/typed: [long, com.shop.Order, "String[]", java.util.Date], any: [Object]}}}`))

		got := r.web("POST", "/com.shop.Pay/refund", `["A7",12,{"a":[1]},null,3.5,true,[1],8589934592]`, "X-User: ann", "Accept: */*", "generic: nativejava", "path: other", "Content-Type: application/json")
		if got.status != 200 || got.body != `{"paid":[1,1099511627776,2.5,true,null,"größer","AQID"]}` || got.header.Get("Content-Type") != "application/json" || got.header.Get("rpc-status") != "20" {
			t.Errorf("%+v", got)
		}
		a := h.last(t, 1)
		want := list{
			"2.0.2", "com.shop.Pay", "1.0", "refund", "Ljava/lang/String;ILjava/util/Map;Ljava/lang/Object;DZLjava/util/List;J",
			"A7", int32(12),
			dict{"a": list{int32(1)}},
			nil, 3.5, true,
			list{int32(1)},
			int64(8589934592),
		}
		values := decodeAll(t, a.body)
		if len(values) != len(want)+1 || !reflect.DeepEqual(values[:len(want)], want) {
			t.Errorf("the host was asked %#v", values)
		}
		attached, _ := values[len(values)-1].(dict)
		timeout, _ := strconv.Atoi(fmt.Sprint(attached["timeout"]))
		if timeout < 2900 || timeout > 3000 {
			t.Errorf("the host was told there were %d ms", timeout)
		}
		delete(attached, "timeout")
		delete(attached, "User-Agent")
		if !reflect.DeepEqual(attached, dict{"path": "com.shop.Pay", "interface": "com.shop.Pay", "version": "1.0", "group": "shop", "X-User": "ann"}) {
			t.Errorf("attachments %v", attached)
		}
		if rec := r.Records.Last(t, 1); rec.Method != "POST" || rec.Path != "/com.shop.Pay/refund" || rec.UpstreamProtocol != "dubbo" || rec.Status != 200 {
			t.Errorf("record %+v", rec)
		}

		count := 1
		for _, c := range []struct {
			method, body, fields string
			want                 list // types and arguments
		}{
			{"typed", `[1,{"id":7},["a"],0]`, "parameter-types: int", list{"JLcom/shop/Order;[Ljava/lang/String;Ljava/util/Date;", int64(1), dict{"id": int32(7)}, []string{"a"}, time.UnixMilli(0)}},
			{"any", `7`, "", list{"Ljava/lang/Object;", int32(7)}},
			{"said", `[7, "x"]`, "parameter-types: long, java.lang.String", list{"JLjava/lang/String;", int64(7), "x"}},
			{"none", ``, "", list{""}},
			{"none", `[]`, "parameter-types: ", list{""}},
			{"one", `{"a":1}`, "", list{"Ljava/util/Map;", dict{"a": int32(1)}}},
			{"versioned", ``, "version: 2.0", list{""}},
		} {
			got := r.web("POST", "/com.shop.Pay/"+c.method, c.body, c.fields)
			count++
			values := decodeAll(t, h.last(t, count).body)
			if got.status != 200 || len(values) != len(c.want)+5 || !reflect.DeepEqual(values[4:len(values)-1], c.want) {
				t.Errorf("%s %s: %+v; the host was asked %#v", c.method, c.body, got, values)
			}
		}
		if values := decodeAll(t, h.last(t, count).body); values[2] != "2.0" {
			t.Errorf("version %v", values[2])
		}
		for _, c := range []struct {
			method string
			status int
			want   string
		}{
			{"void", 200, `null`},
			{"nothing", 200, `null`},
			{"attached", 200, `"x"`},
			{"throw", 500, `{"error":"no money","rpc_status":20,"exception":"com.shop.NoMoney"}`},
			{"throw2", 500, `{"error":"no money","rpc_status":20,"exception":"com.shop.NoMoney"}`},
			{"generic", 500, `{"error":"no money","rpc_status":20,"exception":"com.shop.NoMoney"}`},
			{"silent", 500, `{"error":"the service has thrown an exception","rpc_status":20,"exception":"com.shop.General"}`},
			{"text", 500, `{"error":"out of money","rpc_status":20,"exception":"exception"}`},
			{"30", 504, `{"error":"words","rpc_status":30}`}, // p059
			{"31", 504, `"rpc_status":31`},
			{"40", 400, `words`},
			{"60", 404, `words`},
			{"70", 500, `words`},
			{"100", 503, `words`},
			{"odd", 502, `the answer: `},
			{"empty", 502, `too early`},
			{"long", 502, `more than 1000 bytes`},
			{"foreign", 502, `serialisation 6`},
		} {
			got := r.web("POST", "/s/"+c.method, "")
			if got.status != c.status || !strings.Contains(got.body, c.want) {
				t.Errorf("%s: %+v, want %d %s", c.method, got, c.status, c.want)
			}
			if c.method == "attached" && (got.header.Get("x-a") != "b" || got.header.Get("x-bad") != "" || got.header.Get("dubbo") != "") {
				t.Errorf("attached: %v", got.header)
			}
		}
		began := time.Now()
		if got := r.web("POST", "/s/late", ""); got.status != 504 || time.Since(began) != 3*time.Second {
			t.Errorf("late: %+v", got)
		}
	})
}

func TestHTTPToDubboRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &proxytest.Network{}
		h := speak(t, n, "dubbo", nobody)
		r := start(t, n, file(`{type: http2dubbo, max_body_size: 100, trans: {parameter_types: {two: [int, int]}}}`))
		for _, c := range []struct {
			path, body, field string
			status            int
			want              string
		}{
			{"/s/m", `[1`, "", 400, "no JSON, at byte 2"},
			{"/s/m", strings.Repeat("1", 101), "", 413, "max_body_size"},
			{"/s/m", `["` + strings.Repeat(`\u00e9`, 10) + `","` + strings.Repeat("é", 15) + `"]`, "", 413, "converted, the body has more than 100 bytes"},
			{"/s/two", `[1]`, "", 400, "2 parameters, the body 1 arguments"},
			{"/s/two", `[1,"x"]`, "", 400, "argument 2: at byte 1: text is no int"},
			{"/s/m", `[1]`, "parameter-types: 1x", 400, "no Java type"},
			{"/s/$invoke", `["m",null,[]]`, "", 400, "not for callers by HTTP"},
			{"/s", `1`, "", 404, "/{service}/{method}"},
			{"/s/m", strings.Repeat("[", 10001), "", 413, ""},
		} {
			if got := r.web("POST", c.path, c.body, c.field); got.status != c.status || !strings.Contains(got.body, c.want) {
				t.Errorf("%s %.30s: %+v, want %d %s", c.path, c.body, got, c.status, c.want)
			}
		}
		if len(h.seen) != 0 {
			t.Errorf("the host was asked %v", h.seen)
		}
	})
}

func TestGeneric(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &proxytest.Network{}
		h := speak(t, n, "dubbo", func(context.Context, asked) reply { return reply{status: dubbo.StatusOK, body: encode(int32(2))} })
		r := start(t, n, file(`{type: http2dubbo, trans: {generic: true, types_from_callers: false, parameter_types: {typed: [com.shop.Order]}}}`))
		r.web("POST", "/s/m", `[{"id":1}]`, "parameter-types: int")
		values := decodeAll(t, h.last(t, 1).body)
		want := list{"2.0.2", "s", nil, "$invoke", "Ljava/lang/String;[Ljava/lang/String;[Ljava/lang/Object;", "m", nil, []hessian2.Object{dict{"id": int32(1)}}}
		if len(values) != 9 || !reflect.DeepEqual(values[:8], want) || values[8].(dict)["generic"] != "true" {
			t.Errorf("the host was asked %#v", values)
		}
		r.web("POST", "/s/typed", `[{"id":1}]`)
		if values = decodeAll(t, h.last(t, 2).body); len(values) != 9 || !reflect.DeepEqual(values[6], []string{"com.shop.Order"}) {
			t.Errorf("the host was asked %#v", values)
		}
	})
}

func TestOneWayToDubbo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &proxytest.Network{}
		h := speak(t, n, "dubbo", func(context.Context, asked) reply { return reply{} })
		r := start(t, n, file(`{type: http2dubbo, trans: {one_way: true, path: /notes, service: s, method: m}}`))
		if got := r.web("POST", "/notes", "1"); got.status != 202 || got.body != "" {
			t.Errorf("%+v", got)
		}
		synctest.Wait()
		if a := h.last(t, 1); !a.OneWay || a.Method != "m" || a.field("service") != "s" {
			t.Errorf("the host was asked %+v", a)
		}
	})
}

// dubboBody is a call without attachments but those given.
func dubboBody(service, method, types string, attached any, args ...any) string {
	return encode("2.0.2", service, "1.0", method, types) + encode(args...) + encode(attached)
}

// F5: Dubbo in, a web service behind it.
func TestF5DubboToHTTP(t *testing.T) {
	for _, behind := range []string{"Http1", "Http2"} {
		t.Run(behind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &proxytest.Network{}
				h := speak(t, n, behind, func(ctx context.Context, a asked) reply {
					_, method, _ := strings.Cut(a.Path[1:], "/")
					if status, err := strconv.Atoi(method); err == nil {
						return reply{status: status, body: " words\n"}
					}
					switch method {
					case "late":
						return stuck(ctx, a)
					case "text":
						return reply{status: 200, body: "hello", fields: []string{"Content-Type", "text/plain"}}
					case "broken":
						return reply{status: 200, body: "{", fields: []string{"Content-Type", "application/problem+json"}}
					case "void":
						return reply{status: 204}
					case "deep":
						return reply{status: 200, body: strings.Repeat("[", 300) + strings.Repeat("]", 300)}
					}
					return reply{status: 200, body: `{"b":1,"a":[2.5,null]}`, fields: []string{"X-Answer", "yes", "Content-Type", "application/json", "rpc-status", "70", "generic", "x"}}
				})
				r := start(t, n, file(fmt.Sprintf("{max_body_size: 1000, rules: [{rule_info: {type: dubbo2http, upstream_protocol: %s}}]}", behind)))
				body := dubboBody("com.shop.Pay", "refund", "Ljava/lang/String;[ILcom/shop/Order;", map[string]string{"user": "ann", "path": "com.shop.Pay", "interface": "com.shop.Pay", "group": "g"},
					"A7", []int32{1, 2}, &throw{DetailMessage: "x"})
				status, text, _ := r.call("dubbo", new(stream.Request), body)
				values := decodeAll(t, text)
				if status != "20" || len(values) != 3 || values[0] != int32(4) || !reflect.DeepEqual(values[1], dict{"b": int32(1), "a": list{2.5, nil}}) {
					t.Errorf("status %s, %#v", status, values)
				} else if attached := values[2].(dict); attached["X-Answer"] != "yes" && attached["x-answer"] != "yes" || attached["generic"] != nil || attached["Content-Type"] != nil {
					t.Errorf("attachments %v", attached)
				}
				a := h.last(t, 1)
				if a.Method != "POST" || a.Path != "/com.shop.Pay/refund" || a.Authority != "com.shop.Pay" || a.body != `["A7",[1,2],{"detailMessage":"x","cause":null}]` ||
					a.field("user") != "ann" || a.field("group") != "g" || a.field("version") != "1.0" || a.field("content-type") != "application/json" {
					t.Errorf("the host was asked %s %s %s: %+v", a.Method, a.Path, a.body, a.Header)
				}
				if rec := r.Records.Last(t, 1); rec.Method != "refund" || rec.Protocol != "dubbo" || rec.UpstreamProtocol != behind || rec.Status != 200 {
					t.Errorf("record %+v", rec)
				}
				generic := dubboBody("com.shop.Pay", "$invoke", "Ljava/lang/String;[Ljava/lang/String;[Ljava/lang/Object;", map[string]string{"generic": "true"},
					"refund", []string{"int"}, []hessian2.Object{int32(1), "x"})
				if status, _, _ = r.call("dubbo", new(stream.Request), generic); status != "20" || h.last(t, 2).Path != "/com.shop.Pay/refund" || h.last(t, 2).body != `[1,"x"]` || h.last(t, 2).field("generic") != "" {
					t.Errorf("generic: status %s, the host was asked %+v", status, h.last(t, 2))
				}
				for _, c := range []struct {
					method string
					status int
					want   list
				}{
					{"text", 20, list{int32(1), "hello"}},
					{"void", 20, list{int32(2)}},
					{"broken", 60, list{"502|the answer is no JSON, at byte 1: unexpected end of JSON input"}},
					{"deep", 60, list{"502|the answer: values are nested deeper than 200"}},
					{"302", 60, list{"502|the service has answered with status 302, which is no answer to a call"}},
					{"400", 70, list{"400|words"}},
					{"403", 80, list{"403|words"}},
					{"404", 60, list{"404|words"}},
					{"500", 70, list{"500|words"}},
					{"503", 40, list{"503|words"}},
					{"504", 30, list{"504|words"}},
					{"late", 30, list{"504|timeout"}},
				} {
					status, text, _ := r.call("dubbo", new(stream.Request), dubboBody("s", c.method, "", nil))
					if values := decodeAll(t, text); status != fmt.Sprint(c.status) || len(values) < len(c.want) || !reflect.DeepEqual(values[:len(c.want)], c.want) {
						t.Errorf("%s: status %s, %#v; want %d, %v", c.method, status, values, c.status, c.want)
					}
				}
				for _, c := range []struct{ name, body, serialisation, want string }{
					{"too long", dubboBody("s", "m", "Ljava/lang/String;", nil, strings.Repeat("x", 1000)), "", "413|the body has more than 1000 bytes, which is the max_body_size"},
					{"cut", encode("2.0.2", "s", "1.0", "m", "II") + encode(int32(1)), "", "400|the call: argument 2: no Hessian 2: it ends too early"},
					{"fastjson", "\"2.0.2\"\n\"s\"\n\"1.0\"\n\"m\"\n\"\"\n{}\n", "6", "400|the call is in serialisation 6; only Hessian 2 can be converted"},
				} {
					req := new(stream.Request)
					if c.serialisation != "" {
						req.Header.Add("dubbo-serialization", c.serialisation)
					}
					status, text, _ := r.call("dubbo", req, c.body)
					if status != "70" || !strings.Contains(text, c.want) {
						t.Errorf("%s: status %s, %q", c.name, status, text)
					}
				}
			})
		})
	}
}

func TestOneWayFromDubbo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &proxytest.Network{}
		h := speak(t, n, "Http1", func(context.Context, asked) reply { return reply{status: 200} })
		r := start(t, n, file("{rules: [{rule_info: {upstream_protocol: Http1}}]}"))
		r.call("dubbo", &stream.Request{OneWay: true}, dubboBody("s", "m", "", nil))
		synctest.Wait()
		if a := h.last(t, 1); a.Path != "/s/m" || a.body != "[]" {
			t.Errorf("the host was asked %s %s", a.Path, a.body)
		}
	})
}

// Whatever a caller of Dubbo sends, it gets an answer, and the host JSON.
func FuzzDubboCall(f *testing.F) {
	f.Add([]byte(dubboBody("s", "m", "Ljava/lang/String;I", map[string]string{"a": "b"}, "x", int32(1))))
	f.Add([]byte(dubboBody("s", "$invoke", "Ljava/lang/String;[Ljava/lang/String;[Ljava/lang/Object;", nil, "m", nil, []hessian2.Object{int32(1)})))
	f.Add([]byte(encode("2.0.2", "s", nil, "m", "[[I") + "\x78N"))
	fuzzRequests(f, "dubbo2http", func(body []byte) *stream.Request {
		req := &stream.Request{Protocol: "dubbo", Method: "m"}
		req.Header.Add("service", "s")
		return req
	})
}
