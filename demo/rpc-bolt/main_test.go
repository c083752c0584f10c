package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/demo/internal/ottavotest"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

// printed is what the service has printed.
type printed struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// startService runs the service on a free port until the test ends, and returns
// its address.
func startService(t *testing.T) (address string, out *printed) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	out = new(printed)
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, "127.0.0.1:0", log.New(out, "", 0)) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the service ended with %v", err)
		}
	})
	ottavotest.Eventually(t, 2*time.Minute, "the service says where it listens", func() error {
		line, _, ok := strings.Cut(out.String(), "\n")
		if !ok {
			return errors.New("it is silent")
		}
		address = strings.TrimPrefix(line, "the service listens on ")
		return nil
	})
	return address, out
}

// start runs the runtime with ottavo.yaml on free ports, and the service there.
func start(t *testing.T, service string) *runtimetest.Runtime {
	t.Helper()
	file := ottavotest.ReadFile(t, "demo/rpc-bolt/ottavo.yaml")
	for old, now := range map[string]string{"127.0.0.1:12200": service, "127.0.0.1:12220": "127.0.0.1:0", "127.0.0.1:34904": "127.0.0.1:0", "127.0.0.1:34999": "127.0.0.1:0"} {
		if !strings.Contains(file, old) {
			t.Fatalf("ottavo.yaml does not hold %q: change the test with it", old)
		}
		file = strings.ReplaceAll(file, old, now)
	}
	return runtimetest.Start(t, file)
}

func timeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// The demo prints what its README says.
func TestDemo(t *testing.T) {
	want := ottavotest.CodeBlocks(t, "demo/rpc-bolt/README.md", "```")
	if len(want) != 1 {
		t.Fatalf("README.md has %d blocks of output, want 1", len(want))
	}
	service, said := startService(t)
	rt := start(t, service)
	var out strings.Builder
	if err := call(timeout(t), rt.Addr(t, rt.Config.Runtime.Listener), "eva", log.New(&out, "", 0)); err != nil {
		t.Fatalf("%v\nafter\n%s", err, &out)
	}
	if out.String() != want[0] {
		t.Errorf("printed\n%swant, as in README.md\n%s", &out, want[0])
	}
	ottavotest.Eventually(t, 2*time.Minute, "the one-way call arrives", func() error {
		if !strings.Contains(said.String(), "noted: seen eva\n") {
			return errors.New(said.String())
		}
		return nil
	})
}

// A service that does not run is an error.
func TestNoService(t *testing.T) {
	rt := start(t, "127.0.0.1:1")
	err := call(timeout(t), rt.Addr(t, rt.Config.Runtime.Listener), "eva", log.New(io.Discard, "", 0))
	if e, ok := errors.AsType[*ottavo.Error](err); !ok || e.Code != codes.Unavailable || !strings.Contains(e.Message, "bolt error code 6") {
		t.Errorf("%v, want Unavailable with Bolt's status", err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"listener"}} {
		if err := run(t.Context(), args); err == nil || !strings.Contains(err.Error(), "rpc-bolt caller") {
			t.Errorf("%q: %v, want the usage", args, err)
		}
	}
}

// FuzzRead: whatever comes is a request or an error.
func FuzzRead(f *testing.F) {
	f.Add([]byte("\x01\x01\x00\x01\x01\x00\x00\x00\x02\x01\x00\x00\x0b\xb8\x00\x01\x00\x16\x00\x00\x00\x02C\x00\x00\x00\x02k1\x00\x00\x00\x02v1\x00\x00\x00\x02k2\x00\x00\x00\x00\x01\x02"))
	f.Add([]byte("\x01\x01\x00\x00\x01\x00\x00\x00\x04\x01\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := read(bytes.NewReader(b))
		if err == nil && (m == nil || len(m.content) > len(b)) {
			t.Errorf("%q: %+v", b, m)
		}
	})
}
