package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Each fixture is a module of its own whose tests fail in one way, so the whole
// way is tested: the go command, its events, the report and the exit code.
func TestRun(t *testing.T) {
	t.Parallel()
	tests := []struct {
		fixture string
		args    []string
		code    int
		closing string
		want    []string
		not     []string
	}{
		{
			fixture: "passes",
			closing: "1 passed, 0 failed, 1 skipped",
			want:    []string{"SKIPPED (1):\n  example.test/passes TestTwo: not today\n", "1 SKIPPED)"},
			not:     []string{"FAIL"},
		},
		{
			fixture: "mixed", code: 1,
			closing: "5 passed, 2 failed, 3 skipped",
			want: []string{
				"--- FAIL: example.test/mixed TestTable/bad",
				"got 1, want 2",
				"the parent is wrong",
				"  example.test/mixed TestTable/absent: no redis-server in PATH\n",
				"  example.test/mixed TestSkip: two lines: no server\n",
				"  example.test/mixed TestSilentSkip: no reason given\n",
				"FAILED (2):\n  example.test/mixed TestTable/bad\n  example.test/mixed TestOwnFailure\n",
			},
			not: []string{"noise of a passing test", "=== RUN"},
		},
		{
			fixture: "panics", code: 1,
			closing: "1 passed, 1 failed, 0 skipped",
			want:    []string{"out of cheese", "panics_test.go:8", "TestPanic/inner"},
		},
		{
			fixture: "broken", code: 1,
			closing: "1 passed, 2 failed, 0 skipped",
			want: []string{
				`cannot use "text"`, "undefined: undefinedName",
				"example.test/broken/code: the package did not build",
				"example.test/broken/tests: the package did not build",
			},
		},
		{
			fixture: "quits", code: 1,
			closing: "1 passed, 1 failed, 0 skipped",
			want:    []string{"2 goroutines leaked", "example.test/quits: the package did not build, or ended outside its tests"},
		},
		{
			fixture: "hangs", code: 1, args: []string{"--", "-timeout=10s", "./..."},
			closing: "0 passed, 1 failed, 0 skipped",
			want:    []string{"waiting for a friend", "test timed out after 10s", "example.test/hangs TestHangs"},
		},
		{
			fixture: "hangs", code: 1, args: []string{"-limit=20s"},
			closing: "0 passed, 1 failed, 0 skipped",
			want:    []string{"the run took longer than -limit=20s", "example.test/hangs TestHangs", "waiting for a friend", "SIGQUIT", "hangs.TestHangs("},
		},
		{
			fixture: "empty", code: 1,
			closing: "0 passed, 1 failed, 0 skipped",
			want:    []string{"no test matches"},
		},
		{
			fixture: "passes", code: 1, args: []string{"./nowhere"},
			closing: "0 passed, 1 failed, 0 skipped",
			want:    []string{"nowhere"},
		},
		{
			fixture: "backends", code: 1,
			closing: "4 passed, 1 failed, 3 skipped",
			want: []string{
				"BACKENDS, each put to the suite of its kind (3 ok, 1 failed, 3 not run):\n" +
					"  lock\n    good                         ok (1 tests left out)\n    x/2                          not run: only in a cloud\n" +
					"  state\n    bad                          FAILED\n    emulated                     ok, against moto\n    gone                         not run: no server\n" +
					"    limited                      ok (1 tests left out)\n    unknown                      no suite was run\n",
				"TestGone: no server\n",
			},
			not: []string{"=== ATTR"},
		},
		{
			fixture: "passes", args: []string{"--", "-run=One", "."},
			closing: "1 passed, 0 failed, 0 skipped",
		},
	}
	for _, tt := range tests {
		name := strings.Join(append([]string{tt.fixture}, tt.args...), " ")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if strings.HasPrefix(name, "hangs -limit") { // the limit is for the test, not for the compiler
				var out, errs bytes.Buffer
				run([]string{"-C", filepath.Join("testdata", tt.fixture), "--", "-run=None", "."}, &out, &errs)
			}
			summary := filepath.Join(t.TempDir(), "summary")
			var out, errs bytes.Buffer
			args := append([]string{"-C", filepath.Join("testdata", tt.fixture), "-summary", summary}, tt.args...)
			if code := run(args, &out, &errs); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			text := out.String() + errs.String()
			if !strings.HasSuffix(out.String(), "\n"+tt.closing+"\n") {
				t.Errorf("closing line is not %q", tt.closing)
			}
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("output lacks %q", want)
				}
			}
			for _, not := range tt.not {
				if strings.Contains(text, not) {
					t.Errorf("output has %q", not)
				}
			}
			saved, err := os.ReadFile(summary)
			if err != nil || !strings.HasSuffix(out.String(), string(saved)) || len(saved) == 0 {
				t.Errorf("saved summary (%v) is not the end of the output: %q", err, saved)
			}
			if t.Failed() {
				t.Logf("output:\n%s", text)
			}
		})
	}
}

func TestRunBadFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-race=perhaps"}, {"-nosuch"}, {"-summary=/nonexistent/x", "-C", "testdata/passes"}, {"-summary=/dev/full", "-C", "testdata/passes"}} {
		var out, errs bytes.Buffer
		if code := run(args, &out, &errs); code != 2 {
			t.Errorf("%q: exit code %d, want 2", args, code)
		}
		if errs.Len() == 0 {
			t.Errorf("%q: says nothing", args)
		}
	}
}

// A limit that passes before anything could be compiled is told with what was left out.
func TestRunOutOfTime(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	if code := run([]string{"-C", "testdata/passes", "-limit=1ms"}, &out, &errs); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	for _, want := range []string{"the run took longer than -limit=1ms", "1 packages had no turn: example.test/passes", "\n0 passed, 1 failed, 0 skipped\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, &out)
		}
	}
}

// A skip that comes from the cache may be out of date, so it must be tried again.
func TestCachedSkips(t *testing.T) {
	t.Parallel()
	r := newReport(&bytes.Buffer{})
	for _, line := range []string{
		`{"Action":"start","Package":"p"}`,
		`{"Action":"run","Package":"p","Test":"TestA"}`,
		`{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: no redis\n"}`,
		`{"Action":"skip","Package":"p","Test":"TestA"}`,
		`{"Action":"output","Package":"p","Output":"ok  \tp\t(cached)\n"}`,
		`{"Action":"pass","Package":"p"}`,
		`{"Action":"run","Package":"q","Test":"TestB"}`,
		`{"Action":"pass","Package":"q","Test":"TestB"}`,
		`{"Action":"output","Package":"q","Output":"ok  \tq\t(cached)\n"}`,
		`{"Action":"pass","Package":"q"}`,
	} {
		r.line([]byte(line))
	}
	if got := strings.Join(r.cachedSkips(), " "); got != "p" {
		t.Fatalf("cachedSkips = %q, want p", got)
	}
	r.forget("p")
	if got := (counts{passed: 1}); r.total() != got {
		t.Errorf("total after forget = %+v, want %+v", r.total(), got)
	}
}

// Lines that are no events, and events that nobody knows, must not stop a report.
func FuzzReport(f *testing.F) {
	f.Add([]byte(`{"Action":"fail","Package":"p","Test":"T/x","Elapsed":1e300}`))
	f.Add([]byte("go: no such tool\n{\"Action\":\"build-output\",\"ImportPath\":\"p\"}\n{}"))
	f.Add([]byte("{\"Action\":\"run\",\"Package\":\"p\",\"Test\":\"A\"}\n{\"Action\":\"fail\",\"Package\":\"p\",\"FailedBuild\":\"p\"}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var out bytes.Buffer
		r := newReport(&out)
		for line := range bytes.Lines(data) {
			r.line(line)
		}
		out.Reset()
		r.summary(&out, time.Second, 0)
		if !strings.HasSuffix(out.String(), " skipped\n") {
			t.Errorf("summary ends with %q", out.String())
		}
	})
}

// Without a C compiler the tests still run, and say what they do without.
func TestRunWithoutRace(t *testing.T) {
	for env, want := range map[string]string{"CC=/nonexistent/cc": "there is no C compiler (/nonexistent/cc)", "CGO_ENABLED=0": "cgo is off"} {
		t.Run(env, func(t *testing.T) {
			key, value, _ := strings.Cut(env, "=")
			t.Setenv(key, value)
			var out, errs bytes.Buffer
			if code := run([]string{"-C", "testdata/passes", "-race=try"}, &out, &errs); code != 0 || !strings.Contains(errs.String(), want) {
				t.Errorf("exit code %d, %q: want 0 and %q", code, errs.String(), want)
			}
			if code := run([]string{"-C", "testdata/passes", "-race=require"}, &out, &errs); code != 1 {
				t.Errorf("-race=require: exit code %d, want 1", code)
			}
		})
	}
}
