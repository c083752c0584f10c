package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
)

// Type is the name of this store in a configuration.
const Type = "embedded"

// Metadata is the store's configuration.
type Metadata struct {
	// Path is the file that holds the data; it and its folder are made when
	// missing. The default is <data folder>/state/<component name>.db. A
	// relative path is taken from the working folder.
	Path string `json:"path"`
	// KeyPrefix belongs to the caller, which puts the prefixes on; it is listed
	// here so that it counts as known.
	KeyPrefix string `json:"keyPrefix"`
}

var (
	bucketItems  = []byte("items")
	bucketExpiry = []byte("expiry")
	bucketMeta   = []byte("meta")
	keyFormat    = []byte("format")
	keyFloor     = []byte("floor")
	keyProbe     = []byte("probe")
)

// maxKey is the longest key in bytes: bbolt's limit, less the time in front of
// it in the expiry index.
const maxKey = bolt.MaxKeySize - 8

// Store keeps items in one file. Use New. It implements state.Store,
// state.BulkGetter, state.BulkWriter, state.Transactor and components.Checker.
type Store struct {
	path string
	file os.FileInfo // the file as it was opened
	db   *bolt.DB
	w    *writer

	closing  sync.Once
	closeErr error
}

// New opens the file, or makes it. It fails when the file is held by another
// process, cannot be written or is not one of ours; the error names the file
// and the way out.
func New(ctx context.Context, env components.Env, cfg components.Config) (state.Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var m Metadata
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	path, err := filePath(m.Path, env.DataDir, cfg)
	if err != nil {
		return nil, err
	}
	return open(ctx, path, bolt.Options{})
}

// open opens the store in the file at path; options are bbolt's, as far as
// tests need them.
func open(ctx context.Context, path string, options bolt.Options) (*Store, error) {
	db, err := openFile(ctx, path, options)
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, db: db}
	if s.file, err = os.Stat(path); err == nil {
		s.w, err = newWriter(db, path)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// Features implements state.Store.
func (s *Store) Features() state.Features {
	return state.Features{ETag: true, TTL: true, Durable: true}
}

// Get implements state.Store.
func (s *Store) Get(ctx context.Context, req state.Get) (*state.Item, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := req.Check(); err != nil {
		return nil, err
	}
	var item *state.Item
	err := s.view(func(items *bolt.Bucket) error {
		var err error
		item, err = s.read(items, req.Key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return item, nil
}

// BulkGet implements state.BulkGetter. All keys are read from one snapshot.
func (s *Store) BulkGet(ctx context.Context, reqs []state.Get) ([]state.Result, error) {
	results := make([]state.Result, len(reqs))
	err := s.view(func(items *bolt.Bucket) error {
		for i, req := range reqs {
			if err := ctx.Err(); err != nil {
				return err
			}
			if results[i].Err = req.Check(); results[i].Err == nil {
				results[i].Item, results[i].Err = s.read(items, req.Key)
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// view runs f on the items as they are now.
func (s *Store) view(f func(items *bolt.Bucket) error) (err error) {
	defer s.guard(&err)()
	err = s.db.View(func(tx *bolt.Tx) error { return f(tx.Bucket(bucketItems)) })
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return state.ErrClosed
	}
	return err
}

// guard makes a panic or a memory fault until the returned function runs an
// error: a damaged page makes bbolt follow pointers that lead nowhere, and that
// must not end the process.
func (s *Store) guard(err *error) func() {
	old := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(old)
		if p := recover(); p != nil {
			*err = damagedFile(s.path, p)
		}
	}
}

// read returns a copy of the item under key; nil when there is none.
func (s *Store) read(items *bolt.Bucket, key string) (*state.Item, error) {
	raw := items.Get([]byte(key))
	if raw == nil {
		return nil, nil
	}
	r, err := decodeRecord(raw)
	if err != nil {
		return nil, fmt.Errorf("key %q in %s: %w", key, s.path, err)
	}
	if r.expires != 0 && r.expired(time.Now()) {
		return nil, nil
	}
	return &state.Item{Key: key, Value: bytes.Clone(r.value), ETag: r.etag(), ExpiresAt: r.end()}, nil
}

// Write implements state.Store. It returns when the operation is on disk.
func (s *Store) Write(ctx context.Context, op state.Op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p, err := s.prepare(op)
	if err != nil {
		return err
	}
	errs, err := s.w.submit(ctx, []write{p}, false)
	if err != nil {
		return err
	}
	return errs[0]
}

// BulkWrite implements state.BulkWriter: all operations go to disk together.
func (s *Store) BulkWrite(ctx context.Context, ops []state.Op) []error {
	errs := make([]error, len(ops))
	writes := make([]write, 0, len(ops))
	for i, op := range ops {
		p, err := s.prepare(op)
		if err != nil {
			errs[i] = err
			continue
		}
		writes = append(writes, p)
	}
	if len(writes) == 0 {
		return errs
	}
	done, err := s.w.submit(ctx, writes, false)
	for i := range ops {
		switch {
		case err != nil:
			errs[i] = err
		case errs[i] == nil:
			errs[i], done = done[0], done[1:]
		}
	}
	return errs
}

// Transact implements state.Transactor.
func (s *Store) Transact(ctx context.Context, ops []state.Op) error {
	writes := make([]write, len(ops))
	for i, op := range ops {
		var err error
		if writes[i], err = s.prepare(op); err != nil {
			return err
		}
	}
	errs, err := s.w.submit(ctx, writes, true)
	if err != nil {
		return err
	}
	return errors.Join(errs...) // an atomic request has at most one error
}

// Check implements components.Checker. It fails when the file was taken away
// under the store, and, after a commit that failed, until one succeeds: it
// tries one then.
func (s *Store) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch now, err := os.Stat(s.path); {
	case err != nil:
		return fmt.Errorf("the file of the state store is gone: %w", err)
	case !os.SameFile(now, s.file):
		return fmt.Errorf("another file was put in the place of %s: restart to use it", s.path)
	}
	if s.w.failed.Load() {
		_, err := s.w.submit(ctx, nil, false)
		return err
	}
	return s.view(func(*bolt.Bucket) error { return nil })
}

// Close implements state.Store. It waits for the commit that is under way;
// what still waits in the queue fails with state.ErrClosed.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.w.stop()
		s.closeErr = s.db.Close()
	})
	return s.closeErr
}
