package traffic

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
)

// Istio routes by host and path. With dubbo_stream, the service that is called is
// the host; what the host gets is the request as it was.
func TestDubboStream(t *testing.T) {
	for _, name := range []string{"dubbo", "bolt", "tars", "dubbothrift"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := begin(t, fmt.Sprintf(`
listeners:
  - name: in
    bind_port: false
    stream_filters: [{type: dubbo_stream}]
    filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: X, upstream_protocol: X, router_config_name: main, extend_config: {sub_protocol: %s}}}]}]
routers:
  - router_config_name: main
    virtual_hosts:
      - {name: pay, domains: [com.example.Pay], routers: [{match: {prefix: /}, route: {cluster_name: c}}]}
      - {name: stock, domains: ["*.Stock"], routers: [{match: {path: /}, route: {cluster_name: none}}]}
clusters:
  - {name: c, hosts: [{address: "host:1"}]}
  - {name: none}
`, name), speaking(t), "the cluster has no hosts")
				h := r.peers(name, time.Millisecond, "host:1")[0]
				caller := r.rpcCaller(name)
				if status, err := call(caller, name, "com.example.Pay"); status != 200 || err != nil {
					t.Errorf("status %d, %v", status, err)
				}
				r.wantOpen("afterwards", h, 1, 1)
				for i, other := range []string{"com.example.Stock", "com.example.Nobody"} {
					if status, err := call(caller, name, other); status == 200 || err != nil {
						t.Errorf("%s: status %d, %v", other, status, err)
					}
					rec := r.Records.Last(t, 2+i)
					if want := []string{"stock", ""}[i]; rec.VirtualHost != want || rec.Service != other || rec.Path != "" || rec.Authority != "" {
						t.Errorf("record %+v", rec)
					}
				}
				var counted []string
				for _, c := range r.Calls().All() {
					counted = append(counted, fmt.Sprintf("%s %s %d %d %d", c.Service, c.Method, c.Requests.Load(), c.Succeeded.Load(), c.Failed.Load()))
				}
				want := "com.example.Nobody echo 1 0 1, com.example.Pay echo 1 1 0, com.example.Stock echo 1 0 1"
				if name == "bolt" { // the caller's frames name no method
					want = strings.ReplaceAll(want, "echo", "")
				}
				if got := strings.Join(counted, ", "); got != want {
					t.Errorf("counted %s, want %s", got, want)
				}
			})
		})
	}
}

// Routes can go by what a Dubbo request calls, without any filter, and by what is
// called over whichever RPC protocol.
func TestVariablesOfRPC(t *testing.T) {
	for _, c := range []struct{ protocol, variable, value, route string }{
		{"dubbo", "Dubbo_service", "dubbo", "a"},
		{"dubbo", "Dubbo_method", "echo", "a"},
		{"dubbo", "x-mosn-rpc-service", "dubbo", "a"},
		{"dubbo", "x-mosn-rpc-method", "echo", "a"},
		{"dubbo", "Dubbo_service", "other", "b"},
		{"bolt", "x-mosn-rpc-service", "dubbo", "a"},
		{"tars", "x-mosn-rpc-method", "echo", "a"},
		{"bolt", "Dubbo_service", "dubbo", "b"},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				text := strings.Replace(rpcFile("downstream_protocol: "+c.protocol, ""), "        routers:\n", fmt.Sprintf(`        routers:
          - {name: a, match: {variables: [{name: %s, value: %s}]}, route: {cluster_name: c}}
`, c.variable, c.value), 1)
				text = strings.Replace(text, `- match: {headers`, `- name: b
            match: {headers`, 1)
				r := begin(t, text, speaking(t))
				r.peers(c.protocol, time.Millisecond, "host:1")
				if status, err := call(r.rpcCaller(c.protocol), c.protocol, "dubbo"); status != 200 || err != nil {
					t.Errorf("status %d, %v", status, err)
				}
				if rec := r.Records.Last(t, 1); rec.Route != c.route {
					t.Errorf("route %q, want %q", rec.Route, c.route)
				}
			})
		})
	}
}

// The access log has the protocol's own status of an answer, as the caller was
// told it, beside what it means in HTTP, whoever has made the answer.
func TestStatusOfRPCInAccessLog(t *testing.T) {
	for name, codes := range map[string]map[string]string{
		"bolt":        {"ok": "0", "nobody": "6", "slow": "7", "limited": "4", "none": "6", "direct": "2", "broken": "1"},
		"boltv2":      {"ok": "0", "nobody": "6", "slow": "7", "limited": "4", "none": "6", "direct": "3", "broken": "1"},
		"dubbo":       {"ok": "20", "nobody": "60", "slow": "30", "limited": "40", "none": "60", "direct": "80", "broken": "70"},
		"tars":        {"ok": "0", "nobody": "-4", "slow": "-7", "limited": "-9", "none": "-8", "direct": "-99", "broken": "-2"},
		"dubbothrift": {"ok": "2", "nobody": "3", "slow": "3", "limited": "3", "none": "3", "direct": "3", "broken": "3"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "access.log")
			told := make(map[string]string)
			synctest.Test(t, func(t *testing.T) {
				r := begin(t, fmt.Sprintf(`
listeners:
  - name: in
    bind_port: false
    access_logs: [{log_path: %s}]
    filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: %s, router_config_name: main}}]}]
routers:
  - router_config_name: main
    virtual_hosts:
      - domains: ["*"]
        routers:
          - {match: {headers: [{name: service, value: ok}]}, route: {cluster_name: c}}
          - {match: {headers: [{name: service, value: slow}]}, route: {cluster_name: c, timeout: 10ms}}
          - {match: {headers: [{name: service, value: broken}]}, route: {cluster_name: broken}}
          - {match: {headers: [{name: service, value: limited}]}, route: {cluster_name: limited}}
          - {match: {headers: [{name: service, value: none}]}, route: {cluster_name: none}}
          - {match: {headers: [{name: service, value: direct}]}, direct_response: {status: 403}}
clusters:
  - {name: c, hosts: [{address: "host:1"}]}
  - {name: none}
  - {name: limited, circuit_breakers: [{max_requests: 1}], hosts: [{address: "host:1"}]}
  - {name: broken, hosts: [{address: "host:2"}]}
`, path, name), speaking(t), "the cluster has no hosts")
				peers := r.peers(name, time.Second, "host:1", "host:2")
				peers[1].code = codes["broken"]
				caller := r.rpcCaller(name)
				go func() { _, _ = call(caller, name, "limited") }()
				time.Sleep(time.Millisecond)
				services := append([]string{"limited"}, slices.Sorted(maps.Keys(codes))...) // while the other call is there
				for i, service := range services {
					if service == "limited" && i > 0 {
						continue
					}
					_, code, err := callFor(caller, name, service, 0)
					if err != nil {
						t.Errorf("%s: %v", service, err)
					}
					told[service] = code
				}
				time.Sleep(time.Minute)
			})
			b, err := os.ReadFile(path)
			must(t, err)
			meaning := map[string]string{"ok": "200", "nobody": "404", "slow": "504", "limited": "503", "none": "503", "direct": "403", "broken": "500"}
			for service, want := range codes {
				line := ""
				for l := range strings.Lines(string(b)) {
					if strings.Contains(l, " service="+service+" ") && (service != "limited" || strings.Contains(l, "error=")) {
						line = l
					}
				}
				if s := " status=" + meaning[service] + " rpc_status=" + want + " "; told[service] != want || !strings.Contains(line, s) {
					t.Errorf("%s: the caller was told %s; the log says %q, want %q", service, told[service], line, s)
				}
			}
		})
	}
}

// A call whose time is over is a timeout, 504, also when its caller, who knows
// that, has closed the connection at the same moment. One that goes before is 499.
func TestTimeoutOrCanceled(t *testing.T) {
	for _, name := range []string{"bolt", "boltv2", "dubbo", "tars"} {
		for i, c := range []struct {
			own, route, goes time.Duration
			status           int
		}{
			{own: time.Second, route: time.Minute, goes: time.Second, status: 504},
			{own: time.Second, route: time.Minute, goes: time.Second - 40*time.Millisecond, status: 504},
			{own: 20 * time.Millisecond, route: time.Minute, goes: 19 * time.Millisecond, status: 504},
			{own: time.Second, route: time.Minute, goes: 900 * time.Millisecond, status: 499},
			{route: time.Second, goes: time.Second, status: 504},
			{own: frame.Never, route: time.Second, goes: time.Second, status: 504},
			{route: time.Second, goes: 999 * time.Millisecond, status: 499},
			{own: time.Second, route: time.Minute, goes: time.Hour, status: 504},
			{route: time.Second, goes: time.Hour, status: 504},
		} {
			mode := []string{"multiplex", "ping_pong", "binding"}[i%3]
			for _, mode := range []string{mode, "binding"} {
				t.Run(fmt.Sprintf("%s/%s/%+v", name, mode, c), func(t *testing.T) {
					for range 5 { // it must not be by chance
						synctest.Test(t, func(t *testing.T) {
							r := begin(t, strings.Replace(rpcFile("downstream_protocol: "+name, "pool_mode: "+mode), "10s", c.route.String(), 1), speaking(t))
							r.peers(name, time.Hour, "host:1")
							nc := r.Dial(t, "in")
							_, err := nc.Write(frameOf(t, r, name, c.own))
							must(t, err)
							time.Sleep(c.goes)
							_ = nc.Close()
							if rec := r.Records.Last(t, 1); rec.Status != c.status {
								t.Fatalf("record %+v", rec)
							}
						})
					}
				})
			}
		}
	}
}

// frameOf is a call as a caller writes it.
func frameOf(t *testing.T, r *rig, name string, limit time.Duration) []byte {
	t.Helper()
	p, _ := r.tables.Protocols.Lookup(name)
	near, far := conn.NewPipe("caller", "paper")
	c := p.NewClient(conn.New(near), protocol.ClientOptions{})
	defer func() { _ = c.Close() }()
	go func() { _, _, _ = callFor(c, name, "pay", limit) }()
	b := make([]byte, 4096)
	n, err := far.Read(b)
	must(t, err)
	_ = far.Close()
	return b[:n]
}
