package matrix_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const components = "../../components"

// beside are folders of components that are no kind, but serve several.
var beside = map[string]bool{"contrib": true, "internal": true, "pluggable": true}

// TestKinds: every kind has a suite beside its contract, and a test says which
// backend it puts to that.
func TestKinds(t *testing.T) {
	folders, err := os.ReadDir(components)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{} // whether a test runs the suite
	for _, f := range folders {
		if f.IsDir() && !beside[f.Name()] {
			kinds[f.Name()] = false
		}
	}
	if len(kinds) < 10 {
		t.Fatalf("%d kinds found: have they moved?", len(kinds))
	}
	for kind := range kinds {
		suite, err := filepath.Glob(filepath.Join(components, kind, kind+"test", "*.go"))
		if err != nil || len(suite) == 0 {
			t.Errorf("components/%s has no suite %[1]stest", kind)
		}
	}
	err = filepath.WalkDir(components, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := os.ReadFile(name)
		for _, call := range backend.FindAllSubmatch(text, -1) {
			if kind := string(call[1]); strings.Contains(string(text), kind+"test.Run") {
				kinds[kind] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for kind, run := range kinds {
		if !run {
			t.Errorf("no test below components says that it runs %stest", kind)
		}
	}
}

var backend = regexp.MustCompile(`matrix\.Backend\(\w+, "(\w+)", `)
