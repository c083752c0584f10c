package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/cmd/cli"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// small is a file that starts on free ports.
const small = `
runtime:
  listen: 127.0.0.1:0
  actuator: {listen: "127.0.0.1:0"}
  hellos: {helloworld: {type: helloworld, hello: "greeting"}}
  state: {memory: {type: in-memory}}
`

// running is a started program.
type running struct {
	out, errs output
	stop      context.CancelFunc
	ended     chan int
}

// start runs a command until the test ends, and waits until it is ready.
func (c command) start(t testing.TB) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	r := &running{stop: stop, ended: make(chan int, 1)}
	opts := c.options(&r.out, &r.errs)
	go func() { r.ended <- cli.Main(ctx, opts) }()
	t.Cleanup(func() {
		stop()
		if code := <-r.ended; code != 0 {
			t.Errorf("exit code %d, want 0; printed\n%s", code, &r.errs)
		}
	})
	r.out.wait(t, "ready in ", r.ended)
	return r
}

// address returns where a listener listens, as it was printed.
func (r *running) address(t testing.TB, listener string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^  ` + listener + ` +(\S+)`).FindStringSubmatch(r.out.String())
	if m == nil {
		t.Fatalf("no listener %s in\n%s", listener, &r.out)
	}
	return m[1]
}

func TestStart(t *testing.T) {
	t.Parallel()
	path := file(t, "c.yaml", small+"  helos: {}\n")
	r := command{args: []string{"start", "-c", path, "-s", "cluster", "--log-level", "debug"}}.start(t)
	want := regexp.MustCompile(`^ottavo v1\.2\.3, configuration .*c\.yaml

listeners:
  actuator  127\.0\.0\.1:\d+  .*
  runtime   127\.0\.0\.1:\d+  .*

components:
  hello  helloworld  helloworld  ready
  state  memory      in-memory   ready

ready in \d+ ms
$`)
	if !want.MatchString(r.out.String()) {
		t.Errorf("printed\n%s", &r.out)
	}
	for _, want := range []string{
		"ottavo: warning: --service-cluster has no effect: ",
		"ottavo: warning: " + path + ":", "runtime.helos",
	} {
		if !strings.Contains(r.errs.String(), want) {
			t.Errorf("no %q in\n%s", want, &r.errs)
		}
	}
	// What it printed is true.
	run(t, "call", "--address", r.address(t, "runtime"), "Runtime/SayHello", "-d", `{"serviceName": "helloworld", "name": "eva"}`).
		wants(t, 0, []string{`"hello": "greeting, eva"`}, nil)
	run(t, "status", "--address", r.address(t, "actuator")).wants(t, 0, []string{": UP\n", "state/memory"}, nil)
}

func TestStartLogs(t *testing.T) {
	t.Parallel()
	logFile := filepath.Join(t.TempDir(), "new", "folder", "ottavo.log")
	path := file(t, "c.yaml", small+"  log: {path: "+logFile+", format: json}\n")
	r := command{args: []string{"start", "-c", path}}.start(t)
	r.stop()
	if code := <-r.ended; code != 0 {
		t.Errorf("exit code %d", code)
	}
	r.ended <- 0
	text, err := os.ReadFile(logFile)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a line of the log is no JSON: %s", line)
		}
	}
	if !strings.Contains(string(text), "stopped") {
		t.Errorf("the log is\n%s", text)
	}

	// The log on standard output, as JSON: nothing else goes there.
	path = file(t, "c.yaml", small+"  log: {path: stdout, format: json}\n")
	var out, errs output
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	opts := command{args: []string{"start", "-c", path}}.options(&out, &errs)
	go func() { ended <- cli.Main(ctx, opts) }()
	errs.wait(t, "ready in ", ended)
	stop()
	<-ended
	for line := range strings.Lines(out.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("standard output has a line that is no JSON: %s", line)
		}
	}
	// --log-level off: no log at all.
	path = file(t, "c.yaml", small)
	r = command{args: []string{"start", "-c", path, "-l", "off"}}.start(t)
	r.stop()
	r.ended <- <-r.ended
	if r.errs.String() != "" {
		t.Errorf("logged in spite of off:\n%s", &r.errs)
	}
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() }) // after the parallel tests
	good := file(t, "good.yaml", small)
	for name, tc := range map[string]struct {
		args []string
		want []string
	}{
		"no file":        {[]string{"-c", "nowhere.yaml"}, []string{"ottavo: nowhere.yaml: no such file"}},
		"no default":     {nil, []string{"ottavo: there is no configuration file configs/default.yaml"}},
		"wrong":          {[]string{"-c", file(t, "c.yaml", "runtime: {max_recv_bytes: lots}\n")}, []string{"c.yaml:1: runtime.max_recv_bytes: "}},
		"several":        {[]string{"-c", file(t, "c.yaml", "runtime:\n  max_recv_bytes: lots\n  data_dir: {}\n")}, []string{"c.yaml:2: ", "\nottavo: ", "c.yaml:3: "}},
		"unknown type":   {[]string{"-c", file(t, "c.yaml", "runtime:\n  state: {orders: {type: rediss}}\n")}, []string{"runtime.state.orders.type", "rediss", "redis"}},
		"strict":         {[]string{"--strict", "-c", file(t, "c.yaml", "runtime: {listne: x}\n")}, []string{"runtime.listne", "listen"}},
		"port in use":    {[]string{"-c", file(t, "c.yaml", "runtime:\n  listen: "+taken.Addr().String()+"\n  actuator: {enabled: false}\n")}, []string{taken.Addr().String(), "in use"}},
		"component":      {[]string{"-c", file(t, "c.yaml", "runtime:\n  actuator: {enabled: false}\n  listen: 127.0.0.1:0\n  state: {orders: {type: redis, metadata: {redisHost: \""+testserver.Addr(t)+"\", maxRetries: 0}}}\n")}, []string{"orders", "redis", "refused"}},
		"two components": {[]string{"-c", file(t, "c.yaml", "runtime:\n  actuator: {enabled: false}\n  listen: 127.0.0.1:0\n  state: {a: {type: redis, metadata: {redisHost: \""+testserver.Addr(t)+"\", maxRetries: 0}}, b: {type: redis}}\n")}, []string{"ottavo: state component \"a\"", "\nottavo: state component \"b\""}},
		"log":            {[]string{"-c", file(t, "c.yaml", "runtime: {log: {path: /dev/null/x/y}}\n")}, []string{"the log's folder cannot be made: "}},
		"manifests":      {[]string{"-c", good, "--resources-path", "components"}, []string{"--resources-path: Dapr's manifests are not built in this version"}},
		"feature gates":  {[]string{"-c", good, "-f", "auto_config=true"}, []string{`--feature-gates: there is no feature gate "auto_config=true" here`}},
		"half-written":   {[]string{"-c", file(t, "c.json", `{"runtime": {"listen": `)}, []string{"c.json:1"}},
		"unknown suffix": {[]string{"-c", file(t, "c.toml", "")}, []string{"c.toml"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, append([]string{"start"}, tc.args...)...)
			r.wants(t, 1, nil, tc.want)
			if r.out != "" || !strings.HasPrefix(lastLine(r.errors), "ottavo: ") {
				t.Errorf("printed %q and as the last line %q", r.out, lastLine(r.errors))
			}
		})
	}
}

func lastLine(text string) string {
	text = strings.TrimSuffix(text, "\n")
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// Layotto's users write flags in other ways, and without "start".
func TestLayottoArguments(t *testing.T) {
	t.Parallel()
	missing := "missing.json"
	for _, tc := range []struct {
		args  []string
		warns []string
	}{
		{[]string{"-c", missing}, nil},
		{[]string{"-config", missing}, nil},
		{[]string{"--c=" + missing}, nil},
		{[]string{"-config=" + missing}, nil},
		{[]string{"start", "-config", missing, "-l", "critical", "-lp", "./logs/"}, []string{"--logging-path"}},
		{[]string{"start", "-ll", "trace", "-c", missing}, nil},
		{[]string{"start", "-ll=trace", "-l", "off", "-c", missing}, []string{"--logging-level"}},
		{[]string{"start", "-s", "c", "-n", "n", "-p", "sidecar", "-c", missing}, []string{"--service-cluster", "--service-node", "--service-type"}},
		{[]string{"start", "-sm", "a=b", "-sm", "c=d", "-sl", "x", "-domain", "d", "-pns", "ns", "-pn", "p", "-pi", "1.1.1.1", "-c", missing}, []string{"--service-meta", "--service-lables", "--cluster-domain", "--pod-namespace", "--pod-name", "--pod-ip"}},
		{[]string{"start", "--drain-time-s", "45", "--restart-epoch", "0", "--parent-shutdown-time-s", "60", "--max-obj-name-len", "189", "--local-address-ip-version", "v4", "--log-format", "x", "--component-log-level", "misc:error", "--concurrency", "2", "--log-format-prefix-with-location", "0", "--bootstrap-version", "3", "--drain-strategy", "immediate", "--disable-hot-restart", "--config", missing}, []string{"--drain-time-s", "--restart-epoch", "--concurrency", "--disable-hot-restart"}},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			t.Parallel()
			r := run(t, tc.args...)
			r.wants(t, 1, nil, append(tc.warns, "ottavo: missing.json: no such file"))
			for _, w := range tc.warns {
				if n := strings.Count(r.errors, "warning: "+w+" has no effect"); n != 1 {
					t.Errorf("%d warnings about %s, want 1", n, w)
				}
			}
		})
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	body, code := "", 200
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/actuator/health/readiness":
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		case "/actuator/info":
			_, _ = io.WriteString(w, `{"app":{"name":"Layotto","version":"v0.5.0","compiled":"2022-11-04T00:00:00Z"}}`)
		default:
			w.WriteHeader(404)
		}
	}))
	defer server.Close()
	defer server.CloseClientConnections()
	address := server.Listener.Addr().String()

	code, body = 500, `{"status":"DOWN","components":{"runtime_startup":{"status":"UP","details":{"reason":""}},"apollo":{"status":"DOWN","details":{"reason":"no route","code":7}}}}`
	run(t, "status", "--address", address).wants(t, 1,
		[]string{"Layotto v0.5.0 at " + address + ": DOWN\n", "apollo           DOWN    7; no route\n", "runtime_startup  UP\n"},
		[]string{"ottavo: " + address + " is not ready: DOWN\n"})
	code, body = 500, `{"status":"INIT","components":{"runtime_startup":{"status":"INIT","details":{"reason":"starting"}}}}`
	run(t, "status", "--address", address).wants(t, 1, []string{"starting"}, []string{"is not ready: INIT"})
	code, body = 200, `{"status":"UP","components":{}}`
	r := run(t, "status", "--json", "--address", address)
	r.wants(t, 0, nil, nil)
	var both struct {
		Readiness struct{ Status string }
		Info      struct{ App struct{ Name string } }
	}
	if err := json.Unmarshal([]byte(r.out), &both); err != nil || both.Readiness.Status != "UP" || both.Info.App.Name != "Layotto" {
		t.Errorf("%+v, %v", both, err)
	}
	for _, other := range []struct {
		code int
		body string
	}{{404, ""}, {302, ""}, {200, "<html>"}, {200, "{}"}, {200, `[1]`}} {
		code, body = other.code, other.body
		run(t, "status", "--address", address).wants(t, 1, nil, []string{"ottavo: what answers at " + address + " is no actuator: "})
	}
}

func TestStatusWithoutAnswer(t *testing.T) {
	t.Parallel()
	closed := testserver.Addr(t)
	run(t, "status", "--address", closed).wants(t, 1, nil, []string{"ottavo: nobody answers at " + closed + ": connect: connection refused (is it started"})
	run(t, "status", "--address", "unix:"+t.TempDir()+"/s.sock").wants(t, 1, nil, []string{"no such file"})
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	run(t, "status", "--timeout", "50ms", "--address", silent.Addr().String()).wants(t, 1, nil, []string{"no answer from " + silent.Addr().String() + " in time"})
	run(t, "status", "--address", "nonsense").wants(t, 1, nil, []string{"nobody answers at nonsense: address nonsense: missing port"})
}

// A unix socket for both: the form that `listen: unix:…` has.
func TestUnixSockets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	api, actuator := "unix:"+filepath.Join(dir, "api.sock"), "unix:"+filepath.Join(dir, "act.sock")
	text := strings.Replace(small, "listen: 127.0.0.1:0", "listen: "+api, 1)
	text = strings.Replace(text, `"127.0.0.1:0"`, fmt.Sprintf("%q", actuator), 1)
	text += "\ncluster_manager: {clusters: [{name: pay, hosts: [{address: \"127.0.0.1:1\"}]}]}\n"
	r := command{args: []string{"start", "-c", file(t, "c.yaml", text)}}.start(t)
	if got := r.address(t, "runtime"); got != api {
		t.Errorf("printed %s, want %s", got, api)
	}
	run(t, "call", "--address", api, "Runtime/SayHello", "-d", `{"serviceName": "helloworld"}`).wants(t, 0, []string{"greeting"}, nil)
	run(t, "status", "--address", actuator).wants(t, 0, []string{"UP", api, "pay      127.0.0.1:1  healthy  0 now     0 now\n"}, nil)
}

// Of a cluster with many hosts, those that are not well are listed, and some of the others.
func TestStatusOfClusters(t *testing.T) {
	t.Parallel()
	hosts := ""
	for k := range 30 {
		health := "healthy"
		if k == 25 {
			health = "check failed"
		}
		hosts += fmt.Sprintf(`,{"address":"10.0.0.%d:80","health":"%s","active":%d}`, k, health, k)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/actuator/info" {
			_, _ = io.WriteString(w, `{"clusters":[{"name":"pay","hosts":[`+hosts[1:]+`]},{"name":"none","hosts":[]}]}`)
			return
		}
		_, _ = io.WriteString(w, `{"status":"UP","components":{}}`)
	}))
	defer server.Close()
	defer server.CloseClientConnections()
	r := run(t, "status", "--address", server.Listener.Addr().String())
	r.wants(t, 0, []string{"pay      10.0.0.9:80   healthy       9 now", "pay      10.0.0.25:80  check failed  25 now", "and 19 more"}, nil)
	if n := strings.Count(r.out, "\npay "); n != 12 {
		t.Errorf("%d lines of the cluster, want 10 healthy ones, one that is not, and the rest:\n%s", n, r.out)
	}
}
