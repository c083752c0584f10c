package python_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
// SayHello, SaveState, GetState and InvokeService of the real program. The
// commands and what they print are those of README.md.
func TestPythonClient(t *testing.T) {
	needs(t)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		w.Header().Set("X-Token", r.Header.Get("X-Token"))
		if r.Method != http.MethodPost || r.URL.Path != "/hello" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.Copy(w, r.Body) // an error is the client's
	}))
	defer service.Close()
	const noPort = "actuator: {listen: 127.0.0.1:0}"
	file := ottavotest.DefaultConfig(t, "127.0.0.1:8889", service.Listener.Addr().String(), noPort, `actuator: {listen: "ACTUATOR"}`)
	p := ottavotest.Start(t, file)

	commands := ottavotest.CodeBlocks(t, "demo/python/README.md", "```sh")
	want := ottavotest.CodeBlocks(t, "demo/python/README.md", "```text")
	if len(commands) != 1 || len(want) != 1 {
		t.Fatalf("README.md has %d blocks of commands and %d of output, want 1 of each", len(commands), len(want))
	}
	script := strings.ReplaceAll(commands[0], ".cache/python", filepath.Join(t.TempDir(), "code"))
	script = strings.TrimSpace(script) + " --address " + p.Addr("runtime")
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-eu", "-c", script)
	cmd.Dir = ottavotest.Root(t)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s\nthe runtime:\n%s", err, &out, &errs, p.Log())
	}
	if out.String() != want[0] {
		t.Errorf("printed\n%swant, as in README.md\n%s", fmt.Sprint(&out), want[0])
	}
}
