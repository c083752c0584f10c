package builtin_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/ottavo-runtime/ottavo/runtime/builtin"
	"github.com/ottavo-runtime/ottavo/runtime/config"
)

// TestCapabilitiesPage: every example of docs/capabilities.md is a whole file that
// loads against what is built in, without a warning.
func TestCapabilitiesPage(t *testing.T) {
	page, err := os.ReadFile(root + "/docs/capabilities.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1)
	if len(blocks) < 12 {
		t.Fatalf("%d examples", len(blocks))
	}
	for _, block := range blocks {
		path := filepath.Join(t.TempDir(), "ottavo.yaml")
		if err := os.WriteFile(path, block[1], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, warnings, err := config.Load(path, builtin.Tables().ConfigOptions()); err != nil || len(warnings) > 0 {
			t.Errorf("%s\nwarnings %v, error %v", block[1], warnings, err)
		}
	}
}
