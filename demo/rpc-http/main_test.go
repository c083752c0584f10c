package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/demo/internal/ottavotest"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

const serviceAddress = "127.0.0.1:8889" // in configs/default.yaml

// startService runs the service on a free port until the test ends, and returns
// its address.
func startService(t *testing.T) string {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := serve(ctx, "127.0.0.1:0", log.New(writer, "", 0))
		_ = writer.CloseWithError(errors.Join(err, io.EOF))
		ended <- err
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the service ended with %v", err)
		}
	})
	said := make([]byte, 200)
	n, err := reader.Read(said)
	if err != nil {
		t.Fatalf("the service does not start: %v", err)
	}
	_, address, ok := strings.Cut(strings.TrimSpace(string(said[:n])), "http://")
	if !ok {
		t.Fatalf("the service says %q, want its address", said[:n])
	}
	return address
}

func timeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// The demo prints what its README says.
func TestDemo(t *testing.T) {
	want := ottavotest.CodeBlocks(t, "demo/rpc-http/README.md", "```")
	if len(want) != 1 {
		t.Fatalf("README.md has %d blocks of output, want 1", len(want))
	}
	rt := runtimetest.Start(t, ottavotest.DefaultConfig(t, serviceAddress, startService(t)))
	var out strings.Builder
	if err := call(timeout(t), rt.Addr(t, rt.Config.Runtime.Listener), "eva", log.New(&out, "", 0)); err != nil {
		t.Fatalf("%v\nafter\n%s", err, &out)
	}
	if out.String() != want[0] {
		t.Errorf("printed\n%swant, as in README.md\n%s", &out, want[0])
	}

	// The same way by HTTP, as README.md says.
	req, err := http.NewRequestWithContext(timeout(t), http.MethodGet, "http://"+rt.Addr(t, "egress_runtime_http")+"/hello?name=eva", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("id", serviceID)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "hello, eva" {
		t.Errorf("over HTTP: %q, %v", body, err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// A service that does not run is an error that says where it was looked for.
func TestNoService(t *testing.T) {
	rt := runtimetest.Start(t, ottavotest.DefaultConfig(t, serviceAddress, "127.0.0.1:1"))
	err := call(timeout(t), rt.Addr(t, rt.Config.Runtime.Listener), "eva", log.New(io.Discard, "", 0))
	if e, ok := errors.AsType[*ottavo.Error](err); !ok || e.Code != codes.Unavailable || !strings.Contains(e.Message, "127.0.0.1:1") {
		t.Errorf("%v, want Unavailable with the address", err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"listener"}} {
		if err := run(t.Context(), args); err == nil || !strings.Contains(err.Error(), "rpc-http caller") {
			t.Errorf("%q: %v, want the usage", args, err)
		}
	}
}
