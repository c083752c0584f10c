package telemetry_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/telemetry"
)

func record() *telemetry.Record {
	return &telemetry.Record{
		Info: stream.Info{
			Start: time.Date(2026, 11, 20, 8, 9, 10, 123456789, time.FixedZone("", 3600)), Listener: "egress", Downstream: "127.0.0.1:5",
			VirtualHost: "all", Route: "r1", Cluster: "pay", Host: "10.0.0.1:80", Attempts: 2, BytesIn: 3, BytesOut: 1 << 40,
			Connected: 1500 * time.Microsecond, FirstByte: 20 * time.Millisecond,
		},
		Protocol: "Http1", Method: "POST", Authority: "pay.example", Path: "/a/b", Status: 200, Duration: 30250 * time.Microsecond,
	}
}

const recordLine = "time=2026-11-20T07:09:10.123Z listener=egress downstream=127.0.0.1:5 protocol=Http1 method=POST authority=pay.example" +
	" path=/a/b status=200 vhost=all route=r1 cluster=pay host=10.0.0.1:80 attempts=2 bytes_in=3 bytes_out=1099511627776" +
	" connect_ms=1.500 first_byte_ms=20.000 duration_ms=30.250"

// open opens a log that must not fail to write.
func open(t testing.TB, path string) *telemetry.AccessLog {
	t.Helper()
	a, err := telemetry.OpenAccessLog(path, func(err error) { t.Errorf("reported: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// lines closes the log and returns what is in the file.
func lines(t *testing.T, a *telemetry.AccessLog, path string) []string {
	t.Helper()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return fileLines(t, path)
}

func fileLines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) == 0 {
		return nil
	}
	if b[len(b)-1] != '\n' {
		t.Errorf("the last line is not ended: %q", b)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func TestAccessLogFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	a := open(t, path)
	a.Record(record())
	failed := record()
	failed.Err = &stream.Error{Kind: stream.Timeout, Side: stream.Upstream, Op: "read \"x\"\nstatus=200"}
	a.Record(failed)
	a.Record(&telemetry.Record{Info: stream.Info{Start: record().Start}, Path: "-"})
	want := []string{
		recordLine,
		recordLine + ` error="upstream timeout: read \"x\"\nstatus=200"`,
		"time=2026-11-20T07:09:10.123Z listener=- downstream=- protocol=- method=- authority=- path=\"-\" status=0 vhost=- route=- cluster=-" +
			" host=- attempts=0 bytes_in=0 bytes_out=0 connect_ms=0.000 first_byte_ms=0.000 duration_ms=0.000",
	}
	got := lines(t, a, path)
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if err := a.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	a.Record(record()) // late: dropped, no panic
	if n := len(fileLines(t, path)); n != 3 {
		t.Errorf("%d lines after Close", n)
	}
}

// pair is one key=value of a line, with the value quoted or plain.
var pair = regexp.MustCompile(`^([a-z_]+)=("(?:[^"\\\x00-\x1f]|\\.)*"|[!-~]+)(?: |$)`)

// checkLine checks that a line is nothing but the pairs that it should be.
func checkLine(t testing.TB, line string, keys int) {
	t.Helper()
	rest, n := line, 0
	for rest != "" {
		m := pair.FindStringSubmatch(rest)
		if m == nil {
			t.Fatalf("not a pair: %q in %q", rest, line)
		}
		rest = rest[len(m[0]):]
		n++
	}
	if n != keys {
		t.Errorf("%d pairs, want %d: %q", n, keys, line)
	}
}

// FuzzAccessLog: whatever comes from outside, a record is one line of as many
// pairs as there are, and not a long one.
func FuzzAccessLog(f *testing.F) {
	for _, s := range []string{"", "a", "x\ny=1", "\r\n\r\n", `" status=200 x="`, `\`, "\x1b[2J", "\u2028", "\xff\xfe", "a b", "=", "-", strings.Repeat("é", 3000)} {
		f.Add(s, s)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, path, authority string) {
		file := filepath.Join(dir, "access.log")
		_ = os.Remove(file)
		a := open(t, file)
		r := record()
		r.Path, r.Authority, r.Method, r.Err = path, authority, path, errors.New(authority)
		a.Record(r)
		got := lines(t, a, file)
		if len(got) != 1 {
			t.Fatalf("%d lines", len(got))
		}
		checkLine(t, got[0], strings.Count(recordLine, "=")+1)
		if len(got[0]) > 20<<10 {
			t.Errorf("a line of %d bytes", len(got[0]))
		}
	})
}

func TestAccessLogIsWrittenSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "access.log")
		a := open(t, path)
		for i := range 3 {
			a.Record(record())
			time.Sleep(250 * time.Millisecond)
			synctest.Wait()
			if n := len(fileLines(t, path)); n != i+1 {
				t.Errorf("%d lines after %d records", n, i+1)
			}
		}
	})
}

func TestAccessLogLosesNothingUnderLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	a, b := open(t, path), open(t, path) // as two listeners with one file
	const writers, each = 8, 2000
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			log := a
			if i%2 == 1 {
				log = b
			}
			r := record()
			for j := range each {
				r.Path = fmt.Sprintf("/%d/%d", i, j)
				log.Record(r)
			}
		})
	}
	wg.Wait()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	seen := map[string]bool{}
	for _, l := range lines(t, a, path) {
		checkLine(t, l, strings.Count(recordLine, "="))
		seen[l] = true
	}
	if len(seen) != writers*each {
		t.Errorf("%d different lines, want %d", len(seen), writers*each)
	}
}

func TestAccessLogOnAFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	synctest.Test(t, func(t *testing.T) {
		var reports []error
		a, err := telemetry.OpenAccessLog("/dev/full", func(err error) { reports = append(reports, err) })
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			for range 500 { // several buffers full
				a.Record(record())
			}
			time.Sleep(time.Second)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if len(reports) != 1 || !errors.Is(reports[0], syscall.ENOSPC) || !strings.Contains(reports[0].Error(), "lines are lost") {
			t.Errorf("reported %v, want once", reports)
		}
	})
}

func TestAccessLogRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path, old := filepath.Join(dir, "access.log"), filepath.Join(dir, "access.log.1")
		if err := os.WriteFile(path, []byte("from before\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		a := open(t, path)
		write := func(n int) {
			for range n {
				a.Record(record())
				time.Sleep(300 * time.Millisecond)
				synctest.Wait()
			}
		}
		write(3)
		if n := len(fileLines(t, path)); n != 4 {
			t.Fatalf("%d lines, want 4: it appends", n)
		}
		// Moved away, as logrotate does.
		if err := os.Rename(path, old); err != nil {
			t.Fatal(err)
		}
		write(10)
		if a, b := len(fileLines(t, old)), len(fileLines(t, path)); a+b != 14 || b < 5 {
			t.Errorf("%d lines in the old file, %d in the new one, want 14 in all and most in the new one", a, b)
		}
		// Cut short in place (copytruncate).
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
		write(5)
		if got := fileLines(t, path); len(got) != 5 || got[0] != recordLine {
			t.Errorf("after a truncation: %q", got)
		}
		// Deleted.
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		write(10)
		if n := len(fileLines(t, path)); n < 5 {
			t.Errorf("%d lines in the file that was made anew", n)
		}
	})
}

func TestAccessLogCannotOpen(t *testing.T) {
	_, err := telemetry.OpenAccessLog(filepath.Join(t.TempDir(), "none", "access.log"), nil)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "access.log") {
		t.Errorf("%v", err)
	}
}

func BenchmarkAccessLog(b *testing.B) {
	// Lines may be lost: nobody else makes a gigabyte of them a second.
	a, err := telemetry.OpenAccessLog(filepath.Join(b.TempDir(), "access.log"), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	r := record()
	b.ReportAllocs()
	for b.Loop() {
		a.Record(r)
	}
}

// In the steady state a record costs no allocation.
func TestAllocations(t *testing.T) {
	a := open(t, os.DevNull)
	r := record()
	for range 1000 {
		a.Record(r)
	}
	if n := testing.AllocsPerRun(5000, func() { a.Record(r) }); n > 0 {
		t.Errorf("%v allocations a line", n)
	}
}
