// Command objects works with an object store: objects with metadata and tags,
// parts of them, lists, copies.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"os"
	"strings"
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
	photos := client.Bucket("oss_demo", "photos")
	_, err = photos.Put(ctx, "2026/sea", strings.NewReader("blue and wide"), ottavo.ObjectOptions{
		Metadata: map[string]string{"by": "eva"}, Tags: map[string]string{"place": "sea"},
	})
	if err != nil {
		return err
	}
	text, photo, err := read(ctx, photos, "2026/sea")
	if err != nil {
		return err
	}
	out.Printf("read:    %q, by %s, %d bytes", text, photo.Metadata["by"], photo.Size)
	if text, _, err = read(ctx, photos, "2026/sea", ottavo.Part{Start: 9}); err != nil {
		return err
	}
	out.Printf("a part:  %q", text)

	if err := photos.Copy(ctx, "", "2026/sea", "2026/sea-copy"); err != nil {
		return err
	}
	for object, err := range photos.List(ctx, "2026/") {
		if err != nil {
			return err
		}
		out.Printf("listed:  %s, %d bytes", object.Key, object.Size)
	}
	if err := photos.SetTags(ctx, "2026/sea", map[string]string{"place": "coast"}); err != nil {
		return err
	}
	tags, err := photos.Tags(ctx, "2026/sea")
	if err != nil {
		return err
	}
	out.Printf("tagged:  place is %s", tags["place"])
	if err := photos.Delete(ctx, "2026/sea", "2026/sea-copy"); err != nil {
		return err
	}
	there, err := photos.Exists(ctx, "2026/sea")
	out.Printf("deleted: exists: %t", there)
	return err
}

func read(ctx context.Context, b *ottavo.Bucket, key string, part ...ottavo.Part) (string, *ottavo.Object, error) {
	object, err := b.Get(ctx, key, part...)
	if err != nil {
		return "", nil, err
	}
	text, err := io.ReadAll(object)
	return string(text), object, errors.Join(err, object.Close())
}
