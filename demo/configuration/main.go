// Command configuration saves items of a configuration store and is told of every
// change, its own and everybody else's.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"os"
	"os/signal"
	"time"

	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

func main() {
	address := flag.String("address", ottavo.DefaultAddress, "where the runtime's API listens")
	watchOnly := flag.Bool("watch", false, "only watch, until Ctrl-C")
	flag.Parse()

	log.SetFlags(0)
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	out, do := log.New(os.Stdout, "", 0), run
	if *watchOnly {
		do = watch
	} else {
		ctx, cancel = context.WithTimeout(ctx, 20*time.Second)
	}
	err := do(ctx, *address, out)
	cancel()
	if err != nil {
		log.Fatal(err)
	}
}

// watch prints every item, and what becomes of it, until ctx ends. It outlives a
// restart of the runtime.
func watch(ctx context.Context, address string, out *log.Logger) (err error) {
	client, err := ottavo.Dial(address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	for item, err := range client.Configuration("config_demo").Watch(ctx) {
		if err != nil {
			out.Print(err)
			continue
		}
		show(out, item)
	}
	return nil
}

func show(out *log.Logger, item ottavo.ConfigItem) {
	if item.Deleted {
		out.Printf("%s is gone", item.Key)
		return
	}
	out.Printf("%s = %q", item.Key, item.Content)
}

// run changes an item each time it hears of the last change.
func run(ctx context.Context, address string, out *log.Logger) (err error) {
	client, err := ottavo.Dial(address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	// Items of a group and a label are apart from others with the same key.
	settings := client.Configuration("config_demo").In(ottavo.Scope{Group: "shop", Label: "prod"})
	save := func(content string) error {
		return settings.Save(ctx, ottavo.ConfigItem{Key: "greeting", Content: content, Tags: map[string]string{"by": "eva"}})
	}
	if err := save("hello"); err != nil {
		return err
	}
	for item, err := range settings.Watch(ctx, "greeting") {
		if err != nil {
			return err
		}
		show(out, item)
		switch {
		case item.Deleted:
			return nil
		case item.Content == "hello":
			err = save("good morning")
		default:
			err = settings.Delete(ctx, "greeting")
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}
