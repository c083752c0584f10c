// Command lock lets two workers want the same thing: one gets it, and keeps it as
// long as it works; the other one waits.
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
	flag.Parse()

	log.SetFlags(0)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	// A short time to live, so that a worker that dies holds nobody up; Hold renews it.
	err := run(ctx, *address, time.Second, log.New(os.Stdout, "", 0))
	cancel()
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, address string, expire time.Duration, out *log.Logger) (err error) {
	client, err := ottavo.Dial(address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	locks := client.Lock("lock_demo")
	first, err := locks.Hold(ctx, "order-1", "worker-1", expire)
	if err != nil {
		return err
	}
	out.Print("worker-1: got the lock")
	if _, err := locks.Hold(ctx, "order-1", "worker-2", expire); !errors.Is(err, ottavo.ErrLocked) {
		return fmt.Errorf("worker-2 was not refused: %w", err)
	}
	out.Print("worker-2: somebody holds it")

	// The work is done with the context of the lock, which ends if it is lost.
	if err := work(first.Context(), 2*expire); err != nil { //nolint:contextcheck // it comes from ctx, and ends sooner
		return err
	}
	out.Print("worker-1: still has it after twice its time")
	if err := first.Release(); err != nil {
		return err
	}
	out.Print("worker-1: gave it back")

	second, err := locks.Wait(ctx, "order-1", "worker-2", expire)
	if err != nil {
		return err
	}
	out.Printf("worker-2: got the lock, with a greater token: %t", second.Token > first.Token)
	return second.Release()
}

// work works for so long, or until the lock is lost.
func work(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
