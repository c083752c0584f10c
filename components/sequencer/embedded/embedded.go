package embedded

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"net/url"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/boltfile"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type is the name of this backend in a configuration.
const Type = "embedded"

// Metadata is the configuration.
type Metadata struct {
	// Path is the file that holds the numbers; it and its folder are made when
	// missing. The default is <data folder>/sequencer/<component name>.db. A
	// relative path is taken from the working folder.
	Path string `json:"path"`
	sequencer.Common
}

// layout is the version of the file's layout, see the package comment.
const layout = 1

var (
	bucketSequences = []byte("sequences")
	bucketMeta      = []byte("meta")
	keyFormat       = []byte("format")
)

// New opens the file, or makes it. It fails when another process has it, when it
// cannot be written, or is not one of ours; the error names the file.
func New(ctx context.Context, env components.Env, cfg components.Config) (sequencer.Sequencer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var m Metadata
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	path := m.Path
	if path == "" {
		if env.DataDir == "" {
			return nil, decode.Problems{{
				Path: cfg.SettingsPath() + ".path", Message: "no file is given, and there is no data folder to put one into",
				Remedy: "set path, or the runtime's data folder",
			}}
		}
		path = filepath.Join(env.DataDir, "sequencer", url.PathEscape(cfg.Name)+".db")
	}
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	return sequencer.Count(ctx, f), nil
}

// file is the counter in a file.
type file struct{ *boltfile.File }

func open(path string) (file, error) {
	f, err := boltfile.Open("the sequencer file", path, "path", prepare)
	return file{f}, err
}

// prepare makes what a new file lacks and refuses another layout.
func prepare(tx *bolt.Tx) error {
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	if format := meta.Get(keyFormat); format != nil && (len(format) != 1 || format[0] != layout) {
		return fmt.Errorf("its layout is version %v, this program knows version %d", format, layout)
	}
	if _, err = tx.CreateBucketIfNotExists(bucketSequences); err != nil {
		return err
	}
	return meta.Put(keyFormat, []byte{layout})
}

// Add implements sequencer.Counter.
func (f file) Add(ctx context.Context, key string, n int64) (sum int64, err error) {
	err = f.change(ctx, key, func(number int64) (int64, error) {
		if number > math.MaxInt64-n {
			return 0, sequencer.ErrExhausted
		}
		sum = number + n
		return sum, nil
	})
	return sum, err
}

// Raise implements sequencer.Counter.
func (f file) Raise(ctx context.Context, key string, least int64) error {
	return f.change(ctx, key, func(number int64) (int64, error) { return max(number, least), nil })
}

// change replaces a number by what with makes of it, on disk when it returns.
func (f file) change(ctx context.Context, key string, with func(int64) (int64, error)) error {
	if len(key) > bolt.MaxKeySize {
		return fmt.Errorf("%w: the key has %d bytes, this sequencer takes %d", sequencer.ErrInvalid, len(key), bolt.MaxKeySize)
	}
	return f.Update(func(tx *bolt.Tx) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := tx.Bucket(bucketSequences)
		number := int64(0)
		if stored := b.Get([]byte(key)); stored != nil {
			if len(stored) != 8 {
				return fmt.Errorf("the number of key %q has %d bytes: it is damaged", key, len(stored))
			}
			number = int64(binary.BigEndian.Uint64(stored))
		}
		if number < 0 {
			return fmt.Errorf("the number of key %q is %d: it is damaged", key, number)
		}
		changed, err := with(number)
		if err != nil || changed == number {
			return err
		}
		return b.Put([]byte(key), binary.BigEndian.AppendUint64(nil, uint64(changed)))
	})
}

// Check implements sequencer.Counter: the file must be there still, and ours.
func (f file) Check(context.Context) error { return f.File.Check() }
