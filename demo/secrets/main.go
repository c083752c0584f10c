// Command secrets reads secrets from a store.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"maps"
	"os"
	"slices"
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
	secrets := client.Secrets("secret_demo")
	secret, err := secrets.Get(ctx, "db_password")
	if err != nil {
		return err
	}
	// A program would use it; this one only says that it has it.
	out.Printf("db_password: %d characters", len(secret["db_password"]))
	all, err := secrets.GetAll(ctx)
	if err != nil {
		return err
	}
	out.Printf("all:         %s", strings.Join(slices.Sorted(maps.Keys(all)), ", "))
	return nil
}
