package ottavotest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// StartForeign starts the real program with configs/default.yaml for a client that
// is not ours, and a service HelloService:1.0 that answers with what it got. Further
// replacements are as in DefaultConfig.
func StartForeign(t testing.TB, oldnew ...string) *Process {
	t.Helper()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		w.Header().Set("X-Token", r.Header.Get("X-Token"))
		if r.URL.Path != "/hello" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.Copy(w, r.Body) // an error is the client's
	}))
	t.Cleanup(service.Close)
	const noPort = "actuator: {listen: 127.0.0.1:0}"
	return Start(t, DefaultConfig(t, append([]string{
		"127.0.0.1:8889", service.Listener.Addr().String(), noPort, `actuator: {listen: "ACTUATOR"}`,
	}, oldnew...)...))
}

// Script runs commands of a README in the root of the repository, within four
// minutes, and returns what they print. When they fail, so does the test.
func (p *Process) Script(script string, env ...string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-eu", "-c", script)
	cmd.Dir, cmd.Env = Root(p.t), append(os.Environ(), env...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		p.t.Fatalf("%v\n%s%s\nthe runtime:\n%s", err, &out, &errs, p.Log())
	}
	return out.String()
}

// NeedsCommands skips the test unless these commands are there.
func NeedsCommands(t testing.TB, commands ...string) {
	t.Helper()
	for _, command := range commands {
		if _, err := exec.LookPath(command); err != nil {
			t.Skipf("SKIP: no %s in PATH", command)
		}
	}
}

// NeedsCache skips the test unless `make test` has put that folder below .cache, in
// the version that the file of the repository (package-lock.json, pom.xml) names.
func NeedsCache(t testing.TB, folder, file string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(Root(t), ".cache", folder, filepath.Base(file)))
	if err == nil && string(got) != ReadFile(t, file) {
		err = fmt.Errorf("it is not what %s names", file)
	}
	if err != nil {
		t.Skipf("SKIP: .cache/%s: %v (tools/test/npm.sh or tools/test/jars.sh fetches it)", folder, err)
	}
}

// OneBlock returns the only text between ``` of a Markdown file that begins with
// that line.
func OneBlock(t testing.TB, name, fence string) string {
	t.Helper()
	blocks := CodeBlocks(t, name, fence)
	if len(blocks) != 1 {
		t.Fatalf("%s has %d blocks %s, want 1", name, len(blocks), fence)
	}
	return blocks[0]
}
