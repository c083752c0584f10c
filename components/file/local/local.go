package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/file"
	"github.com/ottavo-runtime/ottavo/components/internal/folder"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type is the type name of this store.
const Type = "local"

// Metadata is the store's configuration.
type Metadata struct {
	// Root is the folder that holds the files, made if need be; nothing outside
	// of it can be reached. Default: <data_dir>/files/<name of the component>.
	Root string `json:"root"`
}

// Keys of the metadata of a put, and of what Stat and List tell.
const (
	fileMode = "FileMode"
	fileFlag = "FileFlag"
	isDir    = "IsDir"
)

const (
	// tempDir holds, below the root, what is being written.
	tempDir = ".ottavo-tmp"
	// tempAge is the age at which a file there has lost its writer.
	tempAge     = 24 * time.Hour
	defaultPerm = 0o644
	dirPerm     = 0o755
	copyBuffer  = 64 << 10
)

// store is the store. After Close root is closed, and everything fails.
type store struct {
	root  *os.Root
	where string
	log   *slog.Logger

	mu     sync.RWMutex // held for reading while an operation runs, for writing by Close
	closed bool
	// rename lets one put at a time decide whether a name exists and take it.
	rename  sync.Mutex
	buffers sync.Pool
}

// New makes the store, and its folder if it is not there.
func New(_ context.Context, env components.Env, cfg components.Config) (file.Store, error) {
	var m Metadata
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	if m.Root == "" {
		if cfg.Name != filepath.Base(cfg.Name) || cfg.Name == "." || cfg.Name == ".." {
			return nil, decode.Problems{{
				Path: cfg.SettingsPath() + ".root", Message: fmt.Sprintf("is missing, and the component's name %q cannot be a folder's", cfg.Name),
				Remedy: "write the folder",
			}}
		}
		m.Root = filepath.Join(env.DataDir, "files", cfg.Name)
	}
	fail := func(err error) (file.Store, error) {
		return nil, decode.Problems{{Path: cfg.SettingsPath() + ".root", Message: err.Error(), Remedy: "choose a folder that this process may write"}}
	}
	if err := os.MkdirAll(m.Root, 0o750); err != nil {
		return fail(err)
	}
	root, err := os.OpenRoot(m.Root)
	if err != nil {
		return fail(err)
	}
	log := env.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &store{root: root, where: m.Root, log: log}
	s.buffers.New = func() any { b := make([]byte, copyBuffer); return &b }
	if err := s.cleanTemp(); err != nil {
		_ = root.Close()
		return fail(err)
	}
	return s, nil
}

// cleanTemp makes the folder for what is being written and removes what a
// crash has left there long ago. What is younger may belong to another process.
func (s *store) cleanTemp() error {
	if err := s.root.MkdirAll(tempDir, 0o700); err != nil {
		return err
	}
	entries, err := folder.ReadDir(s.root, tempDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < tempAge {
			continue
		}
		if err := s.root.Remove(tempDir + "/" + e.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("an unfinished file of an earlier run stays", "folder", s.where, "file", e.Name(), "error", err)
		}
	}
	return nil
}

// begin guards an operation against Close; the caller calls end when err is nil.
func (s *store) begin(ctx context.Context) (end func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return nil, file.ErrClosed
	}
	return s.mu.RUnlock, nil
}

// place returns where below the root a name stands.
func place(name string) (string, error) {
	if err := file.CheckName(name); err != nil {
		return "", err
	}
	p, err := inside(name)
	switch {
	case err != nil:
		return "", err
	case p == ".", strings.HasSuffix(name, "/"):
		return "", fmt.Errorf("%w: %q is the name of a folder, not of a file", file.ErrInvalid, name)
	}
	return p, nil
}

// inside cleans a name of a file or folder and makes sure that it stays inside.
func inside(name string) (string, error) {
	p := path.Clean(strings.TrimLeft(name, "/"))
	if !filepath.IsLocal(filepath.FromSlash(p)) {
		return "", fmt.Errorf("%w: the name %q leads out of the store's folder", file.ErrInvalid, name)
	}
	if first, _, _ := strings.Cut(p, "/"); first == tempDir {
		return "", fmt.Errorf("%w: the folder %q is the store's own: choose another name", file.ErrInvalid, tempDir)
	}
	return p, nil
}

// Get opens a file.
func (s *store) Get(ctx context.Context, name string, _ map[string]string) (io.ReadCloser, error) {
	p, err := place(name)
	if err != nil {
		return nil, err
	}
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	// Not to be held up by a pipe that somebody has put there.
	f, err := s.root.OpenFile(p, os.O_RDONLY|folder.NonBlock, 0)
	if err != nil {
		return nil, s.explain(name, err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, s.explain(name, err)
	}
	if !info.Mode().IsRegular() {
		_ = f.Close()
		return nil, notRegular(name, info)
	}
	return &reader{ctx: ctx, File: f}, nil
}

// reader is an open file that ends with its context.
type reader struct {
	ctx context.Context
	*os.File
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.File.Read(p)
}

// WriteTo is hidden, as it would not look at the context.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{r})
}

// Delete removes a file.
func (s *store) Delete(ctx context.Context, name string, _ map[string]string) error {
	p, err := place(name)
	if err != nil {
		return err
	}
	end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	info, err := s.root.Lstat(p)
	if err != nil {
		return s.explain(name, err)
	}
	if info.IsDir() {
		return notRegular(name, info)
	}
	if err := s.root.Remove(p); err != nil {
		return s.explain(name, err)
	}
	return s.explain(name, s.syncDir(path.Dir(p)))
}

// Stat tells about a file, or a folder.
func (s *store) Stat(ctx context.Context, name string, _ map[string]string) (*file.Info, error) {
	if err := file.CheckName(name); err != nil {
		return nil, err
	}
	p, err := inside(name)
	if err != nil {
		return nil, err
	}
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	info, err := s.root.Stat(p)
	if err != nil {
		return nil, s.explain(name, err)
	}
	out := describe(name, info)
	return &out, nil
}

func describe(name string, info fs.FileInfo) file.Info {
	return file.Info{
		Name: name, Size: info.Size(), LastModified: info.ModTime(),
		Metadata: map[string][]string{
			fileMode: {strconv.FormatUint(uint64(info.Mode().Perm()), 10)},
			isDir:    {strconv.FormatBool(info.IsDir())},
		},
	}
}

func notRegular(name string, info fs.FileInfo) error {
	what := "no regular file"
	if info.IsDir() {
		what = "a folder, not a file"
	}
	return fmt.Errorf("%w: %q is %s", file.ErrInvalid, name, what)
}

// explain makes an error of the contract of one of the system.
func (s *store) explain(name string, err error) error {
	var kind error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		kind = file.ErrNotFound
	case errors.Is(err, fs.ErrExist):
		kind = file.ErrExists
	case errors.Is(err, fs.ErrPermission):
		kind = file.ErrPermission
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		kind = file.ErrFull
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.ELOOP), escapes(err):
		kind = file.ErrInvalid
	default:
		return fmt.Errorf("file %q in %s: %w", name, s.where, err)
	}
	// The cause without the operation and the path of a temporary file.
	cause := err
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		cause = pe.Err
	} else if le, ok := errors.AsType[*os.LinkError](err); ok {
		cause = le.Err
	}
	return fmt.Errorf("%w: %q in %s: %w", kind, name, s.where, cause)
}

// escapes tells the error of os.Root for a path that leads out, which has no name.
func escapes(err error) bool {
	pe, ok := errors.AsType[*fs.PathError](err)
	return ok && strings.Contains(pe.Err.Error(), "path escapes from parent")
}

// Check tells whether the folder is there and its file system has room.
func (s *store) Check(ctx context.Context) error {
	end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if _, err := os.Stat(s.where); err != nil {
		return fmt.Errorf("the folder of the files: %w", err)
	}
	full, err := folder.Full(s.root)
	if err != nil {
		return fmt.Errorf("the file system of %s: %w", s.where, err)
	}
	if full {
		return fmt.Errorf("%w: no room in the file system of %s: free some", file.ErrFull, s.where)
	}
	return nil
}

// Close waits for operations under way; open readers stay good.
func (s *store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.root.Close()
}
