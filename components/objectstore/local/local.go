package local

import (
	"context"
	"crypto/md5" //nolint:gosec // what an etag is made of
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/folder"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type is the type name of this store.
const Type = "local"

// Metadata is the store's configuration.
type Metadata struct {
	// Root is the folder that holds the buckets, made if need be. Default:
	// <data_dir>/objects/<name of the component>.
	Root string `json:"root"`
	// Versioning keeps the earlier versions of objects that are replaced or deleted.
	Versioning bool `json:"versioning"`
}

// Folders below the root.
const (
	bucketsDir = "buckets"
	uploadsDir = "uploads"
	tempDir    = "tmp"
)

// tempAge is the age at which an unfinished file has lost its writer.
const tempAge = 24 * time.Hour

// stripes is how many locks the keys share.
const stripes = 64

// store is the store.
type store struct {
	root       *os.Root
	where      string
	versioning bool
	log        *slog.Logger

	mu     sync.RWMutex // held for reading while an operation runs, for writing by Close
	closed bool
	last   atomic.Int64 // of the ids of versions
	seed   maphash.Seed
	// Who changes an object or an upload holds its lock, and who needs both takes
	// that of the upload first.
	objectLocks, uploadLocks [stripes]sync.Mutex
}

// New makes the store, and its folders if they are not there.
func New(_ context.Context, env components.Env, cfg components.Config) (objectstore.Store, error) {
	var m Metadata
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	fail := func(message string) (objectstore.Store, error) {
		return nil, decode.Problems{{Path: cfg.SettingsPath() + ".root", Message: message, Remedy: "write a folder that this process may write to"}}
	}
	if m.Root == "" {
		if cfg.Name != filepath.Base(cfg.Name) || cfg.Name == "." || cfg.Name == ".." {
			return fail(fmt.Sprintf("is missing, and the component's name %q cannot be a folder's", cfg.Name))
		}
		m.Root = filepath.Join(env.DataDir, "objects", cfg.Name)
	}
	for _, dir := range []string{bucketsDir, uploadsDir, tempDir} {
		if err := os.MkdirAll(filepath.Join(m.Root, dir), 0o750); err != nil {
			return fail(err.Error())
		}
	}
	root, err := os.OpenRoot(m.Root)
	if err != nil {
		return fail(err.Error())
	}
	log := env.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &store{root: root, where: m.Root, versioning: m.Versioning, log: log, seed: maphash.MakeSeed()}
	s.cleanTemp()
	return s, nil
}

// cleanTemp removes what a crash has left long ago; what is younger may belong
// to another process.
func (s *store) cleanTemp() {
	entries, err := s.readDir(tempDir)
	if err != nil {
		s.log.Warn("unfinished files of earlier runs stay", "folder", s.where, "error", err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > tempAge {
			s.remove(tempDir + "/" + e.Name())
		}
	}
}

// begin guards an operation against Close; the caller calls end when err is nil.
func (s *store) begin(ctx context.Context) (end func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return nil, objectstore.ErrClosed
	}
	return s.mu.RUnlock, nil
}

// lockObject locks the object of that folder, and maybe others.
func (s *store) lockObject(folder string) (unlock func()) {
	l := &s.objectLocks[maphash.String(s.seed, folder)%stripes]
	l.Lock()
	return l.Unlock
}

// lockUpload locks the upload of that id, and maybe others.
func (s *store) lockUpload(id string) (unlock func()) {
	l := &s.uploadLocks[maphash.String(s.seed, id)%stripes]
	l.Lock()
	return l.Unlock
}

// spooled is content that was written to a file which has no name yet that
// anybody could ask for.
type spooled struct {
	path string
	size int64
	md5  []byte
}

func (p spooled) etag() string { return `"` + hex.EncodeToString(p.md5) + `"` }

// spool writes what r yields to a file of its own and syncs it. On an error
// nothing is left; otherwise the caller renames or removes the file.
func (s *store) spool(ctx context.Context, r io.Reader) (p spooled, err error) {
	f, path, err := s.temp()
	if err != nil {
		return p, err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = s.explain(cerr)
		}
		if err != nil {
			s.remove(path)
		}
	}()
	sum := md5.New() //nolint:gosec // what an etag is made of
	size, err := io.Copy(io.MultiWriter(writer{s, f}, sum), &reader{ctx: ctx, r: r})
	if err != nil {
		return p, err
	}
	if err := f.Sync(); err != nil {
		return p, s.explain(err)
	}
	if err := ctx.Err(); err != nil {
		return p, err
	}
	return spooled{path, size, sum.Sum(nil)}, nil
}

func (s *store) temp() (*os.File, string, error) {
	path := tempDir + "/" + rand.Text()
	f, err := s.root.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return nil, "", s.explain(err)
	}
	return f, path, nil
}

// writer tells errors of writing from those of reading.
type writer struct {
	s *store
	f *os.File
}

func (w writer) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	return n, w.s.explain(err)
}

// reader ends with its context.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// sized checks that content has the size that was announced.
func sized(p spooled, want int64) error {
	if want > 0 && p.size != want {
		return fmt.Errorf("%w: the content has %d bytes, and content_length says %d", objectstore.ErrInvalid, p.size, want)
	}
	return nil
}

// remove removes a file that is of no use any more.
func (s *store) remove(path string) {
	if err := s.root.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("a file that is of no use stays", "folder", s.where, "file", path, "error", err)
	}
}

// syncDir makes the names in a folder survive a crash of the machine.
func (s *store) syncDir(dir string) error { return folder.Sync(s.root, dir) }

// readDir returns what is in a folder, by its names.
func (s *store) readDir(dir string) ([]fs.DirEntry, error) { return folder.ReadDir(s.root, dir) }

// explain makes an error of the contract of one of the system, without the name
// of a file that the caller does not know.
func (s *store) explain(err error) error {
	if err == nil {
		return nil
	}
	cause := err
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		cause = pe.Err
	} else if le, ok := errors.AsType[*os.LinkError](err); ok {
		cause = le.Err
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("%w: %s: %w", objectstore.ErrFull, s.where, cause)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %s: %w", objectstore.ErrPermission, s.where, cause)
	case errors.Is(err, syscall.ENAMETOOLONG):
		return fmt.Errorf("%w: the key is too long for the file system", objectstore.ErrInvalid)
	}
	return fmt.Errorf("object store in %s: %w", s.where, err)
}

// Check tells whether the folder is there and can be written.
func (s *store) Check(ctx context.Context) error {
	end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if _, err := os.Stat(filepath.Join(s.where, bucketsDir)); err != nil {
		return fmt.Errorf("the folder of the objects: %w", err)
	}
	full, err := folder.Full(s.root)
	if err != nil {
		return fmt.Errorf("the file system of %s: %w", s.where, err)
	}
	if full {
		return fmt.Errorf("%w: no room in the file system of %s: free some", objectstore.ErrFull, s.where)
	}
	return nil
}

// Close waits for operations under way; what is open for reading stays good.
func (s *store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.root.Close()
}
