// Command file writes, lists, reads and deletes a file, as streams: the size does
// not matter.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
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
	files := client.Files("file_demo")
	// 16 MiB that are made while they are sent.
	content := io.LimitReader(lines{}, 16<<20)
	if err := files.Put(ctx, "reports/2026/sales.txt", content); err != nil {
		return err
	}
	info, err := files.Stat(ctx, "reports/2026/sales.txt")
	if err != nil {
		return err
	}
	out.Printf("written: %s, %d MiB", info.Name, info.Size>>20)
	for file, err := range files.List(ctx, "reports") {
		if err != nil {
			return err
		}
		out.Printf("listed:  %s", file.Name)
	}

	r, err := files.Get(ctx, "reports/2026/sales.txt")
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, r)
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	out.Printf("read:    %d MiB", n>>20)

	if err := files.Delete(ctx, "reports/2026/sales.txt"); err != nil {
		return err
	}
	if _, err := files.Get(ctx, "reports/2026/sales.txt"); !errors.Is(err, ottavo.ErrNotFound) {
		return fmt.Errorf("a file that was deleted: %w", err)
	}
	out.Print("deleted: reading it again is NOT_FOUND")
	return nil
}

// lines yields the same line for ever.
type lines struct{}

func (lines) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "3 apples\n"[i%9]
	}
	return len(p), nil
}
