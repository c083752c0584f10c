package e2e_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/demo/internal/ottavotest"
	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

// A process that is killed loses no write that it had acknowledged.
func TestKillLosesNoWrite(t *testing.T) {
	const writers, enough = 16, 400
	p := ottavotest.Start(t, configuration(""))
	acknowledged := make([]int, writers) // the last number that each writer wrote
	for round := range 2 {
		client := dial(t, p) // the port is another one after each start
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		count := make(chan struct{}, enough)
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for n := acknowledged[w] + 1; ; n++ {
					// A key that changes, and one that is written once.
					value := []byte(strconv.Itoa(n))
					err := client.State("store").SaveBulk(ctx, ottavo.Put(counter(w), value), ottavo.Put(once(w, n), value))
					if err != nil {
						return
					}
					acknowledged[w] = n
					select {
					case count <- struct{}{}:
					default:
					}
				}
			})
		}
		for range enough {
			select {
			case <-count:
			case <-ctx.Done():
				t.Fatal("too few writes are acknowledged")
			}
		}
		p.Kill()
		wg.Wait()
		cancel()

		p.Start()
		store := dial(t, p).State("store")
		total := 0
		for w, last := range acknowledged {
			total += last
			item, err := store.Get(timeout(t), counter(w))
			if err != nil {
				t.Fatal(err)
			}
			// The write that was under way may have been done or not.
			if n, err := strconv.Atoi(string(item.Value)); err != nil || n != last && n != last+1 {
				t.Errorf("round %d: writer %d's counter is %q, acknowledged was %d", round, w, item.Value, last)
			}
			keys := make([]string, last)
			for n := range last {
				keys[n] = once(w, n+1)
			}
			items, err := store.GetBulk(timeout(t), keys...)
			if err != nil {
				t.Fatal(err)
			}
			for n, item := range items {
				if item.Err != nil || string(item.Value) != strconv.Itoa(n+1) {
					t.Errorf("round %d: %s is %q (%v)", round, item.Key, item.Value, item.Err)
				}
			}
		}
		t.Logf("round %d: %d acknowledged writes are there", round, total)
	}
}

func counter(writer int) string { return fmt.Sprintf("counter-%d", writer) }

func once(writer, n int) string { return fmt.Sprintf("once-%d-%d", writer, n) }
