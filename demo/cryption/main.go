// Command cryption encrypts and decrypts with a key that the application never
// sees.
package main

import (
	"bytes"
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
	keys := client.Cipher("cryption_demo")
	first, err := keys.Encrypt(ctx, []byte("4711"), "")
	if err != nil {
		return err
	}
	second, err := keys.Encrypt(ctx, []byte("4711"), "")
	if err != nil {
		return err
	}
	out.Printf("encrypted: with the key %q; twice the same text gives the same: %t", first.KeyID, bytes.Equal(first.Data, second.Data))
	plain, err := keys.Decrypt(ctx, first.Data)
	if err != nil {
		return err
	}
	out.Printf("decrypted: %s", plain.Data)
	first.Data[len(first.Data)-1] ^= 1
	if _, err := keys.Decrypt(ctx, first.Data); err == nil {
		return errors.New("what was changed was decrypted")
	}
	out.Print("changed:   refused")
	return nil
}
