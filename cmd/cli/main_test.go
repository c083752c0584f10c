package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/cmd/cli"
	"github.com/ottavo-runtime/ottavo/runtime/builtin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTime bounds a wait in a test.
const testTime = 2 * time.Minute

// result is what a command did.
type result struct {
	code        int
	out, errors string
}

// command is a command to run. The zero value of every field is the usual one.
type command struct {
	stdin string
	env   map[string]string
	args  []string
}

// run runs a command in this process.
func run(t testing.TB, args ...string) result {
	t.Helper()
	return command{args: args}.run(t)
}

func (c command) run(t testing.TB) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTime)
	defer cancel()
	var out, errs output
	code := cli.Main(ctx, c.options(&out, &errs))
	if ctx.Err() != nil {
		t.Errorf("%q did not end in time", c.args)
	}
	return result{code, out.String(), errs.String()}
}

func (c command) options(out, errs *output) cli.Options {
	return cli.Options{
		Args: c.args, Stdin: strings.NewReader(c.stdin), Stdout: out, Stderr: errs,
		LookupEnv: func(name string) (string, bool) { v, ok := c.env[name]; return v, ok },
		Tables:    builtin.Tables(), Version: "v1.2.3", Began: time.Now(),
		Exit: func(code int) { panic(fmt.Sprintf("exit %d", code)) },
	}
}

// output collects what is printed and lets tests wait for it.
type output struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	changed chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// wait waits until text was printed or the command has ended.
func (o *output) wait(t testing.TB, text string, ended <-chan int) {
	t.Helper()
	timer := time.NewTimer(testTime)
	defer timer.Stop()
	for {
		o.mu.Lock()
		if strings.Contains(o.buf.String(), text) {
			o.mu.Unlock()
			return
		}
		if o.changed == nil {
			o.changed = make(chan struct{})
		}
		changed := o.changed
		o.mu.Unlock()
		select {
		case <-changed:
		case code := <-ended:
			t.Fatalf("the command ended with %d; %q was not printed, but\n%s", code, text, o)
		case <-timer.C:
			t.Fatalf("%q was not printed, but\n%s", text, o)
		}
	}
}

// file writes a file into a temporary folder and returns its path.
func file(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wants checks a result: its code, and texts that must be printed.
func (r result) wants(t testing.TB, code int, out, errs []string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d", r.code, code)
	}
	for _, w := range out {
		if !strings.Contains(r.out, w) {
			t.Errorf("standard output has no %q", w)
		}
	}
	for _, w := range errs {
		if !strings.Contains(r.errors, w) {
			t.Errorf("standard error has no %q", w)
		}
	}
	if len(errs) == 0 && r.errors != "" {
		t.Error("standard error is not empty")
	}
	if strings.Contains(r.errors, "Usage:") {
		t.Error("an error prints the usage")
	}
	if t.Failed() {
		t.Logf("exit code %d\n---- standard output\n%s\n---- standard error\n%s", r.code, r.out, r.errors)
	}
}
