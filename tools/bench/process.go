package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// roleVariable names the part that a process of this program plays; without it
// the process is the one that measures.
const roleVariable = "OTTAVO_BENCH_ROLE"

// A process is a child that runs until stop.
type process struct {
	name   string
	cmd    *exec.Cmd
	stdin  io.Closer // closed by stop; our own roles end with it
	log    string    // file
	exited chan struct{}
	err    error // of Wait, once exited is closed
}

// start starts cmd with its output in a log file of folder.
func start(folder, name string, cmd *exec.Cmd) (*process, error) {
	log, err := os.Create(filepath.Join(folder, name+".log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own descriptor
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	cmd.Stderr = log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, stdin: stdin, log: log.Name(), exited: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// stop asks the process to end with SIGTERM, insists after 10 seconds, and
// returns how it ended. It is safe to call twice.
func (p *process) stop() error {
	_ = p.stdin.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(10 * time.Second)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
		_ = p.cmd.Process.Kill()
		<-p.exited
		return fmt.Errorf("%s did not end within 10 s of SIGTERM", p.name)
	}
	if p.err != nil {
		return fmt.Errorf("%s ended with %w", p.name, p.err)
	}
	return nil
}

// explain adds the end of the process's log to err.
func (p *process) explain(err error) error {
	text, readErr := os.ReadFile(p.log)
	if readErr != nil {
		text = []byte(readErr.Error())
	}
	const keep = 4096
	if len(text) > keep {
		text = append([]byte("…"), text[len(text)-keep:]...)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte("(nothing)")
	}
	return fmt.Errorf("%w\n---- output of %s:\n%s\n----", err, p.name, bytes.TrimSpace(text))
}

// role returns a command that runs this program as another part.
func role(ctx context.Context, name string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), roleVariable+"="+name)
	return cmd, nil
}

// startService starts a service role and returns the address it listens on,
// which the role writes as its first line.
func startService(ctx context.Context, folder, name string) (*process, string, error) {
	cmd, err := role(ctx, name)
	if err != nil {
		return nil, "", err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = reader.Close() }()
	cmd.Stdout = writer
	p, err := start(folder, name, cmd)
	_ = writer.Close()
	if err != nil {
		return nil, "", err
	}
	_ = reader.SetReadDeadline(time.Now().Add(10 * time.Second))
	address, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		_ = p.stop()
		return nil, "", p.explain(fmt.Errorf("%s did not say where it listens: %w", name, err))
	}
	return p, strings.TrimSpace(address), nil
}

// running is the services of a scenario.
type running struct {
	processes []*process
	address   map[string]string // by role
}

// startServices starts a process for each role; stop ends them.
func startServices(ctx context.Context, folder string, roles ...string) (*running, error) {
	r := &running{address: map[string]string{}}
	for _, name := range roles {
		p, address, err := startService(ctx, folder, name)
		if err != nil {
			r.stop()
			return nil, err
		}
		r.processes = append(r.processes, p)
		r.address[name] = address
	}
	return r, nil
}

func (r *running) stop() {
	for _, p := range r.processes {
		_ = p.stop()
	}
}

// runClient makes one load in a client process.
func runClient(ctx context.Context, order clientOrder) (result, error) {
	bound := order.Load.Warmup + order.Load.Duration + 20*time.Second
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	cmd, err := role(ctx, roleClient)
	if err != nil {
		return result{}, err
	}
	input, err := json.Marshal(order)
	if err != nil {
		return result{}, err
	}
	var output, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &output, &errs
	if err := cmd.Run(); err != nil {
		return result{}, fmt.Errorf("client (%s to %s): %w: %s", order.Protocol, order.Address, err, strings.TrimSpace(errs.String()))
	}
	var r result
	if err := json.Unmarshal(output.Bytes(), &r); err != nil {
		return result{}, fmt.Errorf("client: its result: %w", err)
	}
	return r, nil
}

// cpuTime returns the CPU time that a process has used, in the kernel and out
// of it. Its resolution is that of the kernel's clock tick, 10 ms.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field, the name in brackets, may hold anything.
	_, rest, ok := strings.Cut(string(stat[bytes.LastIndexByte(stat, '(')+1:]), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, errors.New("/proc: unknown form of stat")
	}
	var ticks int64
	for _, field := range fields[11:13] { // utime and stime, fields 14 and 15
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc: stat: %w", err)
		}
		ticks += n
	}
	const ticksPerSecond = 100 // USER_HZ, the same on every architecture that Go runs on
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// writeCalls returns how many system calls that write a process has made: write
// and writev, also to what is no socket.
func writeCalls(pid int) (uint64, error) {
	io, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(io)) {
		if n, ok := strings.CutPrefix(line, "syscw: "); ok {
			return strconv.ParseUint(strings.TrimSpace(n), 10, 64)
		}
	}
	return 0, errors.New("/proc: unknown form of io")
}

// residentBytes returns how much memory of a process is in RAM.
func residentBytes(pid int) (int64, error) { return statusBytes(pid, "VmRSS:") }

// peakBytes returns the most that residentBytes ever was.
func peakBytes(pid int) (int64, error) { return statusBytes(pid, "VmHWM:") }

func statusBytes(pid int, field string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return n * 1024, err
		}
	}
	return 0, fmt.Errorf("/proc: status has no %s", field)
}
