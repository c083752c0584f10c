package later

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

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

func mustOpen(t *testing.T) *file { return mustOpenWith(t, fill{1e6, 1 << 30}) }

func mustOpenWith(t *testing.T, most fill) *file {
	t.Helper()
	f, err := open(filepath.Join(t.TempDir(), "later.db"), most)
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
			if again, err = open(f.path, f.most); err == nil {
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

// The file knows how much is in it: after it was opened again, when messages were put
// off and taken out, and when it is from before anybody counted.
func TestFill(t *testing.T) {
	f := mustOpenWith(t, fill{3, 1 << 20})
	is := func(when string, messages int64) {
		t.Helper()
		var real fill
		err := f.db.View(func(tx *bolt.Tx) error {
			return tx.Bucket(bucket).ForEach(func(key, value []byte) error {
				real.messages, real.bytes = real.messages+1, real.bytes+sizeOf(key, value)
				return nil
			})
		})
		if now := *f.now.Load(); err != nil || now != real || now.messages != messages {
			t.Errorf("%s: it says %+v, there are %+v; %v", when, now, real, err)
		}
	}
	reopen := func() {
		t.Helper()
		err := f.close()
		if err == nil {
			f, err = open(f.path, f.most)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		if _, err := f.add(time.Unix(int64(i), 0), entry{Topic: "t", Data: make([]byte, 100*i)}); err != nil {
			t.Fatal(err)
		}
	}
	is("after three", 3)
	if _, err := f.add(time.Unix(9, 0), entry{}); !errors.Is(err, pubsub.ErrFull) {
		t.Errorf("the fourth: %v", err)
	}
	is("after one too many", 3)
	reopen()
	is("opened again", 3)
	due, _, err := f.due(time.Now(), 2)
	if err != nil || len(due) != 2 {
		t.Fatalf("%d due, %v", len(due), err)
	}
	due[0].Failures = 1000
	if err := f.move(due[0], time.Unix(5, 0)); err != nil {
		t.Fatal(err)
	}
	is("after one was put off", 3)
	if err := f.remove([][]byte{due[1].key, due[1].key, {1, 2}}); err != nil {
		t.Fatal(err)
	}
	is("after one was taken out, twice", 2)
	if err := f.db.Update(func(tx *bolt.Tx) error { return tx.DeleteBucket(fillBucket) }); err != nil {
		t.Fatal(err)
	}
	reopen()
	is("nobody had counted", 2)
	due, _, err = f.due(time.Now(), 10)
	if err != nil || len(due) != 2 || f.remove([][]byte{due[0].key, due[1].key}) != nil {
		t.Fatalf("%d due, %v", len(due), err)
	}
	is("empty", 0)
	if err := f.close(); err != nil {
		t.Error(err)
	}
}
