package ottavo_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"time"

	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

func ExampleClient_SayHello() {
	ctx, client, end := exampleClient()
	defer end()
	greeting, err := client.SayHello(ctx, "hello", "eva")
	fmt.Println(greeting, err)
	// Output: hi, eva <nil>
}

// Two programs work on the same thing one after another.
func ExampleLock_Hold() {
	ctx, client, end := exampleClient()
	defer end()
	held, err := client.Lock("locks").Wait(ctx, "order-1", "worker-7", 10*time.Second)
	if err != nil {
		log.Panic(err)
	}
	// The work is done with held.Context(), which ends if the lock is lost.
	fmt.Println("got it:", held.Context().Err() == nil)
	_, err = client.Lock("locks").Hold(ctx, "order-1", "worker-8", 10*time.Second)
	fmt.Println("another one:", err)
	fmt.Println("given back:", held.Release())
	// Output:
	// got it: true
	// another one: ottavo: lock "order-1": somebody holds the lock
	// given back: <nil>
}

func ExampleConfiguration_Watch() {
	ctx, client, end := exampleClient()
	defer end()
	settings := client.Configuration("config")
	if err := settings.Save(ctx, ottavo.ConfigItem{Key: "greeting", Content: "hello"}); err != nil {
		log.Panic(err)
	}
	for item, err := range settings.Watch(ctx, "greeting") {
		if err != nil {
			log.Panic(err) // a program may go on: the watch does
		}
		fmt.Println(item.Key, "is", item.Content)
		if item.Content == "hello" {
			err = settings.Save(ctx, ottavo.ConfigItem{Key: "greeting", Content: "good morning"})
		} else {
			break
		}
		if err != nil {
			log.Panic(err)
		}
	}
	// Output:
	// greeting is hello
	// greeting is good morning
}

func ExamplePubSub_Subscribe() {
	ctx, client, end := exampleClient()
	defer end()
	events := client.PubSub("events")
	ctx, stop := context.WithCancel(ctx)
	err := events.Subscribe(ctx, "orders", func(_ context.Context, e *ottavo.Event) error {
		fmt.Println(e.Topic, string(e.Data))
		stop() // after the first one
		return nil
	}, ottavo.Subscription{Stands: func() {
		if err := events.Publish(ctx, "orders", []byte("3 apples")); err != nil {
			log.Panic(err)
		}
	}})
	fmt.Println(err)
	// Output:
	// orders 3 apples
	// <nil>
}

func ExampleSequencer_Next() {
	ctx, client, end := exampleClient()
	defer end()
	numbers := client.Sequencer("numbers")
	first, err := numbers.NextInOrder(ctx, "orders")
	if err != nil {
		log.Panic(err)
	}
	second, err := numbers.NextInOrder(ctx, "orders")
	fmt.Println(second > first, err)
	// Output: true <nil>
}

func ExampleFiles() {
	ctx, client, end := exampleClient()
	defer end()
	files := client.Files("files")
	if err := files.Put(ctx, "notes/today", strings.NewReader("buy apples")); err != nil {
		log.Panic(err)
	}
	for file, err := range files.List(ctx, "") {
		fmt.Println(file.Name, file.Size, err)
	}
	r, err := files.Get(ctx, "notes/today")
	if err != nil {
		log.Panic(err)
	}
	defer r.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(r)
	fmt.Println(string(text), err)
	_, err = files.Get(ctx, "notes/tomorrow")
	fmt.Println(errors.Is(err, ottavo.ErrNotFound))
	// Output:
	// notes/today 10 <nil>
	// buy apples <nil>
	// true
}

func ExampleBucket() {
	ctx, client, end := exampleClient()
	defer end()
	photos := client.Bucket("objects", "photos")
	if _, err := photos.Put(ctx, "2026/sea", strings.NewReader("blue"), ottavo.ObjectOptions{Metadata: map[string]string{"by": "eva"}}); err != nil {
		log.Panic(err)
	}
	photo, err := photos.Get(ctx, "2026/sea")
	if err != nil {
		log.Panic(err)
	}
	defer photo.Close() //nolint:errcheck // it was read
	content, err := io.ReadAll(photo)
	fmt.Println(string(content), photo.Size, photo.Metadata["by"], err)
	// Output: blue 4 eva <nil>
}

func ExampleCipher() {
	ctx, client, end := exampleClient()
	defer end()
	sealed, err := client.Cipher("keys").Encrypt(ctx, []byte("secret"), "")
	if err != nil {
		log.Panic(err)
	}
	opened, err := client.Cipher("keys").Decrypt(ctx, sealed.Data)
	fmt.Println(string(opened.Data), err)
	// Output: secret <nil>
}

func ExampleBinding() {
	ctx, client, end := exampleClient()
	defer end()
	folder := client.Binding("folder")
	name := map[string]string{"fileName": "a.txt"}
	if _, err := folder.Invoke(ctx, "create", []byte("hello"), name); err != nil {
		log.Panic(err)
	}
	answer, err := folder.Invoke(ctx, "get", nil, name)
	fmt.Println(string(answer.Data), err)
	// Output: hello <nil>
}
