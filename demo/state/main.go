// Command state shows what an application can do with a state store: save and
// read, change only what nobody else has changed, let a value expire, do several
// writes as one, delete.
//
// It works with any store that has etags, time to live and transactions: change
// the backend in the runtime's configuration, and nothing here.
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
	store := flag.String("store", "state_demo", "name of the state store in the runtime's configuration")
	flag.Parse()

	log.SetFlags(0)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	err := run(ctx, *address, *store, log.New(os.Stdout, "", 0))
	cancel()
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, address, store string, out *log.Logger) (err error) {
	client, err := ottavo.Dial(address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	s := client.State(store)
	for _, step := range []func(context.Context, *ottavo.State, *log.Logger) error{saveAndRead, conflict, expire, transact, remove} {
		if err := step(ctx, s, out); err != nil {
			return err
		}
	}
	return nil
}

func saveAndRead(ctx context.Context, s *ottavo.State, out *log.Logger) error {
	if err := s.Save(ctx, "order-1", []byte("3 apples")); err != nil {
		return err
	}
	item, err := s.Get(ctx, "order-1")
	if err != nil {
		return err
	}
	out.Printf("saved:       order-1 = %q", item.Value)
	return nil
}

// conflict lets two clients change what both have read. The second one to write
// is told, instead of undoing what the first one did.
func conflict(ctx context.Context, s *ottavo.State, out *log.Logger) error {
	read, err := s.Get(ctx, "order-1")
	if err != nil {
		return err
	}
	if err := s.Save(ctx, "order-1", []byte("4 apples"), ottavo.IfETag(read.ETag)); err != nil {
		return err
	}
	out.Print(`updated:     order-1 = "4 apples", as the etag was still the one that was read`)

	err = s.Save(ctx, "order-1", []byte("2 apples"), ottavo.IfETag(read.ETag))
	if err := wantConflict("a write with an old etag", err); err != nil {
		return err
	}
	out.Print("conflict:    a second write with that etag is refused; read again and decide anew")

	err = s.Save(ctx, "order-1", []byte("1 apple"), ottavo.FirstWrite())
	if err := wantConflict("a first write that comes second", err); err != nil {
		return err
	}
	out.Print("first write: refused, too, because the key exists")
	return nil
}

func wantConflict(what string, err error) error {
	switch {
	case err == nil:
		return errors.New(what + " was carried out")
	case errors.Is(err, ottavo.ErrConflict):
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// expire saves something that is gone after a second.
func expire(ctx context.Context, s *ottavo.State, out *log.Logger) error {
	if err := s.Save(ctx, "session-1", []byte("eva"), ottavo.TTL(time.Second)); err != nil {
		return err
	}
	item, err := s.Get(ctx, "session-1")
	if err != nil {
		return err
	}
	out.Printf("expires:     session-1 = %q for a second ...", item.Value)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for item.Found {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if item, err = s.Get(ctx, "session-1"); err != nil {
			return err
		}
	}
	out.Print("expired:     session-1 is gone")
	return nil
}

// transact does two writes as one: both or none.
func transact(ctx context.Context, s *ottavo.State, out *log.Logger) error {
	if err := s.Transact(ctx, ottavo.Remove("order-1"), ottavo.Put("archive-1", []byte("4 apples"))); err != nil {
		return err
	}
	items, err := s.GetBulk(ctx, "order-1", "archive-1")
	if err != nil {
		return err
	}
	for _, item := range items {
		if item.Err != nil {
			return item.Err
		}
	}
	out.Printf("transaction: order-1 exists: %t, archive-1 = %q", items[0].Found, items[1].Value)
	return nil
}

func remove(ctx context.Context, s *ottavo.State, out *log.Logger) error {
	if err := s.Delete(ctx, "archive-1"); err != nil {
		return err
	}
	item, err := s.Get(ctx, "archive-1")
	if err != nil {
		return err
	}
	out.Printf("deleted:     archive-1 exists: %t", item.Found)
	return nil
}
