package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// asOttavo makes the test's binary behave as ottavo, so that no other one has to
// be linked.
const asOttavo = "OTTAVO_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asOttavo) != "" {
		main()
		return // main exits
	}
	os.Exit(m.Run())
}

// testTime bounds a wait in a test.
const testTime = 2 * time.Minute

// process is a running ottavo.
type process struct {
	*exec.Cmd
	stdout, stderr *lines
	ended          chan struct{} // closed after Wait
}

// lines collects what a process prints.
type lines struct {
	all  chan string
	seen bytes.Buffer
}

func collect(r io.Reader) *lines {
	l := &lines{all: make(chan string, 1000)}
	go func() {
		defer close(l.all)
		for s := bufio.NewScanner(r); s.Scan(); {
			l.all <- s.Text()
		}
	}()
	return l
}

// wait returns the first line from here on that matches.
func (l *lines) wait(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	timer := time.NewTimer(testTime)
	defer timer.Stop()
	for {
		select {
		case line, ok := <-l.all:
			if !ok {
				t.Fatalf("nothing that matches %q was printed, but\n%s", pattern, &l.seen)
			}
			l.seen.WriteString(line + "\n")
			if m := re.FindStringSubmatch(line); m != nil {
				return m
			}
		case <-timer.C:
			t.Fatalf("nothing that matches %q was printed in time, but\n%s", pattern, &l.seen)
		}
	}
}

// start starts a process and ends it with the test.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes; not with -short")
	}
	p := &process{Cmd: exec.Command(os.Args[0], args...), ended: make(chan struct{})}
	p.Env = append(os.Environ(), asOttavo+"=1")
	p.Dir = t.TempDir()
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it ends with the test, however that ends
	stdout, outWriter := io.Pipe()
	stderr, errWriter := io.Pipe()
	p.Stdout, p.Stderr = outWriter, errWriter
	p.stdout, p.stderr = collect(stdout), collect(stderr)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.Wait() // ProcessState has it
		_ = outWriter.Close()
		_ = errWriter.Close()
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill() // if it is still there
		<-p.ended
	})
	return p
}

// exit waits for the end and returns the exit code, 128 and more for a signal.
func (p *process) exit(t *testing.T) int {
	t.Helper()
	timer := time.NewTimer(testTime)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		t.Fatal("the process does not end")
	}
	if ws, ok := p.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		t.Fatalf("killed by %s, instead of ending by itself", ws.Signal())
	}
	return p.ProcessState.ExitCode()
}

func (p *process) send(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// gate is an HTTP service whose answers wait.
type gate struct {
	arrived chan struct{}
	open    chan struct{}
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.arrived <- struct{}{}
	select {
	case <-g.open:
		_, _ = io.WriteString(w, "at last")
	case <-r.Context().Done():
	}
}

// serve starts ottavo in front of a gate, and a call that waits at the gate.
func serve(t *testing.T) (p *process, g *gate, answer <-chan error) {
	t.Helper()
	g = &gate{arrived: make(chan struct{}, 1), open: make(chan struct{})}
	service := httptest.NewServer(g)
	t.Cleanup(func() {
		service.CloseClientConnections()
		service.Close()
	})
	config := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `
runtime:
  listen: 127.0.0.1:0
  actuator: {enabled: false}
  rpcs: {mosn: {config: {channel: [{protocol: http, listener: egress}]}}}
servers:
  - listeners:
      - name: egress
        address: 127.0.0.1:0
        filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: Http1, router_config_name: r}}]}]
    routers:
      - router_config_name: r
        virtual_hosts: [{name: v, domains: ["*"], routers: [{match: {prefix: /}, route: {cluster_name: c}}]}]
cluster_manager: {clusters: [{name: c, hosts: [{address: "%s"}]}]}
`, service.Listener.Addr()), 0o600); err != nil {
		t.Fatal(err)
	}
	p = start(t, "start", "-c", config)
	address := p.stdout.wait(t, `^  runtime +(\S+)`)[1]
	p.stdout.wait(t, `^ready in \d+ ms$`)
	cc, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	answers := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	t.Cleanup(cancel)
	go func() {
		resp, err := runtimev1.NewRuntimeClient(cc).InvokeService(ctx, &runtimev1.InvokeServiceRequest{
			Id: "s", Message: &runtimev1.CommonInvokeRequest{Method: "/x", Data: &anypb.Any{}},
		})
		if err == nil && string(resp.GetData().GetValue()) != "at last" {
			err = fmt.Errorf("answer %v", resp)
		}
		answers <- err
	}()
	select {
	case <-g.arrived:
	case err := <-answers:
		t.Fatalf("the call did not arrive: %v", err)
	case <-ctx.Done():
		t.Fatal("the call did not arrive in time")
	}
	return p, g, answers
}

// The first signal lets the call finish; the process then ends with 0.
func TestSignalFinishesCalls(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(s.String(), func(t *testing.T) {
			p, g, answer := serve(t)
			p.send(t, s)
			p.stderr.wait(t, `^ottavo: `+s.String()+`: stopping`)
			select {
			case err := <-answer:
				t.Fatalf("the call ended before it was answered: %v", err)
			case <-p.ended:
				t.Fatal("the process ended before the call")
			default:
			}
			close(g.open)
			if err := <-answer; err != nil {
				t.Errorf("the call under way: %v", err)
			}
			if code := p.exit(t); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
		})
	}
}

// A second signal ends it at once.
func TestSecondSignal(t *testing.T) {
	for s, want := range map[syscall.Signal]int{syscall.SIGTERM: 143, syscall.SIGINT: 130} {
		t.Run(s.String(), func(t *testing.T) {
			p, _, answer := serve(t)
			p.send(t, syscall.SIGTERM)
			p.stderr.wait(t, `stopping`)
			p.send(t, s)
			if code := p.exit(t); code != want {
				t.Errorf("exit code %d, want %d", code, want)
			}
			if err := <-answer; err == nil {
				t.Error("the call was answered")
			}
		})
	}
}

// A signal that asks for a new configuration does not end the process.
func TestHangUp(t *testing.T) {
	p, g, answer := serve(t)
	p.send(t, syscall.SIGHUP)
	p.stderr.wait(t, `SIGHUP: .* not built`)
	close(g.open)
	if err := <-answer; err != nil {
		t.Errorf("the call under way: %v", err)
	}
	p.send(t, syscall.SIGTERM)
	if code := p.exit(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestExitCodes(t *testing.T) {
	for want, args := range map[int][]string{
		0: {"version"},
		1: {"start", "-c", "nowhere.yaml"},
		2: {"start", "--nonsense"},
	} {
		p := start(t, args...)
		if code := p.exit(t); code != want {
			t.Errorf("%s: exit code %d, want %d", strings.Join(args, " "), code, want)
		}
	}
}

// The version that the Makefile's -ldflags set arrives.
func TestLinkedVersion(t *testing.T) {
	if testing.Short() {
		t.Skip("links a binary; not with -short")
	}
	binary := filepath.Join(t.TempDir(), "ottavo")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-ldflags", "-X main.version=v9.8.7", "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			t.Skip("there is no go command here")
		}
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(ctx, binary, "--version").Output()
	if err != nil || string(out) != "ottavo v9.8.7\n" {
		t.Errorf("printed %q, %v", out, err)
	}
}
