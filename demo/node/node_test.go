package node_test

import (
	"path/filepath"
	"testing"

	"github.com/ottavo-runtime/ottavo/demo/internal/ottavotest"
)

// A client in Node calls the real program. What it prints is in README.md.
func TestNodeClient(t *testing.T) {
	ottavotest.NeedsCommands(t, "node", "bash")
	ottavotest.NeedsCache(t, "demo-node", "demo/node/package-lock.json")
	p := ottavotest.StartForeign(t)
	commands := ottavotest.CodeBlocks(t, "demo/node/README.md", "```sh")
	if len(commands) != 2 {
		t.Fatalf("README.md has %d blocks of commands, want 2", len(commands))
	}
	modules := filepath.Join(ottavotest.Root(t), ".cache/demo-node/node_modules")
	got := p.Script("exec "+commands[1][:len(commands[1])-1]+" "+p.Addr("runtime"), "OTTAVO_NODE_MODULES="+modules)
	if want := ottavotest.OneBlock(t, "demo/node/README.md", "```text"); got != want {
		t.Errorf("printed\n%swant, as in README.md\n%s", got, want)
	}
}
