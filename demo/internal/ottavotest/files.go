package ottavotest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Root returns the root of the repository.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("there is no go.mod above the test")
		}
		dir = parent
	}
}

// ReadFile returns a file of the repository, given by its path from the root.
func ReadFile(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(Root(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// NoCallbacks is what DefaultConfig has where the runtime looks for an application;
// a test whose application serves callbacks replaces it.
const NoCallbacks = "grpc_callback_port: 0"

// DefaultConfig returns configs/default.yaml with its ports taken out (0: a free
// one), files in a folder of the test's, no application, and with further replacements, in pairs. Each text must be there, so that
// a test does not go on with a file that has changed.
func DefaultConfig(t testing.TB, oldnew ...string) string {
	t.Helper()
	file := ReadFile(t, "configs/default.yaml")
	oldnew = append([]string{
		"127.0.0.1:34904", "127.0.0.1:0", "127.0.0.1:34999", "127.0.0.1:0", "127.0.0.1:12221", "127.0.0.1:0",
		" .data/", " " + t.TempDir() + "/", "grpc_callback_port: 9999", NoCallbacks,
	}, oldnew...)
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(file, oldnew[i]) {
			t.Fatalf("configs/default.yaml does not hold %q: change the test with it", oldnew[i])
		}
		file = strings.ReplaceAll(file, oldnew[i], oldnew[i+1])
	}
	return file
}

// CodeBlocks returns the texts between ``` of a Markdown file, given by its path
// from the root, that begin with that line ("```", "```sh").
func CodeBlocks(t testing.TB, name, fence string) []string {
	t.Helper()
	var blocks []string
	inside, wanted := false, false
	var block strings.Builder
	for line := range strings.Lines(ReadFile(t, name)) {
		trimmed := strings.TrimRight(line, "\n")
		switch {
		case !inside && strings.HasPrefix(trimmed, "```"):
			inside, wanted = true, trimmed == fence
			block.Reset()
		case inside && trimmed == "```":
			if wanted {
				blocks = append(blocks, block.String())
			}
			inside = false
		case inside:
			block.WriteString(line)
		}
	}
	return blocks
}
