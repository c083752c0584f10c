package later

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components/internal/boltfile"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
)

// heard is a broker that takes all.
type heard struct {
	pubsub.Broker
	data []string
}

func (h *heard) Publish(_ context.Context, m *pubsub.Message) error {
	h.data = append(h.data, string(m.Data))
	return nil
}

func mustOpen(t *testing.T) *file {
	t.Helper()
	f, err := open(filepath.Join(t.TempDir(), "later.db"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// What the broker has is not published again while the file cannot be written, as on a
// full disk.
func TestFileCannotBeWritten(t *testing.T) {
	f := mustOpen(t)
	for i := range 3 {
		if _, err := f.add(time.Now().Add(-time.Second), entry{Topic: "t", Data: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
	}
	reopen := func(readOnly bool) {
		t.Helper()
		err := f.close()
		if err == nil && readOnly {
			f.db, err = boltfile.OpenReadOnly(what, f.path)
		} else if err == nil {
			var again *file
			if again, err = open(f.path); err == nil {
				f.db = again.db
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	to := &heard{}
	b := &Broker{Broker: to, file: f, log: slog.New(slog.DiscardHandler), had: map[string]bool{}}
	reopen(true)
	for range 3 {
		if _, err := b.publishDue(t.Context()); err == nil {
			t.Error("a file that cannot be written: no error")
		}
	}
	reopen(false)
	if _, err := b.publishDue(t.Context()); err != nil {
		t.Error(err)
	}
	if got := strings.Join(to.data, " "); got != "0 1 2" || len(b.had) != 0 {
		t.Errorf("published %s; %d not removed", got, len(b.had))
	}
	if due, _, err := f.due(time.Now(), batch); err != nil || len(due) != 0 {
		t.Errorf("%d are left, %v", len(due), err)
	}
	if err := f.close(); err != nil {
		t.Error(err)
	}
}

// Messages that come side by side are written together, each under its own key; large
// ones are not all read at once.
func TestSideBySide(t *testing.T) {
	f := mustOpen(t)
	const each = 20
	ids := make([]string, 10*each)
	large := make([]byte, mostBytes/4)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			for n := range each {
				e := entry{Topic: "t"}
				if i == 0 && n < 8 {
					e.Data = large
				}
				var err error
				if ids[i*each+n], err = f.add(time.Unix(int64(n), 0), e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(ids)
	if n := len(slices.Compact(ids)); n != 10*each {
		t.Errorf("%d keys for %d messages", n, 10*each)
	}
	found := 0
	for {
		due, _, err := f.due(time.Now(), 10*each)
		if err != nil {
			t.Fatal(err)
		}
		if len(due) == 0 {
			break
		}
		size := 0
		var keys [][]byte
		for _, d := range due {
			size, keys = size+len(d.Data), append(keys, d.key)
		}
		if size > mostBytes+len(large) {
			t.Errorf("%d bytes at once", size)
		}
		if found += len(due); f.remove(keys) != nil {
			t.Fatal("cannot remove")
		}
	}
	if found != 10*each {
		t.Errorf("found %d of %d", found, 10*each)
	}
	if err := f.close(); err != nil {
		t.Error(err)
	}
}

// A file that something else destroys while it is open is an error, again and again,
// and neither the end of the process nor of the goroutine that waits.
func TestDestroyed(t *testing.T) {
	f := mustOpen(t)
	if _, err := f.add(time.Now(), entry{Topic: "t", Data: make([]byte, 1<<16)}); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(f.path, 0); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := f.add(time.Now(), entry{Topic: "t"}); err == nil || !strings.Contains(err.Error(), f.path) {
			t.Errorf("add: %v", err)
		}
		if _, _, err := f.due(time.Now(), batch); err == nil {
			t.Error("due: no error")
		}
		if f.remove([][]byte{{1}}) == nil || f.check() == nil {
			t.Error("it counts as well")
		}
	}
	if f.close() == nil {
		t.Error("close: no error")
	}
}
