package ottavotest

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// Usage is what a process holds of the machine.
type Usage struct {
	RSS     int64 // bytes of memory
	Threads int
	Files   int // open file descriptors
}

// String returns the usage for a message.
func (u Usage) String() string {
	return fmt.Sprintf("%.1f MiB, %d threads, %d file descriptors", float64(u.RSS)/(1<<20), u.Threads, u.Files)
}

// Usage looks the process up in /proc. The test is skipped where there is none.
func (p *Process) Usage() Usage {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		p.t.Skipf("SKIP: what a process uses is read from /proc: %v", err)
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID()))
	if err != nil {
		p.t.Fatal(err)
	}
	u := Usage{Files: len(files)}
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "VmRSS:":
			u.RSS = n << 10
		case "Threads:":
			u.Threads = int(n)
		}
	}
	if u.RSS == 0 || u.Threads == 0 {
		p.t.Fatalf("/proc/%d/status without VmRSS or Threads: %s", p.PID(), status)
	}
	return u
}

var goroutine = regexp.MustCompile(`(?m)^goroutine \d+ .*\[`)

// Goroutines returns how many goroutines the process has, but for the workers of
// the gRPC server that wait for a call: there are as many of those from the start on.
// It learns it by SIGQUIT, which ends the process; dump is what Go printed.
func (p *Process) Goroutines() (n int, dump string) {
	p.t.Helper()
	before := len(p.Log())
	if err := p.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		p.t.Fatal(err)
	}
	p.wait()
	dump = p.Log()[before:]
	for one := range strings.SplitSeq(dump, "\n\n") {
		idle := strings.Contains(one, "grpc.(*Server).initServerWorkers") && !strings.Contains(one, "grpc.(*Server).handleStream")
		if goroutine.MatchString(one) && !idle {
			n++
		}
	}
	if n == 0 {
		p.t.Fatalf("SIGQUIT gave no list of goroutines: %s", dump)
	}
	return n, dump
}
