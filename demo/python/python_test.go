package python_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/demo/internal/ottavotest"
)

// needs skips the test unless everything that README.md asks for is there.
func needs(t *testing.T) {
	t.Helper()
	for command, pkg := range map[string]string{"protoc": "protobuf-compiler", "grpc_python_plugin": "protobuf-compiler-grpc", "bash": "bash"} {
		if _, err := exec.LookPath(command); err != nil {
			t.Skipf("SKIP: no %s in PATH: apt-get install %s", command, pkg)
		}
	}
	if out, err := exec.Command("/usr/bin/python3", "-c", "import grpc, google.protobuf").CombinedOutput(); err != nil {
		t.Skipf("SKIP: /usr/bin/python3 without grpc and protobuf (%v: %s): apt-get install python3-grpcio python3-protobuf",
			err, strings.TrimSpace(string(out)))
	}
}

// A client whose code protoc makes, in a language that is not ours, calls
// the real program. The commands and what they print are those of README.md.
func TestPythonClient(t *testing.T) {
	needs(t)
	p := ottavotest.StartForeign(t)
	script := strings.ReplaceAll(ottavotest.OneBlock(t, "demo/python/README.md", "```sh"), ".cache/python", filepath.Join(t.TempDir(), "code"))
	got := p.Script(strings.TrimSpace(script) + " --address " + p.Addr("runtime"))
	if want := ottavotest.OneBlock(t, "demo/python/README.md", "```text"); got != want {
		t.Errorf("printed\n%swant, as in README.md\n%s", got, want)
	}
}
