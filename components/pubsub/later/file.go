package later

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	// lockWait is how long to wait for another process to let go of the file.
	lockWait = time.Second
	// gather is how long a message waits for others to be written along with it.
	gather = time.Millisecond
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
	db   *bolt.DB
}

func open(path string) (*file, error) {
	f := &file{path: path}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("cannot make the folder for the file of messages for later %s: %w", path, err)
	}
	err := guard(func() (err error) {
		f.db, err = bolt.Open(path, 0o600, &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType, NoStatistics: true})
		return err
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("the file of messages for later %s: another process has it open: end that one, or set another delayPath", path)
	}
	if err == nil {
		f.db.MaxBatchDelay = gather
		err = guard(func() error {
			return f.db.Update(func(tx *bolt.Tx) error {
				_, err := tx.CreateBucketIfNotExists(bucket)
				return err
			})
		})
		if err == nil {
			return f, syncFolder(filepath.Dir(path))
		}
		err = errors.Join(err, f.db.Close())
	}
	return nil, fmt.Errorf("the file of messages for later %s: %w: if it is damaged or something else's, set another delayPath, or move it away", path, err)
}

// syncFolder has a file that was made in a folder survive a crash of the machine.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// add keeps a message until it is due, and returns its name.
func (f *file) add(due time.Time, e entry) (id string, err error) {
	value, err := json.Marshal(e)
	if err != nil {
		return "", err
	}
	var key []byte
	err = f.explain(func() error {
		return f.db.Batch(func(tx *bolt.Tx) (err error) {
			key, err = put(tx, due, value)
			return err
		})
	})
	return hex.EncodeToString(key), err
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

// due returns the messages, most at a time, whose time has come, in its order; without
// any, when the first one comes, or a time far away.
func (f *file) due(now time.Time, most int) (due []waiting, next time.Time, err error) {
	next = now.Add(time.Hour)
	var damaged [][]byte
	err = f.explain(func() error {
		return f.db.View(func(tx *bolt.Tx) error {
			c := tx.Bucket(bucket).Cursor()
			for key, value := c.First(); key != nil && len(due) < most; key, value = c.Next() {
				w := waiting{key: append([]byte(nil), key...)}
				if len(key) != 16 || json.Unmarshal(value, &w.entry) != nil {
					damaged = append(damaged, w.key)
					continue
				}
				if at := time.Unix(0, int64(binary.BigEndian.Uint64(key))); at.After(now) {
					next = at
					return nil
				}
				due = append(due, w)
			}
			return nil
		})
	})
	if err == nil && len(damaged) > 0 {
		err = errors.Join(fmt.Errorf("the file of messages for later %s: %d of them were damaged and are dropped", f.path, len(damaged)), f.remove(damaged))
	}
	return due, next, err
}

// remove forgets messages that the broker has.
func (f *file) remove(keys [][]byte) error {
	if len(keys) == 0 {
		return nil
	}
	return f.explain(func() error {
		return f.db.Update(func(tx *bolt.Tx) error {
			for _, key := range keys {
				if err := tx.Bucket(bucket).Delete(key); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// move has a message be due at another time.
func (f *file) move(w waiting, due time.Time) error {
	value, err := json.Marshal(w.entry)
	if err != nil {
		return err
	}
	return f.explain(func() error {
		return f.db.Update(func(tx *bolt.Tx) error {
			if _, err := put(tx, due, value); err != nil {
				return err
			}
			return tx.Bucket(bucket).Delete(w.key)
		})
	})
}

// check tells whether the file is still in its place.
func (f *file) check() error {
	if _, err := os.Stat(f.path); err != nil {
		return fmt.Errorf("the file of messages for later: %w: what waits in it will be lost; restart to begin a new one", err)
	}
	return nil
}

func (f *file) close() error { return guard(f.db.Close) }

func (f *file) explain(call func() error) error {
	if err := guard(call); err != nil {
		return fmt.Errorf("the file of messages for later %s: %w", f.path, err)
	}
	return nil
}

// guard makes an error of what the library or the machine does when the file is damaged.
func guard(call func() error) (err error) {
	defer func(old bool) {
		debug.SetPanicOnFault(old)
		if p := recover(); p != nil {
			err = fmt.Errorf("the file is damaged: %v", p)
		}
	}(debug.SetPanicOnFault(true))
	return call()
}
