package grpcapi_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ottavo-runtime/ottavo/grpcapi"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

func TestListenErrors(t *testing.T) {
	used, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = used.Close() }()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "no", "such", "folder.sock")
	for _, tc := range []struct {
		network, address string
		want             []string
	}{
		{"tcp", used.Addr().String(), []string{used.Addr().String(), "another process listens there", "ss -ltnp"}},
		{"tcp", "203.0.113.7:1", []string{"203.0.113.7:1", "does not have that address"}},
		{"tcp", "127.0.0.1", []string{"127.0.0.1", "missing port"}},
		{"unix", file, []string{file, "no socket", "remove it"}},
		{"unix", missing, []string{missing, "create the folder first"}},
		{"udp", "127.0.0.1:0", []string{`"udp"`, "tcp, tcp4, tcp6 or unix"}},
	} {
		l, err := grpcapi.Listen(tc.network, tc.address)
		if err == nil {
			_ = l.Close()
			t.Errorf("Listen(%s, %s) succeeded", tc.network, tc.address)
			continue
		}
		for _, part := range tc.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("Listen(%s, %s): %q does not have %q", tc.network, tc.address, err, part)
			}
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file that was no socket is now %q, %v", b, err)
	}
}

func TestUnixSocket(t *testing.T) {
	path := socketPath(t)
	stale(t, path)
	l, err := grpcapi.Listen("unix", path)
	if err != nil {
		t.Fatalf("a left-over socket was not replaced: %v", err)
	}
	srv := newServer(t, grpcapi.Options{Services: []grpcapi.Service{&fake{}}})
	serveOn(t, srv, l)
	client := runtimev1.NewRuntimeClient(dial(t, "unix:"+path))
	if _, err := client.SayHello(timeout(t), &runtimev1.SayHelloRequest{}); err != nil {
		t.Fatal(err)
	}

	// A second server is refused, and does no harm to the first.
	if l, err := grpcapi.Listen("unix", path); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), path) {
		t.Errorf("Listen on a living socket = %v, %v", l, err)
	}
	again := runtimev1.NewRuntimeClient(dial(t, "unix:"+path))
	if _, err := again.SayHello(timeout(t), &runtimev1.SayHelloRequest{}); err != nil {
		t.Errorf("after the second Listen: %v", err)
	}

	if err := srv.Shutdown(timeout(t)); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there after the end: %v", err)
	}
}

// stale leaves a socket behind that nobody listens on.
func stale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// Two that find the same left-over socket at once: one gets it, and keeps it.
func TestUnixSocketRace(t *testing.T) {
	dir := t.TempDir()
	for round := range 50 {
		path := filepath.Join(dir, fmt.Sprint(round))
		stale(t, path)
		listeners := make([]net.Listener, 2)
		var wg sync.WaitGroup
		for i := range listeners {
			wg.Go(func() {
				if l, err := grpcapi.Listen("unix", path); err == nil {
					listeners[i] = l
				} else if !errors.Is(err, syscall.EADDRINUSE) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if (listeners[0] == nil) == (listeners[1] == nil) {
			t.Fatalf("round %d: listeners %v, want exactly one", round, listeners)
		}
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatalf("round %d: the socket is not alive: %v", round, err)
		}
		_ = c.Close()
		for _, l := range listeners {
			if l != nil {
				_ = l.Close()
			}
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("left over: %q, %v", left, err)
	}
}
