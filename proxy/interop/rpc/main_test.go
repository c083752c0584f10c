package rpc

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/proxy"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a program may take for all that it does.
const patience = 5 * time.Minute

// peers is where the packages are that programs in testdata use.
const peers = "../../../.cache/rpc-peers/node_modules"

// node returns a command that runs a program of testdata, and is killed when it
// takes too long. It skips the test where programs cannot be run.
func node(t testing.TB, script string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		t.Skip("SKIPPED: node is not installed, so nothing was tested with foreign RPC programs")
	}
	if _, err := os.Stat(peers); err != nil {
		t.Skip("SKIPPED: the npm packages of proxy/interop/rpc/testdata are not installed (tools/test/npm.sh does it), so nothing was tested with foreign RPC programs")
	}
	modules, err := filepath.Abs(peers)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, append([]string{filepath.Join("testdata", script)}, args...)...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules, "NODE_NO_WARNINGS=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it ends with the test, however that ends
	cmd.WaitDelay = time.Second
	return cmd
}

// server starts a program of testdata that prints its port, and ends it with the
// test, by when it must have complained about nothing. It returns its address.
func server(t testing.TB, script string, args ...string) string {
	t.Helper()
	cmd := node(t, script, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	t.Cleanup(func() {
		if errs.Len() > 0 {
			t.Errorf("%s complains:\n%s", script, errs.String())
		}
	})
	return serve(t, cmd)
}

// serve starts a command that prints its port, on a line of its own, and ends with
// its standard input. That is at the end of the test. It returns its address.
func serve(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", cmd, err)
		}
	})
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said = append(said, lines.Text())
		if _, err := strconv.ParseUint(lines.Text(), 10, 16); err == nil {
			return "127.0.0.1:" + lines.Text()
		}
	}
	t.Fatalf("%v has not started: %q", cmd, said)
	return ""
}

// run returns what a program prints; it has to succeed.
func run(t testing.TB, script string, args ...string) string {
	t.Helper()
	cmd := node(t, script, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || errs.Len() > 0 {
		t.Errorf("%s %v: %v\n%s%s", script, args, err, out, errs.String())
	}
	return string(out)
}

// serves returns a route for the requests to a service.
func serves(service, cluster string) config.Route {
	return config.Route{
		Match: config.Match{Headers: []config.HeaderMatch{{Name: "service", Value: service}}},
		Route: &config.RouteAction{ClusterName: cluster},
	}
}

// start runs a core that speaks the protocols. Whatever is done to it, it makes
// no mistake itself.
func start(t testing.TB, s *config.Snapshot, protocols ...protocol.Protocol) *proxytest.Server {
	t.Helper()
	table, err := protocol.NewTable(protocols...)
	if err != nil {
		t.Fatal(err)
	}
	srv := proxytest.Start(t, nil, s, proxytest.With(func(o *proxy.Options) { o.Protocols = table }))
	t.Cleanup(func() {
		for _, rec := range srv.Records.All() {
			if rec.Err != nil && stream.AsError(rec.Err).Kind == stream.Internal {
				t.Errorf("%s %s: %v", rec.Method, rec.Path, rec.Err)
			}
		}
		if log := srv.Log.String(); strings.Contains(log, "level=ERROR") {
			t.Errorf("the log has errors:\n%s", log)
		}
	})
	return srv
}
