package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// The processes of a benchmark are this test binary, in its roles. Called like
// a sidecar (start -c FILE) it plays one.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "start" {
		if err := fakeSidecar(os.Args[3]); err != nil {
			fmt.Println("fake sidecar:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if name := os.Getenv(roleVariable); name != "" {
		os.Exit(mainRole(name))
	}
	// With the race detector a process waits a second before it ends, by default.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// fakeSidecar does with the generated config what a sidecar does, in little.
func fakeSidecar(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var config struct {
		Servers []struct {
			Listeners []struct{ Name, Address string }
		}
		ClusterManager struct {
			Clusters []struct {
				Name  string
				Hosts []struct{ Address string }
			}
		} `json:"cluster_manager"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return err
	}
	cluster, service := map[string]string{}, ""
	for _, c := range config.ClusterManager.Clusters {
		service = c.Hosts[0].Address
		cluster[c.Name] = service
	}
	address := map[string]string{}
	for _, l := range config.Servers[0].Listeners {
		address[l.Name] = l.Address
		if err := fakeListener(l.Name, l.Address, cluster[l.Name]); err != nil {
			return err
		}
	}
	api, err := net.Listen("tcp", address["api"])
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	runtimev1.RegisterRuntimeServer(server, &forwarder{
		client: &fasthttp.HostClient{Addr: service},
		fail:   os.Getenv("FAKE_SIDECAR") == "fails",
	})
	go func() { _ = server.Serve(api) }()
	begin := time.Now()
	go func() {
		_ = http.ListenAndServe(address["actuator"], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/actuator/health/readiness" || time.Since(begin) < 20*time.Millisecond {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}))
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	server.GracefulStop()
	return nil
}

// fakeListener passes on the bytes of a listener that has a cluster of its name,
// and answers the requests of one named "web".
func fakeListener(name, address, host string) error {
	if host == "" && name != "web" {
		return nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	if name == "web" {
		protocols := onlyHTTP2()
		protocols.SetHTTP1(true)
		server := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("ok"))
		})}
		go func() { _ = server.Serve(l) }()
		return nil
	}
	go func() {
		for {
			front, err := l.Accept()
			if err != nil {
				return
			}
			back, err := net.Dial("tcp", host)
			if err != nil {
				_ = front.Close()
				continue
			}
			pass := func(to, from net.Conn) {
				_, _ = io.Copy(to, from)
				_ = to.Close()
			}
			go pass(front, back)
			go pass(back, front)
		}
	}()
	return nil
}

type forwarder struct {
	echo
	client *fasthttp.HostClient
	calls  atomic.Int64
	fail   bool
}

func (f *forwarder) InvokeService(_ context.Context, in *runtimev1.InvokeServiceRequest) (*runtimev1.InvokeResponse, error) {
	if in.GetId() != serviceID {
		return nil, errors.New("no route")
	}
	if f.calls.Add(1) == 5 && f.fail {
		return nil, errors.New("the fifth call")
	}
	var request fasthttp.Request
	var response fasthttp.Response
	request.SetRequestURI("http://service" + in.GetMessage().GetMethod())
	request.Header.SetMethod(in.GetMessage().GetHttpExtension().GetVerb().String())
	request.SetBody(in.GetMessage().GetData().GetValue())
	if err := f.client.Do(&request, &response); err != nil {
		return nil, err
	}
	return &runtimev1.InvokeResponse{Data: &anypb.Any{Value: response.Body()}}, nil
}

func tiny(more ...string) []string {
	return append([]string{"-rounds=2", "-levels=1,4", "-warmup=5ms", "-duration=25ms", "-idle=20ms", "-starts=2", "-conns=20", "-sidecar=" + os.Args[0]}, more...)
}

func TestRunWithSidecar(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), tiny(), &out, &errs); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, &out, &errs)
	}
	values := map[string]string{}
	for line := range strings.Lines(out.String()) {
		if key, text, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.Contains(key, " ") {
			values[key] = text
		}
	}
	keys := []string{"idle.http1.bytes_per_conn", "idle.http2.bytes_per_conn", "idle.api.cpu_percent", "http1.sidecar.rss_after_mib", "tcpstream.1.direct.mib_per_s", "invoke.sidecar.start_ms", "invoke.sidecar.rss_idle_mib", "invoke.sidecar.rss_after_mib", "invoke.sidecar.idle_cpu_percent"}
	for _, level := range []string{"1", "4"} {
		compared := map[string][][2]string{ // a way, and what it is compared with
			"invoke": {{"sidecar", "grpc"}, {"sidecar", "http"}},
			"http1":  {{"sidecar", "direct"}},
			"http2":  {{"sidecar", "direct"}},
			"grpc":   {{"sidecar", "direct"}},
			"bolt":   {{"sidecar", "direct"}},
			"tcp":    {{"sidecar", "direct"}},
			"state":  {{"get_memory", "get_grpc"}, {"save_memory", "save_grpc"}},
		}
		if _, err := exec.LookPath("redis-server"); err == nil {
			compared["state"] = append(compared["state"], [2]string{"get_redis", "get_goredis"}, [2]string{"save_redis", "save_grpc"})
		} else {
			t.Logf("without Redis: %v", err)
		}
		for scenario, pairs := range compared {
			for _, pair := range pairs {
				for _, way := range pair {
					for _, key := range []string{"p50_us", "p99_us", "calls_per_s", "mib_per_s"} {
						keys = append(keys, scenario+"."+level+"."+way+"."+key)
					}
					if got := values[scenario+"."+level+"."+way+".errors"]; got != "0" {
						t.Errorf("%s: %s in flight, %s: %q errors", scenario, level, way, got)
					}
				}
				for _, key := range []string{"ratio_p50", "ratio_p99", "ratio_calls", "added_p50_us", "ratio_added"} {
					keys = append(keys, scenario+"."+level+"."+pair[0]+"."+key+"_"+pair[1])
				}
				keys = append(keys, scenario+"."+level+"."+pair[0]+".cpu_us_per_call")
			}
		}
	}
	for _, key := range keys {
		if values[key] == "" {
			t.Errorf("no value for %s", key)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

func TestRunDirect(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), tiny("-direct", "-run=invoke|tcp|idle", "-sidecar=/nonexistent"), &out, &errs); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, &out, &errs)
	}
	if strings.Contains(out.String(), "sidecar") {
		t.Errorf("speaks of a sidecar:\n%s", &out)
	}
}

func TestRunFailures(t *testing.T) {
	t.Run("one failed call", func(t *testing.T) {
		t.Setenv("FAKE_SIDECAR", "fails")
		var out, errs bytes.Buffer
		if code := run(t.Context(), tiny("-run=invoke"), &out, &errs); code != 1 || !strings.Contains(errs.String(), "the fifth call") {
			t.Errorf("exit code %d, %q: want 1 and the error of the fifth call", code, &errs)
		}
	})
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no sidecar":       {tiny("-run=invoke", "-sidecar=/nonexistent/ottavo"), 1, "make build"},
		"sidecar ends":     {tiny("-run=invoke", "-sidecar=/bin/ls"), 1, "does not become ready: it ended (exit status 2)\n---- output of sidecar:\n/bin/ls: cannot access 'start'"},
		"unknown scenario": {[]string{"-run=nosuch"}, 2, "matches no scenario"},
		"bad level":        {[]string{"-levels=1,0"}, 2, "-levels=1,0"},
		"bad pattern":      {[]string{"-run=("}, 2, "-run"},
		"argument":         {[]string{"invoke"}, 2, `"invoke"`},
		"bad rounds":       {[]string{"-rounds=0"}, 2, "-rounds"},
		"long":             {[]string{"-duration=2h"}, 2, "-duration"},
		"limit":            {tiny("-run=invoke", "-limit=1ms", "-direct"), 1, "-limit=1ms"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := run(t.Context(), tt.args, &out, &errs); code != tt.code || !strings.Contains(errs.String(), tt.want) {
				t.Errorf("exit code %d, %q: want %d and %q", code, &errs, tt.code, tt.want)
			}
		})
	}
}

func TestHistogram(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h, other histogram
	var all []float64
	for i := range 100_000 {
		n := math.Exp(random.Float64() * 23) // 1 ns to 10 s
		all = append(all, n)
		into := &h
		if i%3 == 0 {
			into = &other
		}
		into.record(time.Duration(n))
	}
	h.merge(&other)
	slices.Sort(all)
	if h.count != uint64(len(all)) || h.max != time.Duration(all[len(all)-1]) {
		t.Fatalf("count %d, max %s", h.count, h.max)
	}
	for _, p := range []float64{0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[int(p*float64(len(all)))-1]
		got := float64(h.percentile(p))
		if math.Abs(got-want) > want/100+1 {
			t.Errorf("percentile %g = %g, want %g", p, got, want)
		}
	}
	var edges histogram
	for _, d := range []time.Duration{-1, 0, 127, 128, 255, 256, math.MaxInt64} {
		edges.record(d)
	}
	if got := edges.percentile(1); float64(got) < 0.99*math.MaxInt64 {
		t.Errorf("percentile 1 = %d", got)
	}
	if got := new(histogram).percentile(0.5); got != 0 {
		t.Errorf("nothing recorded: %s", got)
	}
	if n := testing.AllocsPerRun(100, func() { h.record(time.Microsecond) }); n != 0 {
		t.Errorf("record allocates %g times", n)
	}
}

func TestLoad(t *testing.T) {
	sleeper := func(d time.Duration) func() func(context.Context) error {
		return func() func(context.Context) error {
			return func(ctx context.Context) error {
				pause(ctx, d)
				return ctx.Err()
			}
		}
	}
	t.Run("time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			r := load{Workers: 4, Warmup: time.Second, Duration: 2 * time.Second}.run(t.Context(), sleeper(10*time.Millisecond))
			if took := time.Since(begin); took != 3*time.Second {
				t.Errorf("took %s", took)
			}
			if r.Calls != 4*200 || r.AllCalls != 4*300 || r.Errors != 0 {
				t.Errorf("%d of %d calls, %d errors; want 800 of 1200, 0", r.Calls, r.AllCalls, r.Errors)
			}
			if r.perSecond() != 400 {
				t.Errorf("%g calls per second, want 400", r.perSecond())
			}
			for _, d := range []time.Duration{r.P50, r.P99, r.Max} {
				if d < 9900*time.Microsecond || d > 10100*time.Microsecond {
					t.Errorf("a call took %s, want 10ms", d)
				}
			}
		})
	})
	t.Run("count", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := load{Workers: 3, Duration: time.Hour, MaxCalls: 100}.run(t.Context(), sleeper(time.Millisecond))
			if r.AllCalls != 100 {
				t.Errorf("%d calls, want 100", r.AllCalls)
			}
		})
	})
	t.Run("cancelled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begin := time.Now()
			load{Workers: 2, Duration: time.Hour}.run(ctx, sleeper(time.Minute))
			if took := time.Since(begin); took != time.Second {
				t.Errorf("took %s", took)
			}
		})
	})
	t.Run("errors", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := load{Workers: 2, Duration: time.Second}.run(t.Context(), func() func(context.Context) error {
				return func(context.Context) error { return errors.New("refused") }
			})
			// A worker rests 10 ms after each.
			if r.Calls != 0 || r.Errors != 200 || r.FirstError != "refused" || r.perSecond() != 0 {
				t.Errorf("%+v", r)
			}
		})
	})
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		all  []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(tt.all); got != tt.want {
			t.Errorf("median(%v) = %g, want %g", tt.all, got, tt.want)
		}
	}
}

func TestProc(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skipf("no /proc: %v", err)
	}
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(2 * time.Minute)
	for after := before; after-before < 30*time.Millisecond; {
		for range 1_000_000 {
			_ = rand.Int()
		}
		if after, err = cpuTime(os.Getpid()); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("a busy loop used %s in two minutes", after-before)
		}
	}
	if n, err := residentBytes(os.Getpid()); err != nil || n < 1<<20 || n > 1<<33 {
		t.Errorf("residentBytes = %d, %v", n, err)
	}
	if _, err := cpuTime(-1); err == nil {
		t.Error("cpuTime of no process: no error")
	}
}
