package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if name := os.Getenv(roleVariable); name != "" {
		os.Exit(mainRole(name))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s := settings{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	short := flags.Bool("short", false, "about a minute and a half: shorter and fewer rounds, for a first look")
	pattern := flags.String("run", ".", "run the scenarios that match this regular expression")
	list := flags.Bool("list", false, "list the scenarios and end")
	levels := flags.String("levels", "1,16,64", "calls in flight")
	limit := flags.Duration("limit", 20*time.Minute, "end the whole run after this time")
	flags.StringVar(&s.binary, "sidecar", "bin/ottavo", "the binary to measure")
	flags.IntVar(&s.pin, "pin", -1, "bind the sidecar to this CPU (with taskset); -1: any")
	flags.BoolVar(&s.direct, "direct", false, "measure the direct calls only")
	flags.IntVar(&s.rounds, "rounds", 7, "rounds; the result is their median")
	flags.IntVar(&s.body, "body", 1024, "bytes each way")
	flags.DurationVar(&s.warmup, "warmup", 500*time.Millisecond, "of each measurement, not recorded")
	flags.DurationVar(&s.duration, "duration", 2*time.Second, "of each measurement")
	flags.DurationVar(&s.idle, "idle", 2*time.Second, "how long to watch the idle sidecar")
	flags.IntVar(&s.conns, "conns", 10_000, "idle connections")
	flags.IntVar(&s.starts, "starts", 5, "how often to start the sidecar; the time is their median")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if *short {
		for name, text := range map[string]string{"rounds": "3", "warmup": "100ms", "duration": "300ms", "idle": "500ms", "starts": "3", "conns": "2000"} {
			if !given[name] {
				_ = flags.Set(name, text) // a constant that its flag takes
			}
		}
	}
	usage := func(format string, args ...any) int {
		_, _ = fmt.Fprintf(stderr, "bench: "+format+"\n", args...)
		return 2
	}
	if flags.NArg() > 0 {
		return usage("unexpected argument %q", flags.Arg(0))
	}
	match, err := regexp.Compile(*pattern)
	if err != nil {
		return usage("-run: %v", err)
	}
	for field := range strings.SplitSeq(*levels, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 1 || n > 4096 {
			return usage("-levels=%s: want numbers from 1 to 4096 with commas between", *levels)
		}
		s.levels = append(s.levels, n)
	}
	if s.conns < 1 || s.conns > 100_000 {
		return usage("-conns=%d: want 1 to 100,000", s.conns)
	}
	if s.rounds < 1 || s.rounds > 100 || s.starts < 1 || s.starts > 100 {
		return usage("-rounds and -starts: want 1 to 100")
	}
	if s.body < 0 || s.body > 3<<20 {
		return usage("-body=%d: want 0 to 3 MiB, the API's limit is 4", s.body)
	}
	if s.duration <= 0 || s.duration > time.Minute || s.warmup < 0 || s.warmup > time.Minute || s.idle <= 0 || s.idle > time.Minute {
		return usage("-duration, -warmup and -idle: want up to 1m")
	}
	if s.binary, err = filepath.Abs(s.binary); err != nil {
		return usage("-sidecar: %v", err)
	}

	if *list {
		for _, sc := range scenarios() {
			_, _ = fmt.Fprintf(stdout, "%-10s %s\n", sc.name, sc.intent)
		}
		return 0
	}
	ctx, cancel := context.WithTimeoutCause(ctx, *limit, fmt.Errorf("the run took longer than -limit=%s", *limit))
	defer cancel()
	_, _ = fmt.Fprintf(stdout, "machine: %d CPUs, %s/%s, %s%s\n", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), loadAverage())
	ran, code := 0, 0
	var values []value
	for _, sc := range scenarios() {
		if !match.MatchString(sc.name) {
			continue
		}
		ran++
		b := &bench{settings: s, out: stdout}
		if err := runScenario(ctx, sc, b); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = fmt.Errorf("%w (%w)", cause, err)
			}
			_, _ = fmt.Fprintf(stderr, "bench: %s: %v\n", sc.name, err)
			code = 1
		}
		values = append(values, b.values...)
	}
	if ran == 0 {
		return usage("-run=%s matches no scenario; -list names them", *pattern)
	}
	_, _ = fmt.Fprintln(stdout)
	for _, v := range values {
		_, _ = fmt.Fprintf(stdout, "%s=%s\n", v.key, v.text)
	}
	return code
}

func runScenario(ctx context.Context, sc scenario, b *bench) error {
	folder, err := os.MkdirTemp("", "ottavo-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	b.folder = folder
	return sc.run(ctx, b)
}

// loadAverage tells when other programs keep the machine busy, because then the
// numbers are worth less.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	one, _, _ := strings.Cut(string(text), " ")
	busy := ""
	if n, err := strconv.ParseFloat(one, 64); err == nil && n > 1 {
		busy = " — busy: trust the ratios only, and those with care"
	}
	return ", load " + one + busy
}
