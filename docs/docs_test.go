package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = ".."

// pages are all Markdown files of the repository.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() && name != root && (strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules" || base == "bin") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(name) != ".md" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		found[filepath.ToSlash(relative)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"README.md", "docs/README.md", "docs/architecture.md", "docs/development.md", "demo/README.md", "spec/proto/README.md"} {
		if found[page] == "" {
			t.Errorf("there is no %s", page)
		}
	}
	return found
}

var (
	fences  = regexp.MustCompile("(?ms)^```.*?^```$")
	code    = regexp.MustCompile("`[^`\n]*`")
	link    = regexp.MustCompile(`\[[^\]\n]*\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// anchors are the names by which the headings of a page can be linked to.
func anchors(page string) []string {
	var names []string
	for _, h := range heading.FindAllStringSubmatch(fences.ReplaceAllString(page, ""), -1) {
		var name strings.Builder
		for _, c := range strings.ToLower(strings.TrimSpace(h[1])) {
			switch {
			case c == ' ':
				name.WriteByte('-')
			case c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c > 127:
				name.WriteRune(c)
			}
		}
		names = append(names, name.String())
	}
	return names
}

// Every link between pages leads to a file or folder of the repository, and to
// a heading where it names one.
func TestLinks(t *testing.T) {
	all := pages(t)
	links := 0
	for page, text := range all {
		text = code.ReplaceAllString(fences.ReplaceAllString(text, ""), "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			links++
			file := page
			if target != "" {
				file = path.Join(path.Dir(page), target)
			}
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(file))); err != nil || strings.HasPrefix(file, "..") {
				t.Errorf("%s: the link %s leads nowhere", page, m[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(all[file]), anchor) {
				t.Errorf("%s: the link %s leads to no heading of %s: %q", page, m[1], file, anchors(all[file]))
			}
		}
	}
	if links < 20 {
		t.Errorf("%d links were found: the test does not see them", links)
	}
}

// `folder.Function`, `folder.(*Type).Function`, `folder.(Type).Function`.
var function = regexp.MustCompile("`([a-z][a-z0-9_]*(?:/[a-z0-9_]+)*)\\.(?:\\((\\*?)(\\w+)\\)\\.)?(\\w+)`")

// A function or type that architecture.md names by its folder is in the code,
// outside of tests.
func TestFunctions(t *testing.T) {
	declared := make(map[string][]string) // by folder
	named := 0
	for _, m := range function.FindAllStringSubmatch(pages(t)["docs/architecture.md"], -1) {
		folder, pointer, receiver, name := m[1], m[2], m[3], m[4]
		switch info, err := os.Stat(filepath.Join(root, filepath.FromSlash(folder))); {
		case name == "go" || name == "yaml":
			continue // a file
		case err == nil && info.IsDir():
		case receiver == "" && !strings.Contains(folder, "/"):
			continue // a type by its package's name: `rpc.Request`
		default:
			t.Errorf("%s: there is no folder %s", m[0], folder)
			continue
		}
		if declared[folder] == nil {
			declared[folder] = functions(t, folder)
		}
		want := name
		if receiver != "" {
			want = "(" + pointer + receiver + ")." + name
		}
		named++
		if !slices.Contains(declared[folder], want) {
			t.Errorf("%s: there is no %s in %s", m[0], want, folder)
		}
	}
	if named < 40 {
		t.Errorf("%d functions were found: the test does not see them", named)
	}
}

// functions lists the functions, methods and exported types of a folder.
func functions(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(folder), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range syntax.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				names = append(names, receiver(decl)+decl.Name.Name)
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					if s, ok := spec.(*ast.TypeSpec); ok {
						names = append(names, s.Name.Name)
					}
				}
			}
		}
	}
	return names
}

// receiver is "(*Type)." or "(Type)." of a method, "" of a function.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	kind, pointer := f.Recv.List[0].Type, ""
	if star, ok := kind.(*ast.StarExpr); ok {
		kind, pointer = star.X, "*"
	}
	if generic, ok := kind.(*ast.IndexExpr); ok {
		kind = generic.X
	}
	name, ok := kind.(*ast.Ident)
	if !ok {
		return ""
	}
	return "(" + pointer + name.Name + ")."
}
