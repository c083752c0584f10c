package runtime_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A finding is one broken rule.
type finding struct {
	file string // relative to the module's root
	line int
	rule string
	text string
}

func (f finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", f.file, f.line, f.rule, f.text)
}

// An importPath is what a file imports: a folder of this module (dir) or a path
// of another module or the standard library (dir is that path).
type importPath struct {
	dir string
	own bool // of this module
	std bool
}

func (p importPath) local() bool { return p.own }

func (p importPath) under(roots ...string) bool {
	for _, root := range roots {
		// Roots with a dot in the first element are paths of other modules.
		first, _, _ := strings.Cut(root, "/")
		if strings.Contains(first, ".") != p.own && within(p.dir, root) {
			return true
		}
	}
	return false
}

type sourceFile struct {
	path      string // relative, with slashes
	syntax    *ast.File
	test      bool
	generated bool
}

// A sourcePackage is the files of one folder with one package name, whatever
// their build tags.
type sourcePackage struct {
	dir   string // relative, "" for the root
	name  string
	files []*sourceFile
}

type sourceTree struct {
	fset     *token.FileSet
	module   string
	packages []*sourcePackage
}

var moduleLine = regexp.MustCompile(`(?m)^module\s+(\S+)`)

// loadTree parses every Go file of the module at root, without the network, the
// go command or its cache. Folders that the go command ignores, and modules of
// their own inside, are left out.
func loadTree(root string) (*sourceTree, error) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	match := moduleLine.FindSubmatch(mod)
	if match == nil {
		return nil, fmt.Errorf("%s/go.mod: no module line", root)
	}
	tree := &sourceTree{fset: token.NewFileSet(), module: string(match[1])}
	byKey := map[string]*sourcePackage{}
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		if d.IsDir() {
			base := d.Name()
			if relative == "." {
				return nil
			}
			if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "vendor" || base == "node_modules" {
				return fs.SkipDir
			}
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") {
			return nil
		}
		code, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(tree.fset, relative, code, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := path.Dir(relative)
		if dir == "." {
			dir = ""
		}
		key := dir + "\n" + syntax.Name.Name
		p := byKey[key]
		if p == nil {
			p = &sourcePackage{dir: dir, name: syntax.Name.Name}
			byKey[key] = p
			tree.packages = append(tree.packages, p)
		}
		p.files = append(p.files, &sourceFile{
			path: relative, syntax: syntax,
			test:      strings.HasSuffix(relative, "_test.go"),
			generated: ast.IsGenerated(syntax),
		})
		return nil
	})
	return tree, err
}

// check returns every finding, in the order of files and lines.
func (t *sourceTree) check() []finding {
	var found []finding
	report := func(pos token.Pos, rule, format string, args ...any) {
		at := t.fset.Position(pos)
		found = append(found, finding{at.Filename, at.Line, rule, fmt.Sprintf(format, args...)})
	}
	for _, p := range t.packages {
		t.checkImports(p, report)
		checkPackageComment(p, report)
		t.checkCode(p, report)
	}
	slices.SortFunc(found, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line), cmp.Compare(a.rule, b.rule))
	})
	return found
}

type reportFunc func(pos token.Pos, rule, format string, args ...any)

func (t *sourceTree) parseImport(spec *ast.ImportSpec) importPath {
	name, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		name = spec.Path.Value
	}
	if name == t.module {
		return importPath{own: true}
	}
	if rest, ok := strings.CutPrefix(name, t.module+"/"); ok {
		return importPath{dir: rest, own: true}
	}
	first, _, _ := strings.Cut(name, "/")
	return importPath{dir: name, std: !strings.Contains(first, ".")}
}

func (t *sourceTree) checkImports(p *sourcePackage, report reportFunc) {
	for _, rule := range importRules {
		if !rule.from(p.dir) {
			continue
		}
		for _, f := range p.files {
			if f.generated || f.test && !rule.tests {
				continue
			}
			for _, spec := range f.syntax.Imports {
				imported := t.parseImport(spec)
				if imported.dir == p.dir && imported.own {
					continue
				}
				if rule.forbids(p.dir, imported) {
					report(spec.Pos(), rule.name, "%s imports %s: %s", p.dir, spec.Path.Value, rule.because)
				}
			}
		}
	}
	// Tests of a demo may start a runtime, nothing else.
	if within(p.dir, "demo") {
		for _, f := range p.files {
			for _, spec := range f.syntax.Imports {
				imported := t.parseImport(spec)
				if f.test && imported.local() && !imported.under("sdk", "demo", "internal", "runtime/runtimetest", "spec/proto/pluggable") {
					report(spec.Pos(), "demo-alone", "%s imports %s: a demo's test uses sdk and runtime/runtimetest only", p.dir, spec.Path.Value)
				}
			}
		}
	}
}

// checkPackageComment wants the comment in exactly one file, doc.go if there is one.
func checkPackageComment(p *sourcePackage, report reportFunc) {
	const rule = "package-comment"
	var first, docFile, commented *sourceFile
	for _, f := range p.files {
		if f.test || f.generated {
			continue
		}
		first = cmp.Or(first, f)
		if path.Base(f.path) == "doc.go" {
			docFile = f
		}
		if f.syntax.Doc.Text() == "" { // Text leaves directives out
			continue
		}
		if commented != nil {
			report(f.syntax.Package, rule, "the comment of package %s is in %s already", p.name, path.Base(commented.path))
			continue
		}
		commented = f
	}
	switch {
	case first == nil:
	case commented == nil:
		report(cmp.Or(docFile, first).syntax.Package, rule, "package %s has no comment saying what it is for", p.name)
	case docFile != nil && commented != docFile:
		report(commented.syntax.Package, rule, "the comment of package %s belongs in doc.go", p.name)
	case p.name != "main" && !strings.HasPrefix(commented.syntax.Doc.Text(), "Package "+p.name+" "):
		report(commented.syntax.Package, rule, "the comment does not begin with \"Package %s \"", p.name)
	}
}

// checkCode looks at declarations and function bodies.
func (t *sourceTree) checkCode(p *sourcePackage, report reportFunc) {
	var files []*ast.File
	for _, f := range p.files {
		if !f.generated {
			files = append(files, f.syntax)
		}
	}
	if len(files) == 0 {
		return
	}
	// Names are resolved inside the package; what comes from outside stays
	// unknown, so there are errors; it is enough to tell package variables from local ones.
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: nameImporter{}, Error: func(error) {}, FakeImportC: true}
	checked, _ := config.Check(p.dir, t.fset, files, info)

	command := within(p.dir, "cmd") || p.name == "main"
	for _, f := range p.files {
		if f.generated {
			continue
		}
		for _, decl := range f.syntax.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Name.Name == "init" && fn.Recv == nil {
				report(fn.Pos(), "init", "no init functions: list it in a table that is handed in")
			}
		}
		if f.test || isTestSupport(p.dir) {
			continue
		}
		if lines := t.fset.File(f.syntax.Package).LineCount(); lines > maxLines {
			report(f.syntax.Package, "length", "%d lines, more than %d: look for the second noun in it", lines, maxLines)
		}
		checkLazyGlobals(f.syntax, info, report)
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			switch used := packageOf(selector, info) + "." + selector.Sel.Name; used {
			case "time.After", "time.Tick":
				report(selector.Pos(), "time-after", "%s cannot be stopped: use time.NewTimer, or a context with a deadline", used)
			case "context.Background", "context.TODO":
				if !command {
					report(selector.Pos(), "background", "%s outside of cmd and tests: take the context of the caller", used)
				}
			}
			return true
		})
		checkGlobalWrites(f.syntax, checked, info, report)
	}
}

// packageOf returns the import path that a selector's left side stands for, or "".
func packageOf(s *ast.SelectorExpr, info *types.Info) string {
	if id, ok := s.X.(*ast.Ident); ok {
		if name, ok := info.Uses[id].(*types.PkgName); ok {
			return name.Imported().Path()
		}
	}
	return ""
}

// checkLazyGlobals finds package-level variables of types that exist to be
// written. sync.Pool, Once and the OnceFunc family hold nothing that a program
// can see change.
func checkLazyGlobals(file *ast.File, info *types.Info, report reportFunc) {
	for _, decl := range file.Decls {
		vars, ok := decl.(*ast.GenDecl)
		if !ok || vars.Tok != token.VAR {
			continue
		}
		for _, spec := range vars.Specs {
			value := spec.(*ast.ValueSpec)
			kind := value.Type
			if index, ok := kind.(*ast.IndexExpr); ok { // atomic.Pointer[T]
				kind = index.X
			}
			selector, ok := kind.(*ast.SelectorExpr)
			if !ok {
				continue
			}
			from := packageOf(selector, info)
			mutable := from == "sync/atomic" || from == "sync" && slices.Contains([]string{"Mutex", "RWMutex", "Map", "WaitGroup", "Cond"}, selector.Sel.Name)
			if mutable {
				report(value.Pos(), "global-write", "%s is package-level state (%s.%s): make it a field of what owns it", value.Names[0].Name, path.Base(from), selector.Sel.Name)
			}
		}
	}
}

// checkGlobalWrites finds assignments in functions to package-level variables,
// their elements or fields, of this package or another.
func checkGlobalWrites(file *ast.File, checked *types.Package, info *types.Info, report reportFunc) {
	write := func(target ast.Expr) {
		id := rootIdent(target)
		if id == nil {
			return
		}
		switch object := info.Uses[id].(type) {
		case *types.Var:
			if checked != nil && object.Parent() == checked.Scope() {
				report(target.Pos(), "global-write", "%s is a package-level variable: it must not change after start-up", id.Name)
			}
		case *types.PkgName:
			report(target.Pos(), "global-write", "writes a variable of package %s", object.Imported().Path())
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, target := range n.Lhs {
				write(target) // := defines: its names are not in Uses, unless they are written
			}
		case *ast.IncDecStmt:
			write(n.X)
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				write(n.Key)
				if n.Value != nil {
					write(n.Value)
				}
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 {
				if builtin, ok := info.Uses[id].(*types.Builtin); ok && slices.Contains([]string{"delete", "clear", "copy"}, builtin.Name()) {
					write(n.Args[0])
				}
			}
		}
		return true
	})
}

// rootIdent returns the variable that an assignment goes to: x of x[i].f = ….
// For pkg.Var it is pkg.
func rootIdent(target ast.Expr) *ast.Ident {
	for {
		switch e := target.(type) {
		case *ast.Ident:
			return e
		case *ast.IndexExpr:
			target = e.X
		case *ast.SliceExpr:
			target = e.X
		case *ast.SelectorExpr:
			target = e.X
		case *ast.StarExpr:
			target = e.X
		case *ast.ParenExpr:
			target = e.X
		default:
			return nil // the result of a call, say
		}
	}
}

// nameImporter gives every import an empty package of the right path.
type nameImporter struct{}

func (nameImporter) Import(name string) (*types.Package, error) {
	base := path.Base(name)
	if version := regexp.MustCompile(`^v[0-9]+$`); version.MatchString(base) {
		base = path.Base(path.Dir(name))
	}
	p := types.NewPackage(name, base)
	p.MarkComplete()
	return p, nil
}
