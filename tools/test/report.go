package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// An event is one line of `go test -json`; see `go doc test2json`.
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build-output and build-fail
	Test        string
	Elapsed     float64 // seconds
	Output      string
	FailedBuild string // on the fail of a package: whose build failed
	Key, Value  string // of attr
}

// A verdict is what became of a test or a package.
type verdict string

const (
	running verdict = "" // no end was seen
	passed  verdict = "pass"
	failed  verdict = "fail"
	skipped verdict = "skip"
)

type testRun struct {
	name    string
	verdict verdict
	elapsed time.Duration
	output  []string
	// What it said about backends, see package matrix: "kind/type" of those that it
	// tests; and of all types, with the reason why they are not tested.
	backends []string
	types    [][2]string
}

type packageRun struct {
	name    string
	verdict verdict
	elapsed time.Duration
	cached  bool
	noTests bool // there are no test files
	tests   map[string]*testRun
	order   []*testRun // as they started
	output  []string   // lines outside any test
}

// A report collects the events of one or more runs and writes what is worth
// reading to out as it comes. It is used from one goroutine.
type report struct {
	out      io.Writer
	packages map[string]*packageRun
	build    map[string][]string // output of the compiler by import path
	stray    []string            // lines that are no events
}

func newReport(out io.Writer) *report {
	return &report{out: out, packages: map[string]*packageRun{}, build: map[string][]string{}}
}

// forget drops a package's result, so that running it again replaces it.
func (r *report) forget(name string) { delete(r.packages, name) }

// line takes one line of the output of `go test -json`.
func (r *report) line(text []byte) {
	var e event
	if !bytes.HasPrefix(text, []byte("{")) || json.Unmarshal(text, &e) != nil || e.Action == "" {
		// The go command itself speaks like this when it cannot even start.
		if len(bytes.TrimSpace(text)) > 0 {
			r.stray = append(r.stray, string(text))
			_, _ = fmt.Fprintf(r.out, "%s\n", text)
		}
		return
	}
	r.event(e)
}

func (r *report) event(e event) {
	switch e.Action {
	case "build-output":
		r.build[e.ImportPath] = append(r.build[e.ImportPath], e.Output)
		return
	case "build-fail":
		return
	}
	p := r.packages[e.Package]
	if p == nil {
		p = &packageRun{name: e.Package, tests: map[string]*testRun{}}
		r.packages[e.Package] = p
	}
	if e.Test == "" {
		r.packageEvent(p, e)
		return
	}
	t := p.tests[e.Test]
	if t == nil {
		t = &testRun{name: e.Test}
		p.tests[e.Test] = t
		p.order = append(p.order, t)
	}
	switch e.Action {
	case "output":
		if !isFrame(e.Output) {
			t.output = append(t.output, e.Output)
		}
	case "attr":
		t.attribute(e.Key, e.Value)
	case "pass", "fail", "skip":
		t.verdict = verdict(e.Action)
		t.elapsed = seconds(e.Elapsed)
		switch t.verdict {
		case failed:
			r.printFailure(p, t)
		case passed:
			t.output = nil // nobody will ask for it
		}
	}
}

func (r *report) packageEvent(p *packageRun, e event) {
	switch e.Action {
	case "output":
		p.cached = p.cached || strings.HasPrefix(e.Output, "ok ") && strings.Contains(e.Output, "\t(cached)")
		p.noTests = p.noTests || strings.Contains(e.Output, "[no test files]")
		p.output = append(p.output, e.Output)
	case "pass", "fail", "skip":
		p.verdict = verdict(e.Action)
		p.elapsed = seconds(e.Elapsed)
		r.printPackage(p, e.FailedBuild)
	}
}

// isFrame tells the lines that the testing package writes around a test from
// those that the test wrote.
func isFrame(line string) bool {
	line = strings.TrimLeft(line, " ")
	for _, prefix := range []string{"=== RUN ", "=== PAUSE ", "=== CONT ", "=== NAME ", "=== ATTR ", "--- PASS: ", "--- FAIL: ", "--- SKIP: "} {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}

func (r *report) printFailure(p *packageRun, t *testRun) {
	if len(t.output) == 0 && len(p.below(t, failed)) > 0 {
		return // its subtests have said it
	}
	_, _ = fmt.Fprintf(r.out, "--- FAIL: %s %s (%s)\n%s", p.name, t.name, t.elapsed, block(t.output))
}

func (r *report) printPackage(p *packageRun, failedBuild string) {
	switch {
	case p.verdict == failed:
		_, _ = fmt.Fprintf(r.out, "FAIL  %s (%s)\n", p.name, p.elapsed)
		if failedBuild != "" {
			_, _ = fmt.Fprint(r.out, block(r.build[failedBuild]))
			delete(r.build, failedBuild) // once is enough when several packages need it
		}
		for _, t := range p.unfinished() {
			_, _ = fmt.Fprintf(r.out, "--- FAIL: %s %s (did not finish)\n%s", p.name, t.name, block(t.output))
		}
		if !p.blamesTest() {
			_, _ = fmt.Fprint(r.out, block(p.output))
		}
	case p.noTests:
	default:
		c := p.count()
		line := fmt.Sprintf("ok    %s (%s", p.name, p.elapsed)
		if p.cached {
			line = fmt.Sprintf("ok    %s (cached", p.name)
		}
		line += fmt.Sprintf(", %d passed", c.passed)
		if c.skipped > 0 {
			line += fmt.Sprintf(", %d SKIPPED", c.skipped)
		}
		_, _ = fmt.Fprintln(r.out, line+")")
	}
}

// block indents lines and ends them properly.
func block(lines []string) string {
	text := strings.TrimRight(strings.Join(lines, ""), "\n")
	if text == "" {
		return ""
	}
	return "    " + strings.ReplaceAll(text, "\n", "\n    ") + "\n"
}

// below returns the subtests of t, at any depth, that ended with v.
func (p *packageRun) below(t *testRun, v verdict) []*testRun {
	var found []*testRun
	for _, other := range p.order {
		if strings.HasPrefix(other.name, t.name+"/") && other.verdict == v {
			found = append(found, other)
		}
	}
	return found
}

func (p *packageRun) hasSubtests(t *testRun) bool {
	return slices.ContainsFunc(p.order, func(o *testRun) bool { return strings.HasPrefix(o.name, t.name+"/") })
}

// unfinished returns the tests whose end was never reported although their
// package ended: they were running when it died. A test whose subtests were
// running is named by them.
func (p *packageRun) unfinished() []*testRun {
	var found []*testRun
	for _, t := range p.order {
		if t.verdict == running && len(p.below(t, running)) == 0 && len(p.below(t, failed)) == 0 {
			found = append(found, t)
		}
	}
	return found
}

// blamesTest tells whether the failure of the package has been laid to a test.
func (p *packageRun) blamesTest() bool {
	return slices.ContainsFunc(p.order, func(t *testRun) bool { return t.verdict == failed || t.verdict == running })
}

type counts struct{ passed, failed, skipped int }

func (p *packageRun) count() counts {
	var c counts
	for _, t := range p.order {
		switch {
		case t.verdict == running:
			// Counted below.
		case p.hasSubtests(t) && (t.verdict == passed || len(p.below(t, t.verdict)) > 0):
			// Counted by its subtests.
		case t.verdict == passed:
			c.passed++
		case t.verdict == skipped:
			c.skipped++
		default:
			c.failed++
		}
	}
	c.failed += len(p.unfinished())
	if p.verdict != passed && p.verdict != skipped && c.failed == 0 {
		c.failed = 1 // build failure, or an end outside any test
	}
	return c
}

func (r *report) sorted() []*packageRun {
	var all []*packageRun
	for _, p := range r.packages {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *packageRun) int { return strings.Compare(a.name, b.name) })
	return all
}

// cachedSkips names the packages whose cached result has skipped tests.
func (r *report) cachedSkips() []string {
	var names []string
	for _, p := range r.sorted() {
		if p.cached && p.count().skipped > 0 {
			names = append(names, p.name)
		}
	}
	return names
}

func (r *report) total() counts {
	var sum counts
	for _, p := range r.packages {
		c := p.count()
		sum.passed += c.passed
		sum.failed += c.failed
		sum.skipped += c.skipped
	}
	return sum
}

// summary writes the end of the report; extra failures are those that belong to
// no package, such as a go command that would not start.
func (r *report) summary(w io.Writer, took time.Duration, extra int) {
	sum := r.total()
	sum.failed += extra
	var ran, failedPackages, untested, cached int
	var slow []string
	for _, p := range r.sorted() {
		switch {
		case p.noTests:
			untested++
			continue
		case p.verdict == failed || p.verdict == running:
			failedPackages++
		}
		ran++
		if p.cached {
			cached++
		}
		for _, t := range p.order {
			if t.elapsed >= 5*time.Second && !p.hasSubtests(t) && !p.cached {
				slow = append(slow, fmt.Sprintf("  %6.1fs  %s %s", t.elapsed.Seconds(), p.name, t.name))
			}
		}
	}
	_, _ = fmt.Fprintf(w, "\n==== tests: %d packages (%d failed, %d from the cache), %d without tests, %s\n",
		ran, failedPackages, cached, untested, took.Round(time.Second))
	if len(slow) > 0 {
		slices.SortFunc(slow, func(a, b string) int { return strings.Compare(b, a) })
		_, _ = fmt.Fprintf(w, "slow (5 s or more):\n%s\n", strings.Join(slow[:min(len(slow), 10)], "\n"))
	}
	r.writeBackends(w)
	if sum.skipped > 0 {
		_, _ = fmt.Fprintf(w, "SKIPPED (%d):\n", sum.skipped)
		r.each(func(p *packageRun, t *testRun) {
			if t.verdict == skipped && len(p.below(t, skipped)) == 0 {
				_, _ = fmt.Fprintf(w, "  %s %s: %s\n", p.name, t.name, reason(t.output))
			}
		})
	}
	if sum.failed > 0 {
		_, _ = fmt.Fprintf(w, "FAILED (%d):\n", sum.failed)
		r.each(func(p *packageRun, t *testRun) {
			if t.verdict == failed && len(p.below(t, failed)) == 0 || t.verdict == running && slices.Contains(p.unfinished(), t) {
				_, _ = fmt.Fprintf(w, "  %s %s\n", p.name, t.name)
			}
		})
		for _, p := range r.sorted() {
			if (p.verdict == failed || p.verdict == running) && !p.blamesTest() {
				_, _ = fmt.Fprintf(w, "  %s: the package did not build, or ended outside its tests\n", p.name)
			}
		}
		for range extra {
			_, _ = fmt.Fprintln(w, "  the run itself, see above")
		}
	}
	_, _ = fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", sum.passed, sum.failed, sum.skipped)
}

func (r *report) each(f func(*packageRun, *testRun)) {
	for _, p := range r.sorted() {
		for _, t := range p.order {
			f(p, t)
		}
	}
}

var logPosition = regexp.MustCompile(`^\s*\S+\.go:\d+: `)

// reason is what a skipped test said last before it stopped.
func reason(output []string) string {
	text := strings.Join(output, "")
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	// The last logged message may go on over several, deeper indented lines.
	for i := len(lines) - 1; i >= 0; i-- {
		if position := logPosition.FindString(lines[i]); position != "" {
			lines[i] = lines[i][len(position):]
			text = strings.Join(lines[i:], " ")
			break
		}
	}
	if text = strings.Join(strings.Fields(text), " "); text == "" {
		return "no reason given"
	}
	return text
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(10 * time.Millisecond)
}
