package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

// A backend is what the tests said about one type of component.
type backend struct {
	kind, typ string
	tests     []*testRun // that put it to its kind's suite
	servers   []string   // against what each of them did; "" is the real server
	packages  []*packageRun
	untested  string // why there are none
}

// attribute notes what a test says about backends.
func (t *testRun) attribute(key, value string) {
	switch key {
	case matrix.Attribute:
		t.backends = append(t.backends, value)
	case matrix.TypeAttribute:
		name, untested, _ := strings.Cut(value, " ")
		t.types = append(t.types, [2]string{name, untested})
	}
}

// backends returns all types that the tests named, by kind and type.
func (r *report) backends() []*backend {
	all := map[string]*backend{}
	find := func(name string) *backend {
		if all[name] == nil {
			kind, typ, _ := strings.Cut(name, "/")
			all[name] = &backend{kind: kind, typ: typ}
		}
		return all[name]
	}
	r.each(func(p *packageRun, t *testRun) {
		for _, value := range t.backends {
			name, server, _ := strings.Cut(value, " ")
			b := find(name)
			b.tests, b.packages, b.servers = append(b.tests, t), append(b.packages, p), append(b.servers, server)
		}
		for _, typ := range t.types {
			find(typ[0]).untested = typ[1]
		}
	})
	sorted := slices.Collect(maps.Values(all))
	slices.SortFunc(sorted, func(a, b *backend) int { return strings.Compare(a.kind+"/"+a.typ, b.kind+"/"+b.typ) })
	return sorted
}

// result is what came of a backend's suite: "ok", with the server it was when that
// was not the real one, and with the number of tests that the backend is known not to
// pass; "FAILED"; or why it was not run. It is bad when it failed.
func (b *backend) result() (text string, bad bool) {
	ok, limits, why := false, 0, b.untested
	var servers []string
	for i, t := range b.tests {
		p := b.packages[i]
		switch {
		case t.verdict == failed || t.verdict == running:
			return "FAILED", true
		case t.verdict == passed:
			ok = true
			servers = append(servers, b.servers[i])
			limits += len(p.below(t, skipped))
		case t.verdict == skipped && !ok:
			why = strings.TrimPrefix(reason(t.output), "SKIP: ")
		}
	}
	text = "ok"
	if ok && !slices.Contains(servers, "") {
		slices.Sort(servers)
		text += ", against " + strings.Join(slices.Compact(servers), " and ")
	}
	switch {
	case ok && limits > 0:
		return fmt.Sprintf("%s (%d tests left out)", text, limits), false
	case ok:
		return text, false
	case why == "":
		return "no suite was run", false
	}
	return "not run: " + why, false
}

// writeBackends writes the table of kinds, backends and results.
func (r *report) writeBackends(w io.Writer) {
	all := r.backends()
	if len(all) == 0 {
		return
	}
	var ok, bad, not int
	var lines strings.Builder
	kind := ""
	for _, b := range all {
		text, failed := b.result()
		switch {
		case failed:
			bad++
		case strings.HasPrefix(text, "ok"):
			ok++
		default:
			not++
		}
		if b.kind != kind {
			kind = b.kind
			_, _ = fmt.Fprintf(&lines, "  %s\n", kind)
		}
		_, _ = fmt.Fprintf(&lines, "    %-28s %s\n", b.typ, text)
	}
	_, _ = fmt.Fprintf(w, "BACKENDS, each put to the suite of its kind (%d ok, %d failed, %d not run):\n%s", ok, bad, not, lines.String())
}
