package main

import (
	"context"
	"errors"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/demo/internal/ottavotest"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

// component runs the demo's component until stop is called, or the test ends.
func component(t *testing.T, socket string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		if err := run(ctx, socket, log.New(t.Output(), "", 0)); err != nil {
			t.Error(err)
		}
	})
	ottavotest.Eventually(t, 2*time.Minute, "the component listens", func() error {
		_, err := os.Stat(socket)
		return err
	})
	stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// The sample of Layotto's runs with the component beside it, also when the
// component goes away and comes back.
func TestDemo(t *testing.T) {
	folder, err := os.MkdirTemp("", "demo") // a socket's path has 108 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder) //nolint:errcheck // a temporary folder
	socket := filepath.Join(folder, "hello-grpc-demo.sock")
	stop := component(t, socket)
	file := ottavotest.ReadFile(t, "configs/layotto/config_hello_component.json")
	rt := runtimetest.Start(t, strings.Replace(file, "127.0.0.1:34904", "127.0.0.1:0", 1), runtimetest.Options{ComponentSockets: folder})
	client, err := ottavo.Dial(rt.Addr(t, "grpc"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // nothing depends on it
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	greet := func() error {
		text, err := client.SayHello(ctx, "helloworld", "eva")
		if err == nil && text != "hello, eva" {
			err = errors.New(text)
		}
		return err
	}
	if err := greet(); err != nil {
		t.Fatal(err)
	}
	health := func(want string) func() error {
		return func() error {
			for _, c := range rt.Status().Components {
				if c.Name == "helloworld" && string(c.Status) == want {
					return nil
				}
			}
			return errors.New("it is not")
		}
	}
	stop()
	ottavotest.Eventually(t, 2*time.Minute, "the component is down", health("DOWN"))
	if err := greet(); err == nil || !strings.Contains(err.Error(), socket) {
		t.Errorf("a call without the component: %v, want an error that names the socket", err)
	}
	component(t, socket)
	ottavotest.Eventually(t, 2*time.Minute, "the component is up", health("UP"))
	if err := greet(); err != nil {
		t.Error(err)
	}
}

// The program says where it has looked.
func TestValidateWithoutComponent(t *testing.T) {
	t.Setenv("LAYOTTO_COMPONENTS_SOCKETS_FOLDER", t.TempDir())
	config := filepath.Join(ottavotest.Root(t), "configs/layotto/config_hello_component.json")
	ottavotest.Binary(t) // making it takes longer than Run waits
	out, _, err := ottavotest.Run(t, "validate", "-c", config)
	for _, want := range []string{`unknown type "hello-grpc-demo"`, "hello-grpc-demo.sock", os.Getenv("LAYOTTO_COMPONENTS_SOCKETS_FOLDER"), "/tmp/dapr-components-sockets"} {
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("validate: %v, %s; want an error with %s", err, out, want)
		}
	}
}
