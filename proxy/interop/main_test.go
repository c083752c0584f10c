package interop

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 4 * time.Minute

// soon is a context that ends the test's waiting.
func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// take takes what must come on c soon.
func take[T any](t testing.TB, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-soon(t).Done():
		t.Fatal("it did not happen")
	}
	return v
}

// program is a foreign program on this machine.
type program struct {
	path string
	// dir is where it runs: a folder for this test alone.
	dir string
}

// find looks a program up, and skips the test when it is not there.
func find(t testing.TB, name string) program {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		// Not in every PATH.
		if path = filepath.Join("/usr/sbin", name); !executable(path) {
			t.Skipf("SKIPPED: %s is not installed, so nothing was tested with it (see tools/test/apt.sh)", name)
		}
	}
	return program{path, t.TempDir()}
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// output is what a program left behind.
type output struct {
	out, err string
	code     int
}

// run runs the program to its end, which must come soon, feeding it input (nil: nothing).
func (p program) run(t testing.TB, input io.Reader, args ...string) output {
	t.Helper()
	cmd := exec.CommandContext(soon(t), p.path, args...)
	cmd.Dir, cmd.Stdin = p.dir, input
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() < 0 {
		t.Fatalf("%s %s: %v\n%s%s", p.path, strings.Join(args, " "), err, out.String(), errs.String())
	}
	return output{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// must is run for a program that has to succeed.
func (p program) must(t testing.TB, args ...string) string {
	t.Helper()
	o := p.run(t, nil, args...)
	if o.code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s%s", p.path, strings.Join(args, " "), o.code, o.out, o.err)
	}
	return o.out
}

// file writes a file that the program can read.
func (p program) file(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// noise is bytes that do not compress or repeat, the same each time.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}
