//go:build full

package builtin

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/components/binding/bindingtest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// inOut puts a binding to both suites: what it writes is what it reads.
func inOut(t *testing.T, open func(t *testing.T) binding.Binding, request binding.Request) {
	t.Helper()
	bindingtest.RunOutput(t, bindingtest.Output{New: open, Request: request})
	bindingtest.RunInput(t, bindingtest.Input{New: open, Cause: func(t *testing.T) {
		b := open(t)
		if _, err := b.(binding.Output).Invoke(t.Context(), &request); err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}})
}

func TestWideKafkaBinding(t *testing.T) {
	matrix.Wide(t, "binding", "kafka", "Kafka 4.1")
	s := testserver.Kafka(t, "secret")
	inOut(t, func(t *testing.T) binding.Binding {
		return openBinding(t, "kafka", map[string]any{
			"brokers": s.Addr, "topics": "orders", "publishTopic": "orders", "consumerGroup": "wide", "authType": "none", "initialOffset": "oldest",
		})
	}, binding.Request{Operation: "create", Data: []byte("x")})
}

// upper is a program that answers with what it reads, in capitals.
const upper = `package main

import (
	"bytes"
	"io"
	"os"
)

func main() {
	data, err := io.ReadAll(os.Stdin)
	if err != nil || len(data) == 0 {
		os.Exit(1)
	}
	os.Stdout.Write(bytes.ToUpper(data))
}
`

func TestWideWASM(t *testing.T) {
	matrix.Wide(t, "binding", "wasm", "a program compiled by Go")
	wideOnly(t)
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "main.wasm")
	if err := os.WriteFile(source, []byte(upper), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", binary, source)
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("compiling: %v\n%s", err, out)
	}
	bindingtest.RunOutput(t, bindingtest.Output{
		New: func(t *testing.T) binding.Binding {
			return openBinding(t, "wasm", map[string]any{"url": "file://" + binary})
		},
		Request: binding.Request{Operation: "execute", Data: []byte("small")},
		Want:    "SMALL",
		Wrong:   &binding.Request{Operation: "execute"},
	})
}
