// Command lifecycle gives a running component new settings.
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
	for _, greeting := range []string{"good morning", "greeting"} {
		before, err := client.SayHello(ctx, "helloworld", "eva")
		if err != nil {
			return err
		}
		out.Print(before)
		if err := client.ApplyConfiguration(ctx, "hellos", "helloworld", map[string]string{"hello": greeting}); err != nil {
			return err
		}
	}
	after, err := client.SayHello(ctx, "helloworld", "eva")
	if err != nil {
		return err
	}
	out.Print(after)
	err = client.ApplyConfiguration(ctx, "lock", "lock_demo", map[string]string{"a": "b"})
	if e, ok := errors.AsType[*ottavo.Error](err); ok {
		out.Printf("lock_demo: %s", e.Code)
		return nil
	}
	return fmt.Errorf("a lock that can change: %w", err)
}
