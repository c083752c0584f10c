package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

const (
	// layoutFormat is the version of the file's layout, see the package comment.
	layoutFormat = 1
	// lockWait is how long to wait for another process to let go of the file;
	// long enough for one that is just ending.
	lockWait = time.Second
	// mapSize is how much address space to map at first. Readers would have to
	// wait when the mapping must grow; address space costs nothing.
	mapSize = 256 << 20
)

// filePath returns where the store of cfg keeps its file.
func filePath(path, dataDir string, cfg components.Config) (string, error) {
	if path != "" {
		return path, nil
	}
	if dataDir == "" {
		return "", decode.Problems{{
			Path:    cfg.Path + ".metadata.path",
			Message: "no file is given, and there is no data folder to put one into",
			Remedy:  "set path, or the runtime's data folder",
		}}
	}
	return filepath.Join(dataDir, "state", fileName(cfg.Name)+".db"), nil
}

// fileName turns a component's name into the name of a file: whatever is not
// plainly harmless becomes %xx, so two names never share a file and none leads
// out of the folder.
func fileName(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	if b.Len() == 0 {
		return "%"
	}
	return b.String()
}

// openFile opens or makes the file at path and its buckets.
func openFile(ctx context.Context, path string, options bolt.Options) (db *bolt.DB, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("cannot make the folder for the state file %s: %w", path, err)
	}
	_, statErr := os.Stat(path)
	isNew := errors.Is(statErr, fs.ErrNotExist)

	options.Timeout = lockWait
	if deadline, ok := ctx.Deadline(); ok {
		options.Timeout = max(min(lockWait, time.Until(deadline)), time.Millisecond)
	}
	options.FreelistType = bolt.FreelistMapType
	options.NoStatistics = true
	if strconv.IntSize == 64 && runtime.GOOS != "windows" { // there it would make the file that big
		options.InitialMmapSize = mapSize
	}

	defer func(old bool) {
		debug.SetPanicOnFault(old)
		if p := recover(); p != nil {
			db, err = nil, damagedFile(path, p)
		}
	}(debug.SetPanicOnFault(true))
	db, err = bolt.Open(path, 0o600, &options)
	if err != nil {
		return nil, openError(path, options.Timeout, err)
	}
	if err = db.Update(makeBuckets); err == nil && isNew {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(openError(path, options.Timeout, err), db.Close())
	}
	return db, nil
}

// makeBuckets makes what is missing in a new file and refuses a file with
// another layout.
func makeBuckets(tx *bolt.Tx) error {
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	switch format := meta.Get(keyFormat); {
	case format == nil:
		if err := meta.Put(keyFormat, []byte{layoutFormat}); err != nil {
			return err
		}
	case len(format) != 1 || format[0] != layoutFormat:
		return fmt.Errorf("its layout is version %v, this program knows version %d", format, layoutFormat)
	}
	for _, name := range [][]byte{bucketItems, bucketExpiry} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return nil
}

// syncFolder makes the name of a new file in dir durable.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" { // folders cannot be synced there, and need not be
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// openError says what is wrong with the file at path and what to do about it.
func openError(path string, waited time.Duration, err error) error {
	remedy := ""
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("the state file %s is held by another process (waited %s): stop that process, or give this component another `path`", path, waited)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
		remedy = "; it is not a state file or is damaged: restore it from a backup, or move it away to start empty"
	case errors.Is(err, fs.ErrPermission):
		remedy = "; the user of this process must be able to read and write it"
	case errors.Is(err, syscall.ENOSPC):
		remedy = "; free space on that disk"
	}
	return fmt.Errorf("cannot open the state file %s: %w%s", path, err, remedy)
}

// damagedFile is the error for a panic p while using the file at path.
func damagedFile(path string, p any) error {
	return fmt.Errorf("%w: the state file %s cannot be read (%v): restore it from a backup, or move it away to start empty", errDamaged, path, p)
}
