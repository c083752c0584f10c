package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A registry that does not answer, or that lacks something, keeps `make test` from
// nothing but the tests that want it, and not for long.
func TestInstallersAreBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		script, command string
		files           map[string]string // that it looks for
		hangs, fails    []string
	}{
		{
			script: "apt.sh", command: "apt-get",
			hangs: []string{"no time left to install redis-server (OTTAVO_INSTALL_LIMIT is 2 s)", "no time left to install curl"},
			fails: []string{"could not install redis-server; tests that need it will be skipped", "could not install curl", "no such thing"},
		},
		{
			script: "npm.sh", command: "npm",
			files: map[string]string{
				"proxy/interop/rpc/testdata/package.json": "{}", "proxy/interop/rpc/testdata/package-lock.json": "{}",
				"demo/node/package.json": "{}", "demo/node/package-lock.json": "{}",
				"demo/layotto/js-sdk/package.json": "{}", "demo/layotto/js-sdk/package-lock.json": "{}",
			},
			hangs: []string{"no time left to install the npm packages of demo/node (OTTAVO_INSTALL_LIMIT is 2 s)"},
			fails: []string{"could not install the npm packages of proxy/interop/rpc/testdata", "could not install the npm packages of demo/node", "no such thing"},
		},
		{
			script: "jars.sh", command: "mvn",
			files: map[string]string{
				"internal/testserver/testdata/jars/one/pom.xml": "<a/>", "proxy/interop/rpc/testdata/java/pom.xml": "<b/>",
				"demo/java/java-client/pom.xml": "<c/>", "demo/layotto/java-sdk/pom.xml": "<d/>",
			},
			hangs: []string{"no time left to fetch the jars of java (OTTAVO_INSTALL_LIMIT is 2 s)"},
			fails: []string{"could not fetch the jars of one", "could not fetch the jars of java-client", "no such thing"},
		},
	} {
		for how, want := range map[string][]string{"hangs": tt.hangs, "fails": tt.fails} {
			t.Run(tt.script+" "+how, func(t *testing.T) {
				t.Parallel()
				if tt.script == "apt.sh" && os.Geteuid() != 0 {
					t.Skip("SKIP: only root installs packages")
				}
				text := "exec sleep 600"
				if how == "fails" {
					text = "echo no such thing >&2; exit 100"
				}
				out := installer(t, tt.script, tt.command, text, tt.files)
				for _, line := range want {
					if !strings.Contains(out, line) {
						t.Errorf("it does not say %q but\n%s", line, out)
					}
				}
			})
		}
	}
}

// installer runs a script in a tree that has these files only, on a machine that has
// just what a script needs and the command, which does what text says.
func installer(t *testing.T, script, command, text string, files map[string]string) string {
	t.Helper()
	root, bin := t.TempDir(), t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	source, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(root, "tools/test", script), string(source), 0o700)
	for name, text := range files {
		write(filepath.Join(root, name), text, 0o600)
	}
	write(filepath.Join(bin, command), "#!/bin/sh\n"+text+"\n", 0o700)
	write(filepath.Join(bin, "java"), "#!/bin/sh\n", 0o700)
	for _, tool := range []string{"bash", "sh", "sleep", "timeout", "mktemp", "rm", "mv", "cp", "cmp", "mkdir", "tail", "dirname", "basename", "cat"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Skipf("SKIP: no %s in PATH", tool)
		}
		if err := os.Symlink(path, filepath.Join(bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(root, "tools/test", script))
	cmd.Env = []string{"PATH=" + bin, "TMPDIR=" + t.TempDir(), "OTTAVO_INSTALL_LIMIT=2"}
	if strings.Contains(text, "exit") {
		cmd.Env[2] = "OTTAVO_INSTALL_LIMIT=100"
	}
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	left, err := filepath.Glob(filepath.Join(root, ".cache", "*.*"))
	if err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
	return string(out)
}
