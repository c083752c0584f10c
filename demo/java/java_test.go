package java_test

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/demo/internal/ottavotest"
)

// A client in Java, whose code is made from spec/proto, calls the real program. The
// commands and what they print are those of README.md.
func TestJavaClient(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("SKIP: the plugin of protoc for Java is a program for Linux on x86-64")
	}
	ottavotest.NeedsCommands(t, "java", "javac", "bash")
	ottavotest.NeedsCache(t, "jars/java-client", "demo/java/java-client/pom.xml")
	p := ottavotest.StartForeign(t)
	commands := ottavotest.CodeBlocks(t, "demo/java/README.md", "```sh")
	if len(commands) != 2 {
		t.Fatalf("README.md has %d blocks of commands, want 2", len(commands))
	}
	script := strings.ReplaceAll(commands[1], "out=.cache/java\n", "out="+filepath.Join(t.TempDir(), "java")+"\n")
	got := p.Script(strings.TrimSpace(script) + " " + p.Addr("runtime"))
	if want := ottavotest.OneBlock(t, "demo/java/README.md", "```text"); got != want {
		t.Errorf("printed\n%swant, as in README.md\n%s", got, want)
	}
}
