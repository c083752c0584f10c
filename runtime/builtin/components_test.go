package builtin_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/runtime/builtin"
)

var update = flag.Bool("update", false, "write the tables into docs/components.md")

const (
	root       = "../.."
	components = root + "/docs/components.md"
	begin      = "<!-- The tables are made by: go test ./runtime/builtin -run TestComponentsPage -update -->\n"
	end        = "<!-- end of tables -->"
)

// A row is one type of component.
type row struct {
	kind, typ, doc string
	full           bool // in the full build only
}

func (r row) name() string { return r.kind + "/" + r.typ }

// TestComponentsPage: docs/components.md lists every type of both builds, and says
// of each whether it was put to the suite of its kind or why not.
func TestComponentsPage(t *testing.T) {
	rows := allRows(t)
	suites, wide := inSuites(t, rows)
	used := map[string]bool{}
	reasons := map[string]string{}
	for _, r := range rows {
		why, pattern := reasonOf(r, suites[r.name()])
		if server := wide[r.name()]; server != "" && !suites[r.name()] {
			why, pattern = inWide+server, ""
		}
		used[pattern] = true
		if why == "" && !suites[r.name()] {
			t.Errorf("%s: no test calls matrix.Backend(t, %q, %q), and untested_test.go gives no reason", r.name(), r.kind, r.typ)
			why = "there is no suite yet"
		}
		reasons[r.name()] = why
		matrix.Type(t, r.kind, r.typ, why)
	}
	for _, u := range untested {
		if !used[u.pattern] {
			t.Errorf("untested_test.go: %q fits no type, or those that it fits have suites", u.pattern)
		}
	}
	page, err := os.ReadFile(components)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(page), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s: the marks around the tables are missing", components)
	}
	want := head + begin + tables(rows, reasons) + end + tail
	if want == string(page) {
		return
	}
	if !*update {
		t.Fatalf("%s does not list the types as they are: go test ./runtime/builtin -run TestComponentsPage -update", components)
	}
	if err := os.WriteFile(components, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// reasonOf says why there is no suite for a type, and by which line of untested. A
// line with a * says nothing of types that have one.
func reasonOf(r row, suite bool) (why, pattern string) {
	for _, u := range untested {
		// Names of types have slashes of their own.
		ok, err := path.Match(strings.ReplaceAll(u.pattern, "/", ":"), strings.ReplaceAll(r.name(), "/", ":"))
		if err == nil && ok && (!suite || !strings.Contains(u.pattern, "*")) {
			return u.why, u.pattern
		}
	}
	if r.full && !suite {
		return "no server of it can be had here", ""
	}
	return "", ""
}

// inWide is why `make test` does not run the suite of a type that `make test-wide`
// does, and against what.
const inWide = "in `make test-wide`, against "

// tables writes a table for each kind, by name.
func tables(rows []row, reasons map[string]string) string {
	var b strings.Builder
	kind := ""
	for _, r := range rows {
		if r.kind != kind {
			kind = r.kind
			fmt.Fprintf(&b, "\n### %s\n\n| type | what | build | suite |\n|---|---|---|---|\n", kind)
		}
		build := "both"
		if r.full {
			build = "full"
		}
		suite := "passes"
		switch why := reasons[r.name()]; {
		case strings.HasPrefix(why, inWide):
			suite += " " + why
		case why != "":
			suite = "not run: " + why
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.typ, r.doc, build, suite)
	}
	b.WriteString("\n")
	return b.String()
}

// allRows are the types of both builds, whichever this is: those of this one, and
// those that the sources of the full one list.
func allRows(t *testing.T) []row {
	t.Helper()
	full := fullRows(t)
	built := builtRows(t)
	rows := slices.Clone(full)
	for _, r := range built {
		i := slices.IndexFunc(full, func(f row) bool { return f.name() == r.name() })
		switch {
		case i < 0:
			rows = append(rows, r)
		case full[i].doc != r.doc:
			t.Errorf("%s is listed in both builds, with different texts", r.name())
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.typ, b.typ)) })
	return rows
}

// builtRows are the types of this build.
func builtRows(t *testing.T) []row {
	t.Helper()
	var rows []row
	all := reflect.ValueOf(builtin.Tables())
	for i := range all.NumField() {
		list := all.Field(i)
		if list.Kind() != reflect.Slice || list.Type().Elem().Kind() != reflect.Struct {
			continue
		}
		makes, ok := list.Type().Elem().FieldByName("New")
		if !ok || makes.Type.Kind() != reflect.Func || makes.Type.NumOut() == 0 {
			continue
		}
		kind := path.Base(makes.Type.Out(0).PkgPath()) // components/state
		for j := range list.Len() {
			r := list.Index(j)
			if typ, doc := r.FieldByName("Type"), r.FieldByName("Doc"); typ.IsValid() && doc.IsValid() {
				rows = append(rows, row{kind: kind, typ: typ.String(), doc: doc.String()})
			}
		}
	}
	if len(rows) < 10 {
		t.Fatalf("%d types found: has runtime.Tables another form now?", len(rows))
	}
	return rows
}

// fullRows reads the rows in the sources that only the full build has. The kind is
// in the type of the list: components.Row[state.Store].
func fullRows(t *testing.T) []row {
	t.Helper()
	files, err := filepath.Glob("*_full.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("sources of the full build: %v, %v", files, err)
	}
	var rows []row
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Type.Results == nil {
				continue
			}
			kind := kindOf(f.Type.Results.List[0].Type)
			ast.Inspect(f, func(n ast.Node) bool {
				if list, ok := n.(*ast.CompositeLit); ok && kind != "" {
					if r := (row{kind: kind, typ: textOf(list, "Type"), doc: textOf(list, "Doc"), full: true}); r.typ != "" {
						rows = append(rows, r)
					}
				}
				return true
			})
		}
	}
	return rows
}

// kindOf returns "state" for []components.Row[state.Store].
func kindOf(e ast.Expr) string {
	list, ok := e.(*ast.ArrayType)
	if !ok {
		return ""
	}
	rows, ok := list.Elt.(*ast.IndexExpr)
	if !ok {
		return ""
	}
	if of, ok := rows.Index.(*ast.SelectorExpr); ok {
		if pkg, ok := of.X.(*ast.Ident); ok {
			return pkg.Name
		}
	}
	return ""
}

// textOf returns a field of a struct that is written as a text.
func textOf(list *ast.CompositeLit, field string) string {
	for _, e := range list.Elts {
		pair, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		key, ok1 := pair.Key.(*ast.Ident)
		value, ok2 := pair.Value.(*ast.BasicLit)
		if ok1 && ok2 && key.Name == field {
			if text, err := strconv.Unquote(value.Value); err == nil {
				return text
			}
		}
	}
	return ""
}

// inSuites tells which types tests put to the suite of their kind, as "kind/type":
// with the name as a text; or in a variable, which may hold a text of the test file
// or a constant Type of the tested package. And which are put to it by make test-wide,
// with what server. It is a look at the sources; whether the test runs is for the
// runner to say.
func inSuites(t *testing.T, rows []row) (found map[string]bool, wide map[string]string) {
	t.Helper()
	found, wide = map[string]bool{}, map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, call := range backendCall.FindAllSubmatch(text, -1) {
			kind, argument := string(call[1]), string(call[2])
			source := []byte(argument)
			if argument[0] != '"' {
				source = append(typeConstants(t, filepath.Dir(name)), text...)
			}
			for _, r := range rows {
				if r.kind == kind && bytes.Contains(source, strconv.AppendQuote(nil, r.typ)) {
					found[r.name()] = true
				}
			}
		}
		for _, call := range wideCall.FindAllSubmatch(text, -1) {
			name := string(call[1]) + "/" + string(call[2])
			if !slices.ContainsFunc(rows, func(r row) bool { return r.name() == name }) {
				t.Errorf("matrix.Wide names %s, which is no type", name)
			}
			wide[name] = string(call[3])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, wide
}

var (
	backendCall  = regexp.MustCompile(`matrix\.Backend\(\w+, "(\w+)", ([^)\s]+)\)`)
	wideCall     = regexp.MustCompile(`matrix\.Wide\(\w+, "([^"]+)", "([^"]+)", "([^"]+)"\)`)
	typeConstant = regexp.MustCompile(`(?m)^\s*(?:const )?\w*Type\w*\s*=\s*"[^"]*"`)
)

// typeConstants are the lines that declare names of types in a folder.
func typeConstants(t *testing.T, dir string) []byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var found [][]byte
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, typeConstant.FindAll(text, -1)...)
	}
	return bytes.Join(found, nil)
}
