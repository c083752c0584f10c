package later

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/ottavo-runtime/ottavo/components/internal/boltfile"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
)

const (
	// what is what the file is in errors.
	what = "the file of messages for later"
	// mostBytes is how many bytes of messages are read at a time, and one more.
	mostBytes = 8 << 20
)

// bucket holds the messages: by when they are due, as eight bytes of nanoseconds of
// Unix time, and eight bytes that count them. fillBucket holds at fillKey how many they
// are, and how many bytes, as eight bytes each. Their names tell the layout.
var (
	bucket     = []byte("due-1")
	fillBucket = []byte("fill-1")
	fillKey    = []byte("fill")
)

// fill is how much is in the file.
type fill struct {
	messages int64
	bytes    int64 // of keys and values
}

// refuse returns an error that wraps pubsub.ErrFull when a message of this size is too
// much for a file that holds no more than most.
func (most fill) refuse(now fill, size int64) error {
	switch {
	case now.messages >= most.messages:
		return fmt.Errorf("%w: %d messages for later wait already, and %s is %d: publish fewer, or raise it", pubsub.ErrFull, now.messages, messagesKey, most.messages)
	case now.bytes+size > most.bytes:
		return fmt.Errorf("%w: %d bytes of messages for later wait already, this one has %d, and %s is %d: publish fewer or smaller ones, or raise it",
			pubsub.ErrFull, now.bytes, size, bytesKey, most.bytes)
	}
	return nil
}

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
	most fill
	now  atomic.Pointer[fill] // as of the last change

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

// open opens the file, which takes no message when it has most already.
func open(path string, most fill) (*file, error) {
	f := &file{path: path, most: most}
	var now fill
	db, err := boltfile.Open(what, path, pathKey, func(tx *bolt.Tx) (err error) {
		b, err := tx.CreateBucketIfNotExists(bucket)
		if err != nil {
			return err
		}
		kept, err := tx.CreateBucketIfNotExists(fillBucket)
		if err != nil {
			return err
		}
		if len(kept.Get(fillKey)) != 16 { // nobody has counted yet
			err = b.ForEach(func(key, value []byte) error {
				now.messages, now.bytes = now.messages+1, now.bytes+sizeOf(key, value)
				return nil
			})
			return errors.Join(err, writeFill(tx, now))
		}
		now = readFill(tx)
		return nil
	})
	if err != nil {
		return nil, err
	}
	f.db = db
	f.now.Store(&now)
	return f, nil
}

func sizeOf(key, value []byte) int64 { return int64(len(key) + len(value)) }

func readFill(tx *bolt.Tx) fill {
	v := tx.Bucket(fillBucket).Get(fillKey)
	if len(v) != 16 {
		return fill{}
	}
	return fill{int64(binary.BigEndian.Uint64(v)), int64(binary.BigEndian.Uint64(v[8:]))} //nolint:gosec // written by writeFill
}

func writeFill(tx *bolt.Tx, n fill) error {
	v := binary.BigEndian.AppendUint64(nil, uint64(n.messages)) //nolint:gosec // never negative
	v = binary.BigEndian.AppendUint64(v, uint64(n.bytes))       //nolint:gosec // as above
	return tx.Bucket(fillBucket).Put(fillKey, v)
}

// update changes the messages in one transaction, and what is known of the fill with
// them, which change keeps up to date.
func (f *file) update(change func(tx *bolt.Tx, now *fill) error) error {
	return f.db.Update(func(tx *bolt.Tx) error {
		now := readFill(tx)
		if err := change(tx, &now); err != nil {
			return err
		}
		if key, _ := tx.Bucket(bucket).Cursor().First(); key == nil {
			now = fill{}
		}
		tx.OnCommit(func() { f.now.Store(&now) })
		return writeFill(tx, now)
	})
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

// write puts messages into the file, all for which there is room, or none.
func (f *file) write(all []*adding) {
	err := f.update(func(tx *bolt.Tx, now *fill) (err error) {
		for _, a := range all {
			if a.err = f.most.refuse(*now, keySize+int64(len(a.value))); a.err != nil {
				continue
			}
			if a.key, err = put(tx, now, a.due, a.value); err != nil {
				return err
			}
		}
		return nil
	})
	for _, a := range all {
		if a.done = true; err != nil {
			a.err = err
		}
	}
}

// keySize is the size of a message's key.
const keySize = 16

func put(tx *bolt.Tx, now *fill, due time.Time, value []byte) (key []byte, err error) {
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
	now.messages, now.bytes = now.messages+1, now.bytes+sizeOf(key, value)
	return key, b.Put(key, value)
}

// drop takes a message out; one that is not there is none.
func drop(tx *bolt.Tx, now *fill, key []byte) error {
	b := tx.Bucket(bucket)
	value := b.Get(key)
	if value == nil {
		return nil
	}
	now.messages, now.bytes = max(now.messages-1, 0), max(now.bytes-sizeOf(key, value), 0)
	return b.Delete(key)
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
			if len(key) != keySize || json.Unmarshal(value, &w.entry) != nil {
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
	return f.update(func(tx *bolt.Tx, now *fill) error {
		for _, key := range keys {
			if err := drop(tx, now, key); err != nil {
				return err
			}
		}
		return nil
	})
}

// move has a message be due at another time. There is always room for that.
func (f *file) move(w waiting, due time.Time) error {
	value, err := json.Marshal(w.entry)
	if err != nil {
		return err
	}
	return f.update(func(tx *bolt.Tx, now *fill) error {
		if _, err := put(tx, now, due, value); err != nil {
			return err
		}
		return drop(tx, now, w.key)
	})
}

// check tells whether the file is still in its place, and not broken.
func (f *file) check() error { return f.db.Check() }

func (f *file) close() error { return f.db.Close() }
