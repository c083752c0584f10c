//go:build linux

package netnstest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// inside is set in the environment of a test process that runs in a network
// namespace of its own.
const inside = "OTTAVO_TEST_IN_NETNS"

// Main is for TestMain: it runs the test binary again in a new network
// namespace, so that whatever the tests do, the machine's own network is out of
// reach; without root, in a new user namespace, where everybody is root. In
// that process, and where there can be none, it calls run, which runs the
// tests; New skips them in the latter case.
func Main(run func()) {
	if os.Getenv(inside) == "" {
		cmd, err := command(os.Args[1:]...)
		if err == nil {
			cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
			if code, ok := wait(cmd); ok {
				os.Exit(code)
			}
		}
	}
	run()
}

// Again is for the first line of a test that must have a process with a network
// namespace of its own: it reports whether this is that process. If not, it
// runs the test, and only that one, in such a process, and makes its result the
// result of t; the caller returns then.
func Again(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		return true
	}
	cmd, err := command("-test.run="+pattern(t.Name()), "-test.v", "-test.count=1", "-test.timeout=8m", fmt.Sprintf("-test.short=%v", testing.Short()))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	switch code, ok := wait(cmd); {
	case !ok:
		t.Skip("network namespaces cannot be made here: neither CAP_SYS_ADMIN nor user namespaces")
	case code != 0:
		t.Errorf("in a network namespace:\n%s", &out)
	case !strings.Contains(out.String(), "--- PASS: "+t.Name()+" "):
		t.Skipf("in a network namespace:\n%s", &out)
	default:
		t.Logf("in a network namespace:\n%s", &out)
	}
	return false
}

// pattern returns a -test.run that matches one test.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

// command is this program in a new network namespace.
func command(args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if uid := os.Geteuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	return cmd, nil
}

// wait runs cmd; ok is false where there can be no such process.
func wait(cmd *exec.Cmd) (code int, ok bool) {
	runtime.LockOSThread() // Pdeathsig goes by the thread
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return 0, false
	}
	if err := cmd.Wait(); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
			return exit.ExitCode(), true
		}
		return 1, true
	}
	return 0, true
}
