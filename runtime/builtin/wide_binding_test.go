//go:build full

package builtin

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	hessian "github.com/apache/dubbo-go-hessian2"

	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/components/binding/bindingtest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// inOut puts a binding to both suites: what it writes is what it reads.
func inOut(t *testing.T, open func(t *testing.T) binding.Binding, request binding.Request) {
	t.Helper()
	bindingtest.RunOutput(t, bindingtest.Output{New: open, Request: request})
	bindingtest.RunInput(t, bindingtest.Input{New: open, Cause: func(t *testing.T) { send(t, open(t), request) }})
}

// send makes one call of an output, and closes it.
func send(t *testing.T, b binding.Binding, request binding.Request) {
	t.Helper()
	if _, err := b.(binding.Output).Invoke(t.Context(), &request); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func TestWideKafkaBinding(t *testing.T) {
	matrix.Wide(t, "binding", "kafka", "Kafka 4.1")
	s := testserver.Kafka(t, "secret")
	open := func(t *testing.T) binding.Binding {
		return openBinding(t, "kafka", map[string]any{
			"brokers": s.Addr, "topics": "orders", "publishTopic": "orders", "consumerGroup": "wide", "authType": "none", "initialOffset": "oldest",
		})
	}
	request := binding.Request{Operation: "create", Data: []byte("x")}
	first := open(t)
	testserver.Eventually(t, testserver.Patience, func() error { // it makes the topic, which may take the broker longer than the client waits
		_, err := first.(binding.Output).Invoke(t.Context(), &request)
		return err
	})
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	inOut(t, open, request)
}

// packing is a process of one task, of the type "pack".
const packing = `<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:zeebe="http://camunda.org/schema/zeebe/1.0" targetNamespace="test">
<process id="order" isExecutable="true">
<startEvent id="begin"/><sequenceFlow id="to" sourceRef="begin" targetRef="task"/>
<serviceTask id="task"><extensionElements><zeebe:taskDefinition type="pack"/></extensionElements></serviceTask>
<sequenceFlow id="from" sourceRef="task" targetRef="done"/><endEvent id="done"/>
</process></definitions>`

func TestWideZeebe(t *testing.T) {
	s := testserver.Zeebe(t)
	gateway := map[string]any{"gatewayAddr": s.Addr, "usePlainTextConnection": "true"}
	command := func(t *testing.T) binding.Binding { return openBinding(t, "zeebe.command", gateway) }
	order := binding.Request{Operation: "create-instance", Data: []byte(`{"bpmnProcessId": "order"}`)}
	send(t, command(t), binding.Request{Operation: "deploy-process", Data: []byte(packing), Metadata: map[string]string{"fileName": "order.bpmn"}})
	t.Run("command", func(t *testing.T) {
		matrix.Wide(t, "binding", "zeebe.command", "Zeebe 8.3")
		bindingtest.RunOutput(t, bindingtest.Output{
			New: command, Request: order, Want: "order",
			Wrong: &binding.Request{Operation: "create-instance", Data: []byte(`{"bpmnProcessId": "unknown"}`)},
		})
	})
	t.Run("jobworker", func(t *testing.T) {
		matrix.Wide(t, "binding", "zeebe.jobworker", "Zeebe 8.3")
		bindingtest.RunInput(t, bindingtest.Input{
			New: func(t *testing.T) binding.Binding {
				meta := maps.Clone(gateway)
				meta["jobType"], meta["workerName"] = "pack", "worker"
				return openBinding(t, "zeebe.jobworker", meta)
			},
			Cause: func(t *testing.T) { send(t, command(t), order) },
		})
	})
}

func TestWideDubbo(t *testing.T) {
	matrix.Wide(t, "binding", "dubbo", "Dubbo 2.7 in Java")
	s := testserver.Dubbo(t)
	host, port, _ := strings.Cut(s.Addr, ":")
	// The data are what Dubbo's encoding has of a call: the types of its arguments, and those.
	e := hessian.NewEncoder()
	for _, part := range []string{"Ljava/lang/String;", "you"} {
		if err := e.Encode(part); err != nil {
			t.Fatal(err)
		}
	}
	call := func(method string) binding.Request {
		return binding.Request{Operation: "get", Data: e.Buffer(), Metadata: map[string]string{
			"interfaceName": testserver.DubboService, "methodName": method, "providerHostname": host, "providerPort": port,
		}}
	}
	wrong := call("unknown")
	bindingtest.RunOutput(t, bindingtest.Output{
		New:     func(t *testing.T) binding.Binding { return openBinding(t, "dubbo", nil) },
		Request: call("hello"), Want: "hello you", Wrong: &wrong,
	})
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
