package http2

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// listen serves every connection to a free port of this machine and returns
// its address.
func listen(t testing.TB, opts protocol.ServerOptions, h stream.HandlerFunc) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- nc
		}
	}()
	// serve registers cleanups, which must happen on a goroutine that the
	// test waits for.
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			select {
			case nc := <-accepted:
				serve(t, nc, opts, handlerFunc(h))
			case <-stopped:
				return
			}
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-stopped; <-served })
	return l.Addr().String()
}

// h2specBinary builds the conformance tester, which has a module of its own.
func h2specBinary(t *testing.T) string {
	if testing.Short() {
		t.Skip("h2spec is left out with -short")
	}
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(t.TempDir(), "h2spec")
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin, "github.com/summerwind/h2spec/cmd/h2spec")
	cmd.Dir = filepath.Join(root, "tools", "h2spec")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: h2spec cannot be built here, so conformance was NOT tested: %v\n%s", err, out)
	}
	return bin
}

// TestH2Spec has every case of h2spec pass, strict ones included.
func TestH2Spec(t *testing.T) {
	bin := h2specBinary(t)
	addr := listen(t, protocol.ServerOptions{}, func(_ context.Context, req *stream.Request) (*stream.Response, error) {
		if req.Body != nil {
			// An answer that does not wait for the request would make its
			// mistakes irrelevant.
			if _, err := io.Copy(io.Discard, req.Body); err != nil {
				return nil, err
			}
		}
		// Long enough for the cases that look at windows.
		return answer(200, strings.Repeat("h2spec ", 100)), nil
	})
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	args := []string{"-h", host, "-p", port, "--strict", "-o", "3"}
	if only := os.Getenv("H2SPEC"); only != "" {
		args = append(args, strings.Fields(only)...)
	}
	out, err := exec.CommandContext(ctx, bin, args...).CombinedOutput()
	if err != nil {
		t.Errorf("h2spec: %v", err)
	}
	text := string(out)
	if err != nil || testing.Verbose() {
		t.Log(text)
	}
	last := text[strings.LastIndex(strings.TrimSpace(text), "\n")+1:]
	if !strings.Contains(last, " 0 skipped, 0 failed") {
		t.Errorf("not all cases passed: %s", last)
	}
}
