package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/memory"
	"github.com/ottavo-runtime/ottavo/runtime"
	"github.com/ottavo-runtime/ottavo/runtime/builtin"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

func TestMain(m *testing.M) {
	// net/http's idle client connections end when they please.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"))
}

// store is a state store whose health and end a test can see and set.
type store struct {
	state.Store
	sick   atomic.Bool
	mad    atomic.Bool
	closed atomic.Bool
}

func (s *store) Check(context.Context) error {
	if s.sick.Load() {
		return errors.New("the backend is away")
	}
	if s.mad.Load() {
		panic("mad")
	}
	return nil
}

func (s *store) Close() error {
	s.closed.Store(true)
	return s.Store.Close()
}

// tables returns the built-in tables with two more state types: "watched",
// which makes s, and "broken", which can't be made.
func tables(s *store) runtime.Tables {
	t := builtin.Tables()
	t.States = append(t.States,
		components.Row[state.Store]{Type: "watched", New: func(ctx context.Context, env components.Env, cfg components.Config) (state.Store, error) {
			var err error
			s.Store, err = memory.New(ctx, env, cfg)
			return s, err
		}},
		components.Row[state.Store]{Type: "broken", New: func(context.Context, components.Env, components.Config) (state.Store, error) {
			return nil, errors.New("connect to db.example:5432: connection refused")
		}})
	return t
}

// fails starts a runtime that must not start, and returns why.
func fails(t *testing.T, file string, tables runtime.Tables) error {
	t.Helper()
	rt, err := runtime.New(t.Context(), runtime.Options{Config: runtimetest.Load(t, file, tables), Tables: tables})
	if err == nil {
		rt.Close(t.Context())
		t.Fatal("it started")
	}
	return err
}

func contains(t *testing.T, err error, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q: %v", text, err)
		}
	}
}

func TestFailedComponent(t *testing.T) {
	s := new(store)
	err := fails(t, `
runtime:
  listen: 127.0.0.1:0
  actuator: {listen: "127.0.0.1:0"}
  state:
    a: {type: watched}
    orders: {type: broken}
`, tables(s))
	contains(t, err, "state", `"orders"`, "broken", "connect to db.example:5432: connection refused")
	if !s.closed.Load() {
		t.Error("the component that had started was not closed")
	}
}

// A component whose server hangs does not keep the start waiting for ever.
func TestHangingComponent(t *testing.T) {
	tables := tables(new(store))
	tables.States = append(tables.States, components.Row[state.Store]{Type: "hanging", New: func(ctx context.Context, _ components.Env, _ components.Config) (state.Store, error) {
		<-ctx.Done()
		return nil, fmt.Errorf("connecting to db.example:5432: %w", ctx.Err())
	}})
	cfg := runtimetest.Load(t, "runtime: {listen: 127.0.0.1:0, state: {orders: {type: hanging}}}", tables)
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		_, err := runtime.New(t.Context(), runtime.Options{Config: cfg, Tables: tables})
		if took := time.Since(begin); err == nil || took != 30*time.Second {
			t.Fatalf("after %s: %v", took, err)
		}
		contains(t, err, "state", `"orders"`, "hanging", "db.example:5432", "not ready within 30s")
	})
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	s := new(store)
	err = fails(t, fmt.Sprintf("runtime: {listen: \"%s\", actuator: {enabled: false}, state: {a: {type: watched}}}", l.Addr()), tables(s))
	contains(t, err, "in use", l.Addr().String(), "runtime")
	if !s.closed.Load() {
		t.Error("the component that had started was not closed")
	}
}

func TestUnknownChannelListener(t *testing.T) {
	err := fails(t, `runtime: {listen: "127.0.0.1:0", actuator: {enabled: false}, rpcs: {mosn: {config: {channel: [{protocol: http, listener: nowhere}]}}}}`, builtin.Tables())
	contains(t, err, "mosn", "nowhere", "runtime.rpcs.mosn.config.channel[0]")
}

func TestKeyPrefixRefused(t *testing.T) {
	err := fails(t, `runtime: {listen: "127.0.0.1:0", actuator: {enabled: false}, state: {a: {type: in-memory, metadata: {keyPrefix: "x||y"}}}}`, builtin.Tables())
	contains(t, err, "runtime.state.a.metadata.keyPrefix", "||")
}

// readiness asks the actuator.
func readiness(t *testing.T, rt *runtimetest.Runtime) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + rt.Addr(t, "actuator") + "/actuator/health/readiness")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// eventually waits until ok, at most two minutes.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within two minutes", what)
		case <-tick.C:
		}
	}
}

func TestReadinessFollowsComponents(t *testing.T) {
	s := new(store)
	tab := tables(s)
	rt := runtimetest.Start(t, `runtime: {listen: "127.0.0.1:0", actuator: {listen: "127.0.0.1:0"}, state: {a: {type: watched}}}`, runtimetest.Options{Tables: &tab})
	eventually(t, "ready", func() bool { code, _ := readiness(t, rt); return code == 200 })
	s.sick.Store(true)
	eventually(t, "down", func() bool {
		code, body := readiness(t, rt)
		return code == 500 && strings.Contains(body, `"DOWN"`) && strings.Contains(body, "state/a") && strings.Contains(body, "the backend is away")
	})
	eventually(t, "the log tells", func() bool { return rt.Log.Contains("component is down", "component=a", "the backend is away") })
	s.sick.Store(false)
	eventually(t, "up again", func() bool { code, _ := readiness(t, rt); return code == 200 })
	s.mad.Store(true) // a component that panics is down, and takes nobody with it
	eventually(t, "down", func() bool {
		code, body := readiness(t, rt)
		return code == 500 && strings.Contains(body, "its check has a defect: mad")
	})
	s.mad.Store(false)
	eventually(t, "up again", func() bool { code, _ := readiness(t, rt); return code == 200 })
}

// egress is a configuration whose calls go to one HTTP service.
func egress(service string) string {
	return fmt.Sprintf(`
runtime:
  listen: 127.0.0.1:0
  actuator: {listen: "127.0.0.1:0"}
  hellos: {helloworld: {type: helloworld, hello: greeting}}
  rpcs: {mosn: {config: {channel: [{protocol: http, listener: egress}]}}}
servers:
- listeners:
  - {name: egress, address: "127.0.0.1:0", bind_port: false, filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: Http1, upstream_protocol: Http1, router_config_name: r}}]}]}
  routers: [{router_config_name: r, virtual_hosts: [{name: v, domains: ["*"], routers: [{match: {prefix: /}, route: {cluster_name: c}}]}]}]
cluster_manager: {clusters: [{name: c, hosts: [{address: "%s"}]}]}
`, service)
}

func invoke(ctx context.Context, c runtimev1.RuntimeClient) (string, error) {
	resp, err := c.InvokeService(ctx, &runtimev1.InvokeServiceRequest{Id: "x", Message: &runtimev1.CommonInvokeRequest{Method: "/"}})
	return string(resp.GetData().GetValue()), err
}

// TestStopFinishesCalls stops the runtime while calls wait for their service:
// all of them must get their answer, through API and proxy.
func TestStopFinishesCalls(t *testing.T) {
	const calls = 50
	var arrived sync.WaitGroup
	arrived.Add(calls)
	release := make(chan struct{})
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived.Done()
		<-release
		_, _ = io.WriteString(w, "done")
	}))
	defer service.Close()
	rt := runtimetest.Start(t, egress(service.Listener.Addr().String()))
	client := runtimev1.NewRuntimeClient(rt.Client(t))
	var wg sync.WaitGroup
	for range calls {
		wg.Go(func() {
			if body, err := invoke(t.Context(), client); err != nil || body != "done" {
				t.Errorf("a call that was under way: %q, %v", body, err)
			}
		})
	}
	arrived.Wait()
	stopped := make(chan error, 1)
	go func() { stopped <- rt.Stop() }()
	eventually(t, "new calls refused", func() bool {
		_, err := client.SayHello(t.Context(), &runtimev1.SayHelloRequest{ServiceName: "helloworld"})
		return status.Code(err) == codes.Unavailable
	})
	select {
	case err := <-stopped:
		t.Fatalf("stopped with calls under way: %v", err)
	default:
	}
	close(release)
	wg.Wait()
	if err := <-stopped; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestTwoRuntimesInOneProcess(t *testing.T) {
	for _, name := range []string{"one", "two"} {
		rt := runtimetest.Start(t, strings.Replace(egress("127.0.0.1:1"), "hello: greeting", "hello: "+name, 1))
		client := runtimev1.NewRuntimeClient(rt.Client(t))
		defer func() {
			resp, err := client.SayHello(t.Context(), &runtimev1.SayHelloRequest{ServiceName: "helloworld"})
			if err != nil || resp.Hello != name {
				t.Errorf("%v, %v; want %s", resp, err, name)
			}
		}()
	}
}

func TestProxyOnly(t *testing.T) {
	file := `
servers:
- listeners:
  - {name: web, address: "127.0.0.1:0", filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: Http1, router_config_name: r}}]}]}
  routers: [{router_config_name: r, virtual_hosts: [{name: v, domains: ["*"], routers: [{match: {path: /hi}, direct_response: {status: 200, body: hello}}]}]}]
`
	rt := runtimetest.Start(t, file)
	resp, err := http.Get("http://" + rt.Addr(t, "web") + "/hi")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || string(body) != "hello" {
		t.Errorf("%d %q, %v", resp.StatusCode, body, err)
	}
}
