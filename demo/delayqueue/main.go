// Command delayqueue publishes an event that comes later.
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
	const delay = time.Second
	queue := client.PubSub("pub_subs_demo")
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var published time.Time
	var failed error
	err = queue.Subscribe(ctx, "reminders", func(_ context.Context, e *ottavo.Event) error {
		out.Printf("received:  %q, not before its time: %t", e.Data, time.Since(published) >= delay)
		stop()
		return nil
	}, ottavo.Subscription{Stands: func() {
		published = time.Now()
		if _, failed = queue.PublishLater(ctx, "reminders", []byte("call eva"), delay); failed != nil {
			stop()
			return
		}
		out.Printf("published: for in %s", delay)
	}})
	return errors.Join(failed, err)
}
