package health_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/health"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func event(n int) health.Event {
	return health.Event{Cluster: "c", Host: newHost("10.0.0.1:80"), Reason: upstream.CheckFailed, Out: true, Cause: fmt.Sprintf("event %d", n)}
}

// Two logs of one path, much at a time: all lines are there and whole.
func TestI9EventLogIsShared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.log")
	var wg sync.WaitGroup
	for range 2 {
		l := health.NewEventLog(path, quiet())
		wg.Go(func() {
			var writers sync.WaitGroup
			for range 4 {
				writers.Go(func() {
					for i := range 200 {
						l.Record(event(i))
					}
				})
			}
			writers.Wait()
			l.Flush(t.Context())
		})
	}
	wg.Wait()
	lines := strings.Split(strings.TrimSuffix(read(t, path), "\n"), "\n")
	if len(lines) != 1600 {
		t.Errorf("%d lines, want 1600", len(lines))
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "time=") || !strings.HasSuffix(line, `"`) || strings.Count(line, "time=") != 1 {
			t.Errorf("line %q", line)
		}
	}
}

// A file that cannot be written to is reported once, until it can be again.
func TestI9EventLogFailsAndRecovers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "later", "events.log")
	var text strings.Builder
	l := health.NewEventLog(path, slog.New(slog.NewTextHandler(&text, nil)))
	record := func(n int) {
		l.Record(event(n))
		l.Flush(t.Context())
	}
	for n := range 5 {
		record(n)
	}
	if n := strings.Count(text.String(), "event log: lines are lost"); n != 1 || !strings.Contains(text.String(), path) {
		t.Errorf("%d messages: %s", n, &text)
	}
	if err := os.Mkdir(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	record(5)
	// It is moved away, and begun anew.
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	record(6)
	if a, b := read(t, path+".1"), read(t, path); !strings.Contains(a, "event 5") || !strings.Contains(b, "event 6") || strings.Count(a+b, "\n") != 2 {
		t.Errorf("%q and %q", a, b)
	}
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	record(7)
	record(8)
	if n := strings.Count(text.String(), "event log: lines are lost"); n != 2 {
		t.Errorf("%d messages: %s", n, &text)
	}
}

func TestI9EventLogOfNothing(t *testing.T) {
	l := health.NewEventLog("", quiet())
	if l != nil {
		t.Error("a log without a path")
	}
	l.Record(event(0))
	l.Flush(t.Context())
}

// What a host says cannot make lines of its own.
func TestI9EventLogQuotes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.log")
	l := health.NewEventLog(path, quiet())
	l.Record(health.Event{Cluster: "a b", Host: newHost("x\ny:80"), Reason: upstream.Ejected, Cause: "\"\r\ntime=1\x1b[31m"})
	l.Flush(t.Context())
	if got := read(t, path); strings.Count(got, "\n") != 1 || !strings.Contains(got, `cluster="a b" host="x\ny:80" hostname="" from="ejected" to="healthy" reason="\"\r\ntime=1\x1b[31m"`) {
		t.Errorf("%q", got)
	}
}

func TestI9EventLogToStandardOutput(t *testing.T) {
	old := os.Stdout
	defer func() { os.Stdout = old }()
	f, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout = f
	for _, path := range []string{"stdout", "/dev/stdout"} {
		l := health.NewEventLog(path, quiet())
		l.Record(event(1))
		l.Flush(t.Context())
	}
	if got := read(t, f.Name()); strings.Count(got, "event 1") != 2 {
		t.Errorf("%q", got)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
