package ottavotest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Bounds of what a process may take.
const (
	buildTime = 8 * time.Minute // everything from nothing, on a busy machine
	startTime = 2 * time.Minute
	stopTime  = 2 * time.Minute // longer than the runtime's own patience of 30 s
)

// binaryVariable names another binary to test than one built from the sources,
// such as a release, or one with the race detector.
const binaryVariable = "OTTAVO_TEST_BINARY"

// binary builds cmd/ottavo once per test process.
var binary = sync.OnceValues(func() (string, error) {
	if file := os.Getenv(binaryVariable); file != "" {
		return file, nil
	}
	root, err := os.Getwd()
	for ; err == nil; root = filepath.Dir(root) {
		if _, statErr := os.Stat(filepath.Join(root, "go.mod")); statErr == nil {
			break
		}
		if root == filepath.Dir(root) {
			return "", errors.New("there is no go.mod above the test")
		}
	}
	// One file per test package, as they run at the same time. It stays, so
	// that the next run need not link again; .cache is not in the repository.
	file := filepath.Join(root, ".cache", "test", filepath.Base(os.Args[0]), "ottavo")
	ctx, cancel := context.WithTimeout(context.Background(), buildTime)
	defer cancel()
	// As make build does it, so that compiled packages are shared.
	// It renews the file's time also when there was nothing to do. The go command
	// sees that the test uses a new file, and does not keep its result: it could
	// not know when the program has changed.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", file, "./cmd/ottavo")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/ottavo: %w\n%s", err, out)
	}
	return file, nil
})

// Binary returns the path of the real program, built from the sources unless
// OTTAVO_TEST_BINARY names another.
func Binary(t testing.TB) string {
	t.Helper()
	file, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// Process is a running `ottavo start`. Its methods are for one goroutine.
type Process struct {
	// Dir is its working directory, with its configuration, data and logs.
	Dir string

	t     testing.TB
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // of Wait, once ended is closed
}

// socket is where the actuator listens, in the working directory: a port would
// have to be known beforehand.
const socket = "actuator.sock"

// Start runs `ottavo start` with the configuration (YAML) and waits until it is
// ready. The configuration should take port 0 for its listeners, and the actuator
// must be the socket ACTUATOR. The process is stopped with SIGTERM when the test
// ends, and must then end with exit code 0.
func Start(t testing.TB, config string) *Process {
	t.Helper()
	// The name of a test's own folder may be too long for a socket.
	dir, err := os.MkdirTemp("", "ottavo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if !strings.Contains(config, "ACTUATOR") {
		t.Fatal("the configuration does not say ACTUATOR, the address of the actuator")
	}
	config = strings.ReplaceAll(config, "ACTUATOR", "unix:"+filepath.Join(dir, socket))
	if err := os.WriteFile(filepath.Join(dir, "ottavo.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &Process{Dir: dir, t: t}
	p.Start()
	t.Cleanup(func() {
		if p.running() {
			p.Stop()
		}
	})
	return p
}

// Start starts the process, again after Stop or Kill, in the same directory, and
// waits until it is ready.
func (p *Process) Start() {
	p.t.Helper()
	if p.cmd != nil && p.running() {
		p.t.Fatal("ottavotest: Start of a process that runs")
	}
	log, err := os.OpenFile(p.path("log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close() //nolint:errcheck // the process has its own descriptor
	p.cmd = exec.Command(Binary(p.t), "start", "-c", "ottavo.yaml")
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = p.Dir, log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it ends with the test, however that ends
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.ended = make(chan struct{})
	cmd, ended := p.cmd, p.ended
	go func() {
		p.err = cmd.Wait()
		close(ended)
	}()
	Eventually(p.t, startTime, "the process is ready", func() error {
		if !p.running() {
			p.t.Fatalf("ottavo start ended: %v\n%s", p.cmd.ProcessState, p.Log())
		}
		code, body, err := p.Get("/actuator/health/readiness")
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("readiness: %d %s", code, body)
		}
		if err != nil {
			return fmt.Errorf("%w\n%s", err, p.Log())
		}
		return nil
	})
}

func (p *Process) path(name string) string { return filepath.Join(p.Dir, name) }

func (p *Process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// PID returns the id of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Terminate sends SIGTERM and does not wait.
func (p *Process) Terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatalf("SIGTERM: %v\n%s", err, p.Log())
	}
}

// Stop ends the process with SIGTERM. An exit code other than 0 fails the test.
func (p *Process) Stop() {
	p.t.Helper()
	p.Terminate()
	p.WaitStopped()
}

// WaitStopped waits until the process, which was told so, has ended. An exit
// code other than 0 fails the test.
func (p *Process) WaitStopped() {
	p.t.Helper()
	p.wait()
	if p.err != nil {
		p.t.Errorf("ottavo start ended with %v, want exit code 0\n%s", p.err, p.Log())
	}
}

// Kill ends the process with SIGKILL.
func (p *Process) Kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	p.wait()
}

func (p *Process) wait() {
	p.t.Helper()
	timer := time.NewTimer(stopTime)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // says where it hangs
		<-p.ended
		p.t.Fatalf("still running %s after it was told to stop\n%s", stopTime, p.Log())
	}
}

// Log returns what the process has printed so far.
func (p *Process) Log() string {
	text, err := os.ReadFile(p.path("log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// ReadFile returns a file of the working directory; "" when there is none.
func (p *Process) ReadFile(name string) string {
	p.t.Helper()
	text, err := os.ReadFile(p.path(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		p.t.Fatal(err)
	}
	return string(text)
}

// Get asks the actuator.
func (p *Process) Get(path string) (code int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", p.path(socket))
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://actuator"+path, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// Addr returns where the listener of that name listens; the API's is "runtime".
func (p *Process) Addr(listener string) string {
	p.t.Helper()
	code, body, err := p.Get("/actuator/info")
	if err != nil || code != http.StatusOK {
		p.t.Fatalf("/actuator/info: %d %v", code, err)
	}
	var info struct {
		Listeners []struct{ Name, Address string }
	}
	if err := json.Unmarshal(body, &info); err != nil {
		p.t.Fatalf("/actuator/info: %v: %s", err, body)
	}
	for _, l := range info.Listeners {
		if l.Name == listener && l.Address != "" {
			return l.Address
		}
	}
	p.t.Fatalf("there is no listener %q with an address: %s", listener, body)
	return ""
}

// Run runs another command of the binary, at most three minutes, and returns what
// it printed.
func Run(t testing.TB, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	file := Binary(t) // which may take minutes to be built
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, file, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// Eventually calls f every few milliseconds until it returns nil, and fails the
// test when it does not within the time.
func Eventually(t testing.TB, within time.Duration, what string, f func() error) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	over := false
	for {
		err := f()
		if err == nil {
			return
		}
		if over {
			t.Fatalf("not within %s: %s: %v", within, what, err)
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			over = true // one more look: the machine may have slept
		}
	}
}
