package rpc

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/proxy"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/filter/transcoder"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/dubbo"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http1"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
)

// converting starts a core whose listener converts calls, and sends them to a host.
func converting(t *testing.T, host string, filter map[string]any) *proxytest.Server {
	t.Helper()
	table, err := protocol.NewTable(http1.Protocol{}, frame.New(dubbo.Codec{}, frame.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	l := proxytest.Bound("rpc", "r", "127.0.0.1:0")
	l.FilterChains[0].Filters[0].Config["downstream_protocol"] = "Auto"
	l.StreamFilters = []config.Extension{{Type: transcoder.Name, Config: filter}}
	demo := config.Route{Route: &config.RouteAction{ClusterName: "demo", Timeout: 30 * time.Second}}
	nowhere := serves("test.Nowhere", "gone")
	return proxytest.Start(t, nil, &config.Snapshot{
		Listeners: []config.Listener{l},
		Routers:   []config.Router{proxytest.Router("r", nowhere, demo)},
		Clusters:  []config.Cluster{proxytest.Cluster("demo", host), proxytest.Cluster("gone", testserver.Addr(t))},
	}, proxytest.With(func(o *proxy.Options) { o.Protocols = table }), proxytest.WithFilters(transcoder.Spec(transcoder.Builtin()...)))
}

// post calls a service over HTTP.
func post(t *testing.T, s *proxytest.Server, path, body string, fields ...string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Addr(t, "rpc")+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := proxytest.Client(t, s.Addr(t, "rpc")).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimSpace(string(b)))
}

// TestHTTPToDubboJS: JSON over HTTP to a Dubbo server in Node.
func TestHTTPToDubboJS(t *testing.T) {
	demo := server(t, "dubbo-server.cjs")
	s := converting(t, demo, map[string]any{"type": "http2dubbo", "trans": map[string]any{"version": "1.0"}})
	for _, c := range []struct{ method, body, want string }{
		{"echo", `["größer 😀"]`, `200 "größer 😀"`},
		{"echo", `[12]`, `200 12`},
		{"echo", `[[1,"a",null,true,{"b":2.5}]]`, `200 [1,"a",null,true,{"b":2.5}]`},
		{"slow", `[50,"done"]`, `200 "done"`},
	} {
		if got := post(t, s, "/test.Demo/"+c.method, c.body); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.method, c.body, got, c.want)
		}
	}
	if got := post(t, s, "/test.Demo/fail", `["no money"]`); !strings.HasPrefix(got, "500 ") || !strings.Contains(got, "no money") {
		t.Errorf("fail: %s", got)
	}
}

// saidOverHTTP is what testdata/dubbo-client.cjs prints when it reaches a web
// service.
const saidOverHTTP = `echo größer
slow done
business error error: 500|no money
nobody serves it error: 502|no health upstream
at once true
many 10000
dubbo2.js hello well
`

// TestDubboToHTTP: two clients of Dubbo reach a web service.
func TestDubboToHTTP(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var args []any
		if err := json.NewDecoder(r.Body).Decode(&args); err != nil {
			t.Errorf("%s: %v", r.URL, err)
		}
		switch r.URL.Path {
		case "/test.Demo/slow":
			<-time.After(100 * time.Millisecond)
			args = args[1:]
		case "/test.Demo/fail":
			http.Error(w, args[0].(string), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(args[0])
	}))
	t.Cleanup(web.Close)
	s := converting(t, strings.TrimPrefix(web.URL, "http://"), map[string]any{"type": "dubbo2http"})
	if got := run(t, "dubbo-client.cjs", s.Addr(t, "rpc")); got != saidOverHTTP {
		t.Errorf("got\n%s\nwant\n%s", got, saidOverHTTP)
	}
}
