// Command sequencer takes ids: quickly, or in order.
package main

import (
	"context"
	"errors"
	"flag"
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
	ids := client.Sequencer("sequencer_demo")
	seen := make(map[int64]bool)
	for range 1000 {
		id, err := ids.Next(ctx, "orders")
		if err != nil {
			return err
		}
		seen[id] = true
	}
	out.Printf("weak:   1000 calls, %d different ids", len(seen))

	var last int64
	ordered := true
	for range 10 {
		id, err := ids.NextInOrder(ctx, "invoices")
		if err != nil {
			return err
		}
		ordered = ordered && id > last
		last = id
	}
	out.Printf("strong: 10 calls, each id greater than the one before: %t", ordered)
	return nil
}
