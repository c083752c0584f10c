package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are what the flags say.
type options struct {
	race    string
	fresh   bool
	shuffle bool
	limit   time.Duration
	summary string
	dir     string
	goTest  []string // flags and packages for go test
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.race, "race", "off", "race detector: off, require, or try (go without, loudly, where it cannot be had)")
	flags.BoolVar(&o.fresh, "fresh", false, "do not take results from the cache")
	flags.BoolVar(&o.shuffle, "shuffle", false, "run tests in random order; the seed is printed on failure")
	flags.DurationVar(&o.limit, "limit", 25*time.Minute, "end the whole run after this time")
	flags.StringVar(&o.summary, "summary", "", "also write the closing summary to this file")
	flags.StringVar(&o.dir, "C", "", "run go test in this folder")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if o.goTest = flags.Args(); len(o.goTest) == 0 {
		o.goTest = []string{"./..."}
	}
	switch o.race {
	case "off", "require":
	case "try":
		if why := noRace(); why != "" {
			_, _ = fmt.Fprintf(stderr, "tests: WITHOUT the race detector: %s\n", why)
			o.race = "off"
		}
	default:
		_, _ = fmt.Fprintf(stderr, "tests: -race=%s: want off, try or require\n", o.race)
		return 2
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("the run took longer than -limit=%s", o.limit))
	defer cancel()

	start := time.Now()
	r := newReport(stdout)
	err := o.run(ctx, r, stderr, o.fresh, o.goTest)
	if again := r.cachedSkips(); err == nil && len(again) > 0 {
		for _, name := range again {
			r.forget(name)
		}
		var own []string // flags given by the caller, without his packages
		for _, a := range o.goTest {
			if strings.HasPrefix(a, "-") {
				own = append(own, a)
			}
		}
		err = o.run(ctx, r, stderr, true, append(own, again...))
	}

	sum, extra := r.total(), 0
	if cause := context.Cause(ctx); cause != nil {
		_, _ = fmt.Fprintf(stdout, "tests: ended early: %v\n", cause)
		if left := o.unreached(r); len(left) > 0 {
			_, _ = fmt.Fprintf(stdout, "tests: %d packages had no turn: %s\n", len(left), strings.Join(left, " "))
		}
	}
	if err != nil && sum.failed == 0 {
		_, _ = fmt.Fprintf(stdout, "tests: go test: %v\n", err)
		extra = 1
	}
	if sum.failed > 0 || err != nil {
		for _, line := range littleRoom() {
			_, _ = fmt.Fprintf(stdout, "tests: %s\n", line)
		}
	}
	if err == nil && sum == (counts{}) {
		_, _ = fmt.Fprintln(stdout, "tests: no test matches")
		extra = 1
	}
	var closing bytes.Buffer
	r.summary(&closing, time.Since(start), extra)
	_, err = stdout.Write(closing.Bytes())
	if o.summary != "" {
		err = errors.Join(err, os.WriteFile(o.summary, closing.Bytes(), 0o600))
	}
	if err != nil { // a disk that is full, say: whoever reads what is left must not take it for all
		_, _ = fmt.Fprintf(stderr, "tests: the summary cannot be written: %v\n", err)
		return 2
	}
	if sum.failed+extra > 0 {
		return 1
	}
	return 0
}

// flags are the arguments of go test before the caller's own.
func (o options) flags(fresh bool) []string {
	flags := []string{"test", "-json", "-timeout=10m"}
	if o.race != "off" {
		flags = append(flags, "-race")
	}
	if fresh {
		flags = append(flags, "-count=1")
	}
	if o.shuffle {
		flags = append(flags, "-shuffle=on")
	}
	return flags
}

// dumpTime is how long test binaries have to say where they are when time is up.
const dumpTime = 8 * time.Second

// run runs the go command in a process group of its own, so that ending it also
// ends test binaries; the servers that those started end with them. Before that they
// are asked what their goroutines do: one that hangs has not had its own timeout.
func (o options) run(ctx context.Context, r *report, stderr io.Writer, fresh bool, rest []string) error {
	cmd := exec.CommandContext(ctx, goCommand(), append(o.flags(fresh), rest...)...)
	cmd.Dir = o.dir
	cmd.Stderr = stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	kill := func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // if anything is left
	cmd.Cancel = func() error {
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) { // somebody has had enough
			return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
		time.AfterFunc(dumpTime, kill)
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGQUIT)
	}
	cmd.WaitDelay = 10 * time.Second
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewReaderSize(pipe, 1<<16)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			r.line(line)
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
				_, _ = fmt.Fprintf(stderr, "tests: reading go test: %v\n", err)
			}
			break
		}
	}
	err = cmd.Wait()
	if ctx.Err() != nil {
		kill()
	}
	return err
}

// littleRoom says which of the folders that a build and its tests write to are about
// to be full: what fails for that does not always say so.
func littleRoom() []string {
	const enough = 256 << 20
	dirs := []string{os.TempDir(), os.Getenv("GOTMPDIR"), os.Getenv("GOCACHE")}
	if cache, err := os.UserCacheDir(); err == nil && dirs[2] == "" {
		dirs[2] = filepath.Join(cache, "go-build")
	}
	var lines []string
	for _, dir := range slices.Compact(dirs) {
		var fs syscall.Statfs_t
		if dir == "" || syscall.Statfs(dir, &fs) != nil {
			continue
		}
		if left := fs.Bavail * uint64(max(fs.Bsize, 0)); left < enough {
			lines = append(lines, fmt.Sprintf("%s has only %d MB left", dir, left>>20))
		}
	}
	return lines
}

// unreached names the packages of which nothing was heard: their turn had not come.
func (o options) unreached(r *report) []string {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	args := []string{"list", "-e"}
	for _, a := range o.goTest {
		if !strings.HasPrefix(a, "-") {
			args = append(args, a)
		}
	}
	cmd := exec.CommandContext(ctx, goCommand(), args...)
	cmd.Dir = o.dir
	out, err := cmd.Output()
	if err != nil {
		return nil // there is worse to tell
	}
	return slices.DeleteFunc(strings.Fields(string(out)), func(name string) bool { return r.packages[name] != nil })
}

func goCommand() string {
	if name := os.Getenv("GO"); name != "" {
		return name
	}
	return "go"
}

// noRace says why the race detector cannot be used here, or "".
func noRace() string {
	out, err := exec.Command(goCommand(), "env", "CGO_ENABLED", "CC").Output()
	if err != nil {
		return fmt.Sprintf("go env: %v", err)
	}
	enabled, cc, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	words := strings.Fields(cc)
	if enabled != "1" || len(words) == 0 {
		return "cgo is off"
	}
	if _, err := exec.LookPath(words[0]); err != nil {
		return "there is no C compiler (" + words[0] + ")"
	}
	return ""
}
