package testserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startTimeout is how long a server may take to answer: even one in Java, on a machine
// that has ten other things to do.
const startTimeout = 3 * time.Minute

// A Process is a server that runs as a process of its own. Its methods are for
// one goroutine.
type Process struct {
	// Addr is its host:port; it stays the same over Stop and Start.
	Addr string

	t       testing.TB
	name    string
	command func(port int) *exec.Cmd // a new one for every start
	ready   func(addr string) error  // whether it answers, in at most a second
	port    int
	cmd     *exec.Cmd
	output  *bytes.Buffer
	ended   chan struct{} // closed when the process has ended
}

// launch starts the server on a port of its own and sees to its end with the test's.
func (p *Process) launch() {
	p.t.Helper()
	p.port = Port(p.t)
	p.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port))
	p.t.Cleanup(p.Stop)
	if err := p.start(); err != nil {
		p.t.Fatal(err)
	}
}

// Start starts the server again after Stop, with what it has kept on disk.
func (p *Process) Start() {
	p.t.Helper()
	if p.cmd != nil {
		p.t.Fatalf("testserver: Start of %s, which runs", p.name)
	}
	if err := p.start(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *Process) start() error {
	p.output = &bytes.Buffer{}
	p.cmd = p.command(p.port)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	// A group of its own lets Pause and Stop reach its children, of which PostgreSQL has
	// many; it dies with the test, also when the runner ends that one's group.
	if p.cmd.SysProcAttr == nil {
		p.cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	p.cmd.SysProcAttr.Setpgid = true
	p.cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		return fmt.Errorf("testserver: %s: %w", p.name, err)
	}
	p.ended = make(chan struct{})
	cmd, ended := p.cmd, p.ended
	go func() {
		_ = cmd.Wait() // it is killed, or its output says what is wrong
		close(ended)
	}()

	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	var err error
	for {
		select {
		case <-ended:
			p.cmd = nil
			return fmt.Errorf("testserver: %s at %s ended:\n%s", p.name, p.Addr, p.output)
		case <-deadline.C:
			p.Stop()
			return fmt.Errorf("testserver: %s at %s does not answer after %s: %w\n%s", p.name, p.Addr, startTimeout, err, p.output)
		case <-tick.C:
			if err = p.ready(p.Addr); err == nil {
				return nil
			}
		}
	}
}

// Stop kills the server and waits for its end: connections break. It does
// nothing when the server does not run.
func (p *Process) Stop() {
	if p.cmd == nil {
		return
	}
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		p.t.Errorf("testserver: %s: %v", p.name, err)
	}
	<-p.ended
	p.cmd = nil
}

// Pause makes the server hang: connections stay, nothing is answered, until Resume.
func (p *Process) Pause() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	// A thread that runs stops a moment later: it may answer yet.
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	for !stopped(p.cmd.Process.Pid) {
		select {
		case <-tick.C:
		case <-deadline.C:
			p.t.Fatalf("testserver: %s does not stop", p.name)
		}
	}
}

// stopped tells whether all threads of a process have stopped; true where the system
// does not say.
func stopped(pid int) bool {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return true
	}
	for _, stat := range stats {
		data, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		// The state comes after the name, which stands in brackets and may have some.
		state := strings.TrimSpace(string(data[bytes.LastIndexByte(data, ')')+1:]))
		if state != "" && !strings.ContainsRune("TtZX", rune(state[0])) { // stopped, or at its end
			return false
		}
	}
	return true
}

// Resume ends Pause.
func (p *Process) Resume() { p.t.Helper(); p.signal(syscall.SIGCONT) }

func (p *Process) signal(sig syscall.Signal) {
	p.t.Helper()
	if p.cmd == nil {
		p.t.Fatalf("testserver: %s does not run", p.name)
	}
	if err := syscall.Kill(-p.cmd.Process.Pid, sig); err != nil {
		p.t.Fatalf("testserver: %s: %v", p.name, err)
	}
}

// talk connects, sends a text and returns what comes back first, within a second.
func talk(addr, text string) (string, error) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close() //nolint:errcheck // nothing follows
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	out := make([]byte, 4096)
	n, err := c.Read(out)
	return string(out[:n]), err
}

// needCommand skips the test when a command cannot be found, in PATH or in one of
// the folders where servers are, and returns where it is.
func needCommand(t testing.TB, command, install string) string {
	t.Helper()
	for _, candidate := range []string{command, "/usr/sbin/" + command} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	t.Skipf("SKIP: %s not found: %s", command, install)
	return ""
}
