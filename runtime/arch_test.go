package runtime_test

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// TestArchitecture holds the whole module to the rules below. They are the
// import rules and habits of the design; a rule that no longer fits is changed
// here, in the same commit as the code that needs it, with the reason.
func TestArchitecture(t *testing.T) {
	t.Parallel()
	tree, err := loadTree("..")
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.packages) < 5 {
		t.Fatalf("found %d packages: this is not the module's root", len(tree.packages))
	}
	for _, f := range tree.check() {
		t.Error(f)
	}
}

// maxLines is how long a file may be: longer, and there is a second noun in it.
const maxLines = 700

// An importRule says what files in some folders must not import. Paths are
// folders inside the module, or whole import paths of other modules.
type importRule struct {
	name    string
	because string // how the message goes on
	tests   bool   // _test.go files obey it too
	from    func(dir string) bool
	forbids func(dir string, imported importPath) bool
}

var importRules = []importRule{
	{
		name: "proxy-alone", tests: true,
		because: "proxy knows nothing of the runtime, the API or components",
		from:    under("proxy"),
		forbids: func(_ string, p importPath) bool {
			return p.under("runtime", "grpcapi", "components", "spec", "sdk", "demo", "cmd")
		},
	},
	{
		name:    "proxy-order",
		because: "inside proxy the order is: proxy; listener, router, cluster; lb; upstream; protocol; stream, conn",
		// A folder of helpers for tests may use what stands above what it tests.
		from: func(dir string) bool { return within(dir, "proxy") && !strings.HasSuffix(dir, "test") },
		forbids: func(dir string, p importPath) bool {
			own, other := proxyRank(dir), proxyRank(p.dir)
			return own > 0 && other > own
		},
	},
	{
		name:    "leaf",
		because: "stream, conn and config are leaves: the standard library and internal/decode only",
		from:    under("proxy/stream", "proxy/conn", "proxy/config"),
		forbids: func(dir string, p importPath) bool {
			return !p.std && p.dir != "internal/decode" && !strings.HasPrefix(p.dir, dir+"/")
		},
	},
	{
		name:    "components-below",
		because: "components are below the API and the runtime, and only rpc/mesh may know the proxy, by proxy/stream",
		from:    under("components"),
		forbids: func(dir string, p importPath) bool {
			// What components/pluggable speaks with other processes is in spec/proto.
			spec := p.under("spec") && (dir != "components/pluggable" || !p.under("spec/proto"))
			return spec || p.under("runtime", "grpcapi", "sdk", "demo", "cmd") ||
				p.under("proxy") && (dir != "components/rpc/mesh" || p.dir != "proxy/stream")
		},
	},
	{
		name:    "kind-without-backend",
		because: "a kind of component never imports a backend, or its users would carry every driver",
		from:    func(dir string) bool { return within(dir, "components") && !isBackend(dir) },
		forbids: func(_ string, p importPath) bool { return isBackend(p.dir) },
	},
	{
		name:    "backend-with-its-kind",
		because: "a backend imports components, its kind and its driver (which may be contrib's, by components/contrib), and no other kind or backend",
		from:    isBackend,
		forbids: func(dir string, p importPath) bool {
			if !p.under("components") || p.dir == "components" || p.under("components/internal") {
				return false
			}
			own := firstElements(dir, 3) // components/state/redis
			if within(dir, "components/contrib") {
				own = "components/contrib"
				if !isBackend(p.dir) {
					return false // it adapts every kind
				}
			}
			return p.dir != firstElements(dir, 2) && !within(p.dir, own) && p.dir != "components/contrib"
		},
	},
	{
		name:    "api-without-proxy",
		because: "the API speaks to components, never to the proxy, a backend or the runtime above it",
		from:    under("grpcapi"),
		forbids: func(_ string, p importPath) bool {
			return p.under("proxy", "runtime", "sdk", "demo", "cmd") || isBackend(p.dir)
		},
	},
	{
		name:    "capability-without-protobuf",
		because: "what an API call does is written once, free of protobuf; the edges convert",
		from:    under("grpcapi/capability"),
		forbids: func(_ string, p importPath) bool {
			return p.under("spec", "google.golang.org/protobuf", "google.golang.org/genproto",
				"github.com/golang/protobuf", "github.com/gogo/protobuf")
		},
	},
	{
		name:    "builtin-only",
		because: "only runtime/builtin imports backends and filters (and proxy imports filter/retry)",
		from: func(dir string) bool {
			return !within(dir, "runtime/builtin") && !within(dir, "components") && !isTestSupport(dir)
		},
		forbids: func(dir string, p importPath) bool {
			filter := strings.HasPrefix(p.dir, "proxy/filter/") && !within(dir, firstElements(p.dir, 3))
			return isBackend(p.dir) || filter && (dir != "proxy" || p.dir != "proxy/filter/retry")
		},
	},
	{
		name:    "runtime-without-builtin",
		because: "runtime is given its tables; only commands and test harnesses choose runtime/builtin",
		from:    func(dir string) bool { return within(dir, "runtime") && !isTestSupport(dir) },
		forbids: func(dir string, p importPath) bool {
			return p.under("runtime/builtin") && !within(dir, "runtime/builtin")
		},
	},
	{
		name:    "sdk-alone",
		because: "a client SDK depends on spec/proto only",
		from:    under("sdk"),
		forbids: func(_ string, p importPath) bool { return p.local() && !p.under("sdk", "spec/proto") },
	},
	{
		name:    "demo-alone",
		because: "a demo uses sdk only, like a user's program; a component in a process of its own serves what is in spec/proto/pluggable",
		from:    under("demo"),
		forbids: func(_ string, p importPath) bool { return p.local() && !p.under("sdk", "demo", "spec/proto/pluggable") },
	},
	{
		name:    "spec-alone",
		because: "the API definition depends on nothing of ours",
		from:    under("spec"),
		forbids: func(_ string, p importPath) bool { return p.local() && !p.under("spec") },
	},
	{
		name:    "internal-alone",
		because: "internal packages are below everything",
		from:    under("internal"),
		forbids: func(_ string, p importPath) bool { return p.local() && !p.under("internal") },
	},
	{
		name:    "tools-alone",
		because: "tools see the product from outside: spec/proto only, and what tests tell the test runner",
		from:    under("tools"),
		forbids: func(dir string, p importPath) bool {
			return p.local() && !p.under("spec/proto", "internal/matrix", dir)
		},
	},
}

// proxyRank is the height of a folder inside proxy, 0 when it has none: such a
// folder may import any and be imported by any.
func proxyRank(dir string) int {
	switch {
	case dir == "proxy":
		return 6
	case within(dir, "proxy/cluster/lb"):
		return 4
	case within(dir, "proxy/listener"), within(dir, "proxy/router"), within(dir, "proxy/cluster"):
		return 5
	case within(dir, "proxy/upstream"):
		return 3
	case within(dir, "proxy/protocol"):
		return 2
	case within(dir, "proxy/stream"), within(dir, "proxy/conn"), within(dir, "proxy/config"):
		return 1
	}
	return 0
}

// isBackend tells the folders that bring drivers: components/<kind>/<backend>
// and all of components/contrib. The suite of a kind (statetest) is none.
func isBackend(dir string) bool {
	if within(dir, "components/contrib") {
		return true
	}
	return within(dir, "components") && strings.Count(dir, "/") >= 2 &&
		!within(dir, "components/internal") && !isTestSupport(dir)
}

// isTestSupport tells the packages that only tests import: statetest, runtimetest.
func isTestSupport(dir string) bool { return strings.HasSuffix(path.Base(dir), "test") }

func within(dir, root string) bool { return dir == root || strings.HasPrefix(dir, root+"/") }

func under(roots ...string) func(string) bool {
	return func(dir string) bool {
		for _, root := range roots {
			if within(dir, root) {
				return true
			}
		}
		return false
	}
}

func firstElements(dir string, n int) string {
	elements := strings.Split(dir, "/")
	return strings.Join(elements[:min(n, len(elements))], "/")
}

// TestArchitectureFindings runs the rules over a tree made to break them. A line
// that breaks some ends with a comment `// want` and their names; nothing else
// may be found.
func TestArchitectureFindings(t *testing.T) {
	t.Parallel()
	tree, err := loadTree("testdata/arch")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	broken := map[string]bool{}
	for _, p := range tree.packages {
		for _, f := range p.files {
			for _, group := range f.syntax.Comments {
				for _, c := range group.List {
					rules, ok := strings.CutPrefix(c.Text, "// want ")
					if !ok {
						continue
					}
					for rule := range strings.FieldsSeq(rules) {
						want[fmt.Sprintf("%s:%d: %s", f.path, tree.fset.Position(c.Pos()).Line, rule)] = true
						broken[rule] = true
					}
				}
			}
		}
	}
	for _, f := range tree.check() {
		key := fmt.Sprintf("%s:%d: %s", f.file, f.line, f.rule)
		if !want[key] {
			t.Errorf("found, but right: %s", f)
		}
		delete(want, key)
	}
	for key := range want {
		t.Errorf("not found: %s", key)
	}
	for _, rule := range importRules {
		if !broken[rule.name] {
			t.Errorf("no fixture breaks the rule %s", rule.name)
		}
	}
}

func TestArchitectureFileLength(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":           "module example.test/m\n",
		"short.go":         "// Package m is short.\npackage m\n" + strings.Repeat("\n", maxLines-3),
		"long.go":          "package m\n" + strings.Repeat("\n", maxLines),
		"long_test.go":     "package m\n" + strings.Repeat("\n", maxLines),
		"generated.pb.go":  "// Code generated by hand. DO NOT EDIT.\npackage m\n" + strings.Repeat("\n", maxLines),
		"testdata/long.go": strings.Repeat("\n", maxLines),
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := loadTree(root)
	if err != nil {
		t.Fatal(err)
	}
	found := tree.check()
	if len(found) != 1 || found[0].file != "long.go" || found[0].rule != "length" {
		t.Errorf("found %v, want long.go to be too long and nothing else", found)
	}
}

// A tree that cannot be read must not pass as one without findings.
func TestArchitectureUnreadable(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if _, err := loadTree(root); err == nil {
		t.Error("a folder without go.mod: no error")
	}
	if err := os.WriteFile(filepath.Join(root, "go.mod"), []byte("module example.test/m\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "x.go"), []byte("not go"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadTree(root); err == nil || !strings.Contains(err.Error(), "x.go:1") {
		t.Errorf("a file that is not Go: error %v, want one naming x.go:1", err)
	}
}
