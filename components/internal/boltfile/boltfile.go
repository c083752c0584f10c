package boltfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// lockWait is how long to wait for another process to let go of the file.
const lockWait = time.Second

// File is an open file. It is safe for concurrent use; one call is made at a time.
type File struct {
	name string // "the sequencer file /tmp/x.db"
	path string
	db   *bolt.DB

	// broken is what was wrong when the library broke off in the middle, because the
	// file was damaged: it may hold its locks, and who calls it next would wait for
	// ever. use has nobody wait for those already.
	broken atomic.Pointer[error]
	use    sync.Mutex
}

// Open opens the file at path, or makes it and its folder, and has prepare bring it
// into shape. what names the file in errors, with its article; setting is the key
// that a user sets to have another one. It fails when another process has the file,
// when it cannot be written, or is no database.
func Open(what, path, setting string, prepare func(*bolt.Tx) error) (*File, error) {
	f := &File{name: what + " " + path, path: path}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("cannot make the folder for %s: %w", f.name, err)
	}
	err := guard(func() (err error) {
		f.db, err = bolt.Open(path, 0o600, &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType, NoStatistics: true})
		return err
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%s: another process has it open: end that one, or set another %s", f.name, setting)
	}
	if err == nil {
		if err = f.call(func() error { return f.db.Update(prepare) }); err == nil {
			return f, syncFolder(filepath.Dir(path))
		}
		if f.broken.Load() == nil {
			err = errors.Join(err, f.db.Close())
		}
	}
	return nil, fmt.Errorf("%s: %w: if it is damaged or something else's, set another %s, or move it away", f.name, err, setting)
}

// OpenReadOnly opens a file that is there so that every Update fails, as on a disk
// that takes no more: for tests of that.
func OpenReadOnly(what, path string) (*File, error) {
	f := &File{name: what + " " + path, path: path}
	err := guard(func() (err error) {
		f.db, err = bolt.Open(path, 0o600, &bolt.Options{Timeout: lockWait, ReadOnly: true})
		return err
	})
	return f, f.named(err)
}

// syncFolder has a file that was made in a folder survive a crash of the machine.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Update changes the file, or leaves it as it is. When it returns nil, the change is
// on disk.
func (f *File) Update(change func(*bolt.Tx) error) error {
	return f.named(f.call(func() error { return f.db.Update(change) }))
}

// View reads the file. Bytes from it are lent until look returns.
func (f *File) View(look func(*bolt.Tx) error) error {
	return f.named(f.call(func() error { return f.db.View(look) }))
}

// Check tells whether the file is still in its place, and not broken.
func (f *File) Check() error {
	if broken := f.broken.Load(); broken != nil {
		return f.named(*broken)
	}
	if _, err := os.Stat(f.path); err != nil {
		return fmt.Errorf("%s: %w: what is in it will be lost; restart to begin a new one", f.name, err)
	}
	return nil
}

// Close closes the file.
func (f *File) Close() error { return f.named(f.call(f.db.Close)) }

func (f *File) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", f.name, err)
}

// call makes a call of the library, unless the file is broken.
func (f *File) call(call func() error) error {
	f.use.Lock()
	defer f.use.Unlock()
	if broken := f.broken.Load(); broken != nil {
		return *broken
	}
	ended := false
	err := guard(func() error {
		err := call()
		ended = true
		return err
	})
	if err != nil && !ended {
		err = fmt.Errorf("%w: restore it from a backup, or move it away, and restart", err)
		f.broken.Store(&err)
	}
	return err
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
