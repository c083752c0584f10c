package variable_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/http1"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http2"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/variable"
)

type closer struct{ *strings.Reader }

func (closer) Close() error { return nil }

// request has something for every variable.
func request(protocol string) *stream.Request {
	r := &stream.Request{
		Protocol: protocol, Method: "POST", Scheme: "https", Authority: "shop:8080", Path: "/a%20b", Query: "a=1&b=x%26y&a=2&e", HasQuery: true,
		ContentLength: 5, Body: closer{strings.NewReader("hello")},
	}
	r.Header.Add("X-User", "ann")
	r.Header.Add("x-user", "bob")
	r.Header.Add("Cookie", `sid=s1; theme="dark"; sid=s2`)
	r.Info.Downstream = "10.0.0.7:4711"
	r.Info.Start = time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.Local)
	return r
}

func TestM2M4M5Names(t *testing.T) {
	h1, h2, bare, grpc := request(http1.Name), request(http2.Name), &stream.Request{}, request(http2.Name)
	routed := request(http1.Name)
	routed.Info.Path, routed.Path = routed.Path, "/rewritten"
	routed.Info.Route, routed.Info.Cluster, routed.Info.Host = "r1", "c1", "10.0.0.1:80"
	unknownLength := request(http1.Name)
	unknownLength.ContentLength = -1
	grpc.Header.Add("Content-Type", "Application/grpc+proto")
	grpc.Path = "/shop.v1.Orders/Get"
	const none = "\x00none"
	for _, c := range []struct {
		req   *stream.Request
		names string // separated by blanks
		want  string
	}{
		{h1, "x-mosn-scheme Http1_request_scheme request_header_:scheme", "https"},
		{h1, "x-mosn-method Http1_request_method Http1_request_header_:method", "POST"},
		{h1, "x-mosn-host authority request_header_Host request_header_:authority", "shop:8080"},
		{h1, "x-mosn-path Http1_request_path", "/a b"},
		{h1, "x-mosn-path-original Http1_request_path_original", "/a%20b"},
		{h1, "Http1_request_uri request_header_:path", "/a%20b?a=1&b=x%26y&a=2&e"},
		{h1, "x-mosn-querystring Http1_request_arg", "a=1&b=x%26y&a=2&e"},
		{h1, "Http1_request_length request_header_content-length", "5"},
		{unknownLength, "Http1_request_length request_header_content-length", none},
		{bare, "request_header_content-length x-mosn-path authority Http1_request_length start_time protocol x-mosn-querystring", none},
		{h1, "protocol", http1.Name},
		{h1, "start_time", "2026/01/02 03:04:05.006"},
		{h1, "downstream_remote_address", "10.0.0.7:4711"},
		{h1, "request_header_x-user Http1_request_header_X-USER", "ann"},
		{h1, "request_header_y Http1_request_header_y request_header_", none},
		{h1, "request_arg_a Http1_request_arg_a", "1"},
		{h1, "request_arg_b", "x&y"},
		{h1, "request_arg_e", ""},
		{h1, "request_arg_f request_arg_A", none},
		{h1, "cookie_sid Http1_cookie_sid", "s1"},
		{h1, "cookie_theme", "dark"},
		{h1, "cookie_SID cookie_x", none},
		// Http2_ says nothing of HTTP/1, and the other way round.
		{h1, "Http2_request_method Http2_cookie_sid Http2_request_header_x-user Http2_request_use_stream", none},
		{h2, "Http1_request_method Http1_cookie_sid Http1_request_header_x-user Http1_request_arg_a Http1_request_length", none},
		{h2, "Http2_request_scheme", "https"},
		{h2, "Http2_request_method", "POST"},
		{h2, "Http2_request_length", "5"},
		{h2, "Http2_request_uri", "/a%20b?a=1&b=x%26y&a=2&e"},
		{h2, "Http2_request_path", "/a b"},
		{h2, "Http2_request_path_original", "/a%20b"},
		{h2, "Http2_request_arg", "a=1&b=x%26y&a=2&e"},
		{h2, "Http2_request_arg_a", "1"},
		{h2, "Http2_request_header_x-user", "ann"},
		{h2, "Http2_cookie_theme", "dark"},
		{h2, "Http2_request_use_stream Http2_response_use_stream", "true"},
		{h1, "route_name upstream_cluster upstream_host", none},
		{routed, "route_name", "r1"},
		{routed, "upstream_cluster", "c1"},
		{routed, "upstream_host", "10.0.0.1:80"},
		{routed, "x-mosn-path Http1_request_path", "/rewritten"},
		{routed, "x-mosn-path-original Http1_request_path_original", "/a%20b"},
		{routed, "Http1_request_uri", "/a%20b?a=1&b=x%26y&a=2&e"},
		{grpc, "gRPC_serviceName x-mosn-rpc-service", "shop.v1.Orders"},
		{grpc, "x-mosn-rpc-method", "Get"},
		{h2, "gRPC_serviceName x-mosn-rpc-method", none},
		{h1, "response_code duration response_header_x x_seata_xid proxy_global_timeout free", none},
	} {
		for name := range strings.FieldsSeq(c.names) {
			got, ok := variable.Lookup(name)(c.req)
			if !ok {
				got += none
			}
			if got != c.want {
				t.Errorf("%s: got %q, want %q", name, got, c.want)
			}
		}
	}
}

func TestGRPCPaths(t *testing.T) {
	for path, want := range map[string]string{
		"/s/m": "s", "/a/b/m": "a/b", "/m": "", "": "", "/": "", "//m": "", "/s/": "", "s/m": "", "*": "",
	} {
		req := &stream.Request{Path: path}
		req.Header.Add("content-type", "application/grpc")
		if got, ok := variable.Lookup("gRPC_serviceName")(req); got != want || ok != (want != "") {
			t.Errorf("%q: %q %v", path, got, ok)
		}
	}
}

// What one filter notes another reads, absent is absent, and only the names
// that MOSN lets filters set can be set.
func TestM1SetAndRead(t *testing.T) {
	for _, c := range []struct {
		name string
		wins bool
	}{
		{"tenant", true},
		{"x-mosn-path", true},
		{"authority", true},
		{"gRPC_serviceName", true},
		{"response_code", true},
		{"response_header_x", true},
		{variable.RouterMeta, true},
		{variable.DisableRetry, true},
		{"Dubbo_service", true},
		{"", true},
		{"downstream_remote_address", false},
		{"Http1_request_method", false},
		{"request_header_x-user", false},
		{"route_name", false},
		{"protocol", false},
	} {
		get := variable.Lookup(c.name)
		req := request(http1.Name)
		before, had := get(req)
		if had != (variable.Known(c.name) == variable.OfRequest && c.name != "gRPC_serviceName" && c.name != "Dubbo_service") {
			t.Errorf("%s: has a value already: %v", c.name, had)
		}
		req.Vars.Set(c.name, "noted")
		if got, ok := get(req); c.wins != (got == "noted" && ok) || !c.wins && got != before {
			t.Errorf("%s: %q, %v", c.name, got, ok)
		}
		// The next request knows nothing of it.
		req.Reset()
		if _, ok := get(req); ok {
			t.Errorf("%s: still there after Reset", c.name)
		}
	}
}

func TestKnown(t *testing.T) {
	for name, want := range map[string]variable.Kind{
		"": variable.Free, "tenant": variable.Free, "request_header_": variable.Free, "X-Mosn-Path": variable.Free,
		"x-mosn-path": variable.OfRequest, "request_header_x": variable.OfRequest, "Http1_cookie_x": variable.OfRequest, "Http2_request_arg_x": variable.OfRequest,
		"Http1_request_arg": variable.OfRequest, "route_name": variable.OfRoute, "upstream_cluster": variable.OfRoute, "upstream_host": variable.OfHost,
		"x-mosn-router-meta": variable.Noted, "proxy_try_timeout": variable.Noted, "proxy_global_timeout": variable.Noted, "proxy_hijack_status": variable.Noted,
		"proxy_gzip_switch": variable.Noted, "proxy_direct_response": variable.Noted, "proxy_disable_retry": variable.Noted,
		"duration": variable.OfRecord, "response_header_x": variable.OfRecord, "x-mosn-status": variable.OfRecord,
	} {
		if got := variable.Known(name); got != want {
			t.Errorf("%q is %v, want %v", name, got, want)
		}
	}
	var names []string
	kinds := map[variable.Kind]int{}
	for name, kind := range variable.Names() {
		names = append(names, name)
		kinds[kind]++
		if kind != variable.Known(name) || strings.Contains(kind.String(), "unknown") || variable.Lookup(name) == nil {
			t.Errorf("%s: %v", name, kind)
		}
	}
	if !slices.IsSorted(names) || len(kinds) != 5 || kinds[variable.Free] != 0 || !slices.Contains(names, "Http1_cookie_X") {
		t.Errorf("%v %v", kinds, names)
	}
	for range variable.Names() {
		break
	}
	if variable.Free.String() != "not built in" || variable.Kind(99).String() != "unknown kind" {
		t.Error("String")
	}
}

func TestTemplate(t *testing.T) {
	req := request(http1.Name)
	req.Path, req.Query = "/x%0d%0aEvil:%001", "q=a%0Ab"
	req.Vars.Set("tenant", "t\x7f\r\n\t1")
	for _, c := range []struct{ text, want, names string }{
		{"", "", ""},
		{"plain", "plain", ""},
		{"%authority%", "shop:8080", "authority"},
		{"a-%x-mosn-method%-b", "a-POST-b", "x-mosn-method"},
		{"%x-mosn-method%%authority%", "POSTshop:8080", "x-mosn-method authority"},
		{"%request_header_x-user%;%request_header_:scheme%", "ann;https", "request_header_x-user request_header_:scheme"},
		{"%nobody%", "", "nobody"},
		{"<%nobody%>", "<>", "nobody"},
		// Percent signs.
		{"%", "%", ""},
		{"%%", "%", ""},
		{"%%%", "%%", ""},
		{"%%%%", "%%", ""},
		{"100%", "100%", ""},
		{"100% of %authority%", "100% of shop:8080", "authority"},
		{"/a%20b%41", "/a%20b%41", ""},
		{"%20%authority%", "%20shop:8080", "authority"},
		{"5%%-%%7", "5%-%7", ""},
		{"%%authority%%", "%authority%", ""},
		{"%authority", "%authority", ""},
		{"%a b%authority%", "%a bshop:8080", "authority"},
		{"%é%", "%é%", ""},
		{"%-a%", "%-a%", ""},
		// No value ends a header field.
		{"%x-mosn-path%", "/x%0D%0AEvil:%001", "x-mosn-path"},
		{"q=%request_arg_q%", "q=a%0Ab", "request_arg_q"},
		{"%tenant%", "t%7F%0D%0A\t1", "tenant"},
	} {
		tmpl, err := variable.ParseTemplate(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if got := tmpl.Value(req); got != c.want || strings.Join(tmpl.Names(), " ") != c.names {
			t.Errorf("%q: %q with variables %q", c.text, got, tmpl.Names())
		}
	}
	for _, bad := range []string{"a\r\nb", "\x00", "a\x7f"} {
		if _, err := variable.ParseTemplate(bad); err == nil || strings.ContainsAny(err.Error(), "\r\n\x00") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestArgsAndCookies(t *testing.T) {
	for _, c := range []struct {
		query, name, want string
		ok                bool
	}{
		{"", "", "", false},
		{"a", "a", "", true},
		{"a=", "a", "", true},
		{"&&a=1&", "a", "1", true},
		{"=x", "", "x", true},
		{"a=b=c", "a", "b=c", true},
		{"a%62=1", "ab", "1", true},
		{"a+b=c+d", "a b", "c d", true},
		{"a=%zz%2", "a", "%zz%2", true},
		{"a=%e4%B8%AD", "a", "中", true},
		{"aa=1", "a", "", false},
		{"a;b=1", "b", "", false},
		{"%61=1&a=2", "a", "1", true},
	} {
		if got, ok := variable.QueryArg(c.query, c.name); got != c.want || ok != c.ok {
			t.Errorf("argument %q of %q: %q, %v", c.name, c.query, got, ok)
		}
	}
	for _, c := range []struct {
		line, name, want string
		ok               bool
	}{
		{"", "a", "", false},
		{"a", "a", "", false},
		{"a=", "a", "", true},
		{"a=1;b=2", "b", "2", true},
		{" a = 1 ; b=2", "a", "1", true},
		{`a="x y"`, "a", "x y", true},
		{`a="`, "a", `"`, true},
		{"a=b=c", "a", "b=c", true},
		{"xa=1; a=2", "a", "2", true},
		{"a=%20+", "a", "%20+", true},
	} {
		var h stream.Header
		h.Add("Cookie", "first=1")
		h.Add("cookie", c.line)
		if got, ok := variable.Cookie(&h, c.name); got != c.want || ok != c.ok {
			t.Errorf("cookie %q of %q: %q, %v", c.name, c.line, got, ok)
		}
	}
	var all []string
	for k, v := range variable.QueryArgs("b=1&a=%32&b") {
		all = append(all, k+"="+v)
	}
	if got := strings.Join(all, " "); got != "b=1 a=2 b=" {
		t.Errorf("all: %q", got)
	}
	for range variable.QueryArgs("a&b") {
		break
	}
}

func TestEscapes(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "/a/b;c=d,e@f:g(h)": "/a/b;c=d,e@f:g(h)", "/a b": "/a%20b", "/ä#x": "/%C3%A4%23x", "/a%20b%zz": "/a%20b%zz", "/\r\n\x00\x7f": "/%0D%0A%00%7F", `"<>\^{|}` + "`": "%22%3C%3E%5C%5E%7B%7C%7D%60",
	} {
		if got := variable.EscapeURL(s); got != want || variable.Printable(got) != got {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func TestF10Meta(t *testing.T) {
	for _, c := range []struct {
		labels []stream.Label
		want   string
	}{
		{nil, ""},
		{[]stream.Label{{Key: "version", Value: "v2"}}, "version=v2"},
		{[]stream.Label{{Key: "a", Value: ""}, {Key: "zone", Value: "x y"}}, "a=,zone=x y"},
		{[]stream.Label{{Key: "a=,%", Value: "1,b=2%41\n"}}, "a%3D%2C%25=1%2Cb%3D2%2541%0A"},
	} {
		got := variable.EncodeMeta(c.labels)
		if back := variable.DecodeMeta(got); got != c.want || !slices.Equal(back, c.labels) {
			t.Errorf("%v: %q, and back %v", c.labels, got, back)
		}
	}
	for text, want := range map[string]string{
		",,":              "",
		"a":               "",
		"=1":              "",
		"b=1,a=2":         "a=2,b=1",
		"a=1,b=2,a=3":     "a=3,b=2",
		"a=x=y":           "a=x%3Dy",
		"a=%zz":           "a=%25zz",
		"%61=1,a=2,%61=3": "a=3",
	} {
		if got := variable.EncodeMeta(variable.DecodeMeta(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestAllocations(t *testing.T) {
	req := request(http1.Name)
	req.Path = "/plain"
	req.Vars.Set("tenant", "t1")
	one, _ := variable.ParseTemplate("%request_header_x-user%")
	fixed, _ := variable.ParseTemplate("100%")
	several, _ := variable.ParseTemplate("%x-mosn-method% %tenant%")
	getters := []variable.Getter{
		variable.Lookup("x-mosn-path"), variable.Lookup("request_arg_a"), variable.Lookup("cookie_sid"), variable.Lookup("tenant"), variable.Lookup("Http1_request_method"),
	}
	if n := testing.AllocsPerRun(100, func() {
		one.Value(req)
		fixed.Value(req)
		for _, get := range getters {
			get(req)
		}
	}); n != 0 {
		t.Errorf("%v allocations for values that are there", n)
	}
	if n := testing.AllocsPerRun(100, func() { several.Value(req) }); n != 1 {
		t.Errorf("%v allocations for a text of three parts", n)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"", "%", "%%", "%a%", "a%x-mosn-path%b%20", "%request_header_x%%%", "\n"} {
		f.Add(s, "va\r\nlue%")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		tmpl, err := variable.ParseTemplate(text)
		if err != nil {
			if variable.Printable(text) == text {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		req := &stream.Request{Path: value, Authority: value}
		for _, name := range tmpl.Names() {
			if variable.Known(name) == variable.Free {
				req.Vars.Set(name, value)
			}
		}
		if got := tmpl.Value(req); variable.Printable(got) != got {
			t.Fatalf("%q with %q: %q", text, value, got)
		}
		// Doubling the percent signs makes any text mean itself.
		tmpl, err = variable.ParseTemplate(strings.ReplaceAll(text, "%", "%%"))
		if err != nil || tmpl.Value(req) != text || len(tmpl.Names()) != 0 {
			t.Fatalf("%q does not mean itself: %v", text, err)
		}
	})
}

func FuzzMeta(f *testing.F) {
	for _, s := range []string{"", "a=1,b=2", "a=%2C,", "=,%=%,a", "%61=1,a=2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		labels := variable.DecodeMeta(text)
		for i := range labels {
			if labels[i].Key == "" || i > 0 && labels[i-1].Key >= labels[i].Key {
				t.Fatalf("%q: %v", text, labels)
			}
		}
		line := variable.EncodeMeta(labels)
		if back := variable.DecodeMeta(line); !slices.Equal(back, labels) || variable.Printable(line) != line {
			t.Fatalf("%q: %v is %q is %v", text, labels, line, back)
		}
	})
}

func FuzzArgsAndCookies(f *testing.F) {
	for _, s := range []string{"", "a=1&b", "%61=%zz&+", "a=\"x\"; b", ";=&="} {
		f.Add(s, "a")
	}
	f.Add("+", "+") // an argument named " "
	f.Fuzz(func(t *testing.T, text, name string) {
		var first *string
		for k, v := range variable.QueryArgs(text) {
			if k == name {
				first = &v
				break
			}
		}
		if v, ok := variable.QueryArg(text, name); ok != (first != nil) || ok && v != *first {
			t.Fatalf("argument %q of %q: %q, %v", name, text, v, ok)
		}
		var h stream.Header
		h.Add("cookie", text)
		if v, ok := variable.Cookie(&h, name); ok && !strings.Contains(text, v) {
			t.Fatalf("cookie %q of %q: %q", name, text, v)
		}
		if s := variable.Printable(text); variable.Printable(s) != s || len(variable.Unescape(s, true)) > len(s) {
			t.Fatalf("%q", text)
		}
	})
}

func BenchmarkGetter(b *testing.B) {
	req := request(http1.Name)
	for _, name := range []string{"x-mosn-method", "Http1_request_path", "request_header_x-user", "request_arg_a", "free"} {
		get := variable.Lookup(name)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				get(req)
			}
		})
	}
}

func BenchmarkTemplate(b *testing.B) {
	req := request(http1.Name)
	for _, text := range []string{"plain", "%authority%", "%authority%-%x-mosn-method%"} {
		tmpl, _ := variable.ParseTemplate(text)
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tmpl.Value(req)
			}
		})
	}
}
