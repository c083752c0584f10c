// Command pubsub publishes events, and handles them: over a stream that it opens,
// or on a port where the runtime brings them.
//
//	pubsub subscriber [-callbacks 127.0.0.1:9999]
//	pubsub publisher
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"

	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

const (
	broker = "pub_subs_demo"
	topic  = "orders"
)

func main() {
	address := flag.String("address", ottavo.DefaultAddress, "where the runtime's API listens")
	callbacks := flag.String("callbacks", "", "where the subscriber listens, instead of opening a stream (app.grpc_callback_port of the runtime)")
	flag.Parse()

	log.SetFlags(0)
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	out := log.New(os.Stdout, "", 0)
	err := fmt.Errorf("usage: %s [flags] subscriber|publisher", os.Args[0])
	switch {
	case flag.Arg(0) == "publisher":
		err = publish(ctx, *address, out)
	case flag.Arg(0) == "subscriber" && *callbacks != "":
		err = listen(ctx, *callbacks, out)
	case flag.Arg(0) == "subscriber":
		err = subscribe(ctx, *address, out)
	}
	cancel()
	if err != nil {
		log.Fatal(err)
	}
}

func publish(ctx context.Context, address string, out *log.Logger) (err error) {
	client, err := ottavo.Dial(address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	for _, order := range []string{`{"item":"apples","n":3}`, `{"item":"pears","n":1}`, `{"item":"nonsense"}`} {
		if err := client.PubSub(broker).Publish(ctx, topic, []byte(order), ottavo.Publication{ContentType: "application/json"}); err != nil {
			return err
		}
		out.Printf("published %s", order)
	}
	return nil
}

// subscribe handles events that come over a stream, until ctx ends. It outlives a
// restart of the runtime.
func subscribe(ctx context.Context, address string, out *log.Logger) (err error) {
	client, err := ottavo.Dial(address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return client.PubSub(broker).Subscribe(ctx, topic, handler(out), ottavo.Subscription{
		Stands: func() { out.Print("subscribed") },
		Lost:   func(err error) { out.Print(err) },
	})
}

// listen handles events that the runtime brings, until ctx ends.
func listen(ctx context.Context, address string, out *log.Logger) error {
	var callbacks ottavo.Callbacks
	if err := callbacks.On(broker, topic, handler(out)); err != nil {
		return err
	}
	out.Print("listening")
	return callbacks.ListenAndServe(ctx, address)
}

// handler is the same for both. Its error says what becomes of the event.
func handler(out *log.Logger) ottavo.Handler {
	seen := make(map[string]bool) // the broker of the demo delivers one after another
	return func(_ context.Context, e *ottavo.Event) error {
		switch text := string(e.Data); {
		case text == `{"item":"nonsense"}`:
			out.Printf("dropped   %s", text)
			return ottavo.ErrDrop
		case text == `{"item":"pears","n":1}` && !seen[e.ID]:
			seen[e.ID] = true
			out.Printf("again     %s", text)
			return errors.New("no pears now")
		default:
			out.Printf("handled   %s", text)
			return nil
		}
	}
}
