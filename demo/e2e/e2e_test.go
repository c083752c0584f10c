package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/ottavo-runtime/ottavo/demo/internal/ottavotest"
	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

// The tests of this package run the real program as a process of its own, and
// see of it what a user sees: calls, logs, the actuator, its exit code, and what
// it uses of the machine.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// callTime bounds one call of a test, and is long: the machine may be busy.
const callTime = time.Minute

// A service is a service id with the address that its route leads to.
type service struct{ id, address string }

// configuration is a file with an embedded store, further lines for the section
// state, and a route, a cluster and a name "route-<id>", "cluster-<id>" for each
// service.
func configuration(state string, services ...service) string {
	var routes, clusters strings.Builder
	for _, s := range services {
		fmt.Fprintf(&routes, "      - {name: route-%s, match: {headers: [{name: id, value: %q}]}, route: {cluster_name: cluster-%s}}\n", s.id, s.id, s.id)
		fmt.Fprintf(&clusters, "  - {name: cluster-%s, idle_timeout: 1s, hosts: [{address: %q}]}\n", s.id, s.address)
	}
	file := `
runtime:
  listen: 127.0.0.1:0
  actuator: {listen: "ACTUATOR"}
  hellos: {helloworld: {type: helloworld, hello: greeting}}
  state:
    store: {type: embedded}
` + state + `
  rpcs: {mosn: {config: {channel: [{protocol: http, listener: egress}]}}}
servers:
- listeners:
  - name: egress
    address: 127.0.0.1:0
    access_logs: [{log_path: access.log}]
    filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: Http1, upstream_protocol: Http1, router_config_name: services}}]}]
  routers:
  - router_config_name: services
    virtual_hosts:
    - name: services
      domains: ["*"]
      routers:
` + routes.String()
	if len(services) > 0 {
		file += "cluster_manager:\n  clusters:\n" + clusters.String()
	} else {
		file = strings.Replace(file, "      routers:\n", "      routers: []\n", 1)
	}
	return file
}

// dial returns a client of the process, closed when the test ends.
func dial(t *testing.T, p *ottavotest.Process, opts ...grpc.DialOption) *ottavo.Client {
	t.Helper()
	client, err := ottavo.Dial(p.Addr("runtime"), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

func timeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callTime)
	t.Cleanup(cancel)
	return ctx
}

// echo is a real HTTP service that answers with verb, URL and body of the request.
func echo(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		_, _ = fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, body) // an error shows at the caller
	}))
	t.Cleanup(server.Close)
	return server
}

// alive fails the test unless the process still answers.
func alive(t *testing.T, client *ottavo.Client) {
	t.Helper()
	if got, err := client.SayHello(timeout(t), "helloworld", "eva"); err != nil || got != "greeting, eva" {
		t.Errorf("SayHello: %q, %v", got, err)
	}
}
