package later

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/ottavo-runtime/ottavo/components/internal/boltfile"
)

const (
	// what is what the file is in errors.
	what = "the file of messages for later"
	// mostBytes is how many bytes of messages are read at a time, and one more.
	mostBytes = 8 << 20
)

// bucket holds the messages: by when they are due, as eight bytes of nanoseconds of
// Unix time, and eight bytes that count them. Its name tells the layout.
var bucket = []byte("due-1")

// entry is a message as it is stored.
type entry struct {
	Topic       string            `json:"topic"`
	Data        []byte            `json:"data,omitempty"`
	ContentType string            `json:"contentType,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Failures    int               `json:"failures,omitempty"`
}

// waiting is an entry with its key.
type waiting struct {
	key []byte
	entry
}

// file is the store. It is safe for concurrent use.
type file struct {
	path string
	db   *boltfile.File

	mu    sync.Mutex
	queue []*adding
	turn  sync.Mutex // who has it writes what is in the queue
}

// adding is a message on its way into the file.
type adding struct {
	due   time.Time
	value []byte
	// Set under turn.
	done bool
	key  []byte
	err  error
}

func open(path string) (*file, error) {
	db, err := boltfile.Open(what, path, "delayPath", func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &file{path: path, db: db}, nil
}

// add keeps a message until it is due, and returns its name.
func (f *file) add(due time.Time, e entry) (id string, err error) {
	value, err := json.Marshal(e)
	if err != nil {
		return "", err
	}
	a := &adding{due: due, value: value}
	f.mu.Lock()
	f.queue = append(f.queue, a)
	f.mu.Unlock()
	// What came while another was writing is written together. It is done here, not by
	// bolt's Batch: guard is nothing to the goroutine that Batch writes in.
	f.turn.Lock()
	defer f.turn.Unlock()
	if !a.done {
		f.mu.Lock()
		all := f.queue
		f.queue = nil
		f.mu.Unlock()
		f.write(all)
	}
	return hex.EncodeToString(a.key), a.err
}

// write puts messages into the file, all or none.
func (f *file) write(all []*adding) {
	err := f.db.Update(func(tx *bolt.Tx) (err error) {
		for _, a := range all {
			if a.key, err = put(tx, a.due, a.value); err != nil {
				return err
			}
		}
		return nil
	})
	for _, a := range all {
		a.done, a.err = true, err
	}
}

func put(tx *bolt.Tx, due time.Time, value []byte) (key []byte, err error) {
	b := tx.Bucket(bucket)
	n, err := b.NextSequence()
	if err != nil {
		return nil, err
	}
	at := int64(math.MaxInt64)
	if due.Before(time.Unix(0, at)) {
		at = max(due.UnixNano(), 0)
	}
	key = binary.BigEndian.AppendUint64(nil, uint64(at))
	key = binary.BigEndian.AppendUint64(key, n)
	return key, b.Put(key, value)
}

// due returns the messages, most at a time and not many of them when they are large,
// whose time has come, in its order; without any, when the first one comes, or a time
// far away.
func (f *file) due(now time.Time, most int) (due []waiting, next time.Time, err error) {
	next = now.Add(time.Hour)
	var damaged [][]byte
	err = f.db.View(func(tx *bolt.Tx) error {
		c, size := tx.Bucket(bucket).Cursor(), 0
		for key, value := c.First(); key != nil && len(due) < most && size < mostBytes; key, value = c.Next() {
			w := waiting{key: append([]byte(nil), key...)}
			if len(key) != 16 || json.Unmarshal(value, &w.entry) != nil {
				damaged = append(damaged, w.key)
				continue
			}
			if at := time.Unix(0, int64(binary.BigEndian.Uint64(key))); at.After(now) {
				next = at
				return nil
			}
			due, size = append(due, w), size+len(value)
		}
		return nil
	})
	if err == nil && len(damaged) > 0 {
		err = errors.Join(fmt.Errorf("%s %s: %d of them were damaged and are dropped", what, f.path, len(damaged)), f.remove(damaged))
	}
	return due, next, err
}

// remove forgets messages that the broker has.
func (f *file) remove(keys [][]byte) error {
	if len(keys) == 0 {
		return nil
	}
	return f.db.Update(func(tx *bolt.Tx) error {
		for _, key := range keys {
			if err := tx.Bucket(bucket).Delete(key); err != nil {
				return err
			}
		}
		return nil
	})
}

// move has a message be due at another time.
func (f *file) move(w waiting, due time.Time) error {
	value, err := json.Marshal(w.entry)
	if err != nil {
		return err
	}
	return f.db.Update(func(tx *bolt.Tx) error {
		if _, err := put(tx, due, value); err != nil {
			return err
		}
		return tx.Bucket(bucket).Delete(w.key)
	})
}

// check tells whether the file is still in its place, and not broken.
func (f *file) check() error { return f.db.Check() }

func (f *file) close() error { return f.db.Close() }
