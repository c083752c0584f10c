// Command bindings has a binding do things in another system: here, a folder.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

func main() {
	address := flag.String("address", ottavo.DefaultAddress, "where the runtime's API listens")
	flag.Parse()

	log.SetFlags(0)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	err := run(ctx, *address, log.New(os.Stdout, "", 0))
	cancel()
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, address string, out *log.Logger) (err error) {
	client, err := ottavo.Dial(address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	folder := client.Binding("bindings_demo")
	name := map[string]string{"fileName": "greeting.txt"}
	for _, step := range []struct {
		operation, data string
		show            bool
	}{{"create", "hello", false}, {"get", "", true}, {"delete", "", false}} {
		answer, err := folder.Invoke(ctx, step.operation, []byte(step.data), name)
		if err != nil {
			return err
		}
		if step.show {
			out.Printf("%s: %q", step.operation, answer.Data)
		} else {
			out.Printf("%s: done", step.operation)
		}
	}
	_, err = folder.Invoke(ctx, "dance", nil)
	if e, ok := errors.AsType[*ottavo.Error](err); ok {
		out.Printf("dance: %s", e.Code)
		return nil
	}
	return fmt.Errorf("a binding that dances: %w", err)
}
