package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"

	"github.com/ottavo-runtime/ottavo/components/file"
	"github.com/ottavo-runtime/ottavo/components/internal/folder"
)

// putOptions are what the metadata of a put asks for.
type putOptions struct {
	perm    fs.FileMode
	hasPerm bool
	flags   int
	hasFlag bool
}

func parseOptions(metadata map[string]string) (putOptions, error) {
	o := putOptions{perm: defaultPerm, flags: os.O_CREATE}
	if text := metadata[fileMode]; text != "" {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil || n > 0o777 {
			return o, fmt.Errorf("%w: metadata %s %q: must be permission bits as a decimal number, 0 to 511 (420 is rw-r--r--)", file.ErrInvalid, fileMode, text)
		}
		o.perm, o.hasPerm = fs.FileMode(n), true
	}
	if text := metadata[fileFlag]; text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return o, fmt.Errorf("%w: metadata %s %q: must be flags of open(2) as a decimal number (%d creates or replaces)", file.ErrInvalid, fileFlag, text, os.O_CREATE|os.O_TRUNC|os.O_WRONLY)
		}
		o.flags, o.hasFlag = n, true
	}
	return o, nil
}

// Put stores a file. The folders on the way to it are made.
func (s *store) Put(ctx context.Context, name string, metadata map[string]string, r io.Reader) (err error) {
	p, err := place(name)
	if err != nil {
		return err
	}
	o, err := parseOptions(metadata)
	if err != nil {
		return err
	}
	end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	old, err := s.current(name, p, o) // before anything is read, and again before it counts
	if err != nil {
		return err
	}
	temp := tempDir + "/" + rand.Text()
	f, err := s.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrNotExist) { // somebody has tidied up
		if err = s.root.MkdirAll(tempDir, 0o700); err == nil {
			f, err = s.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		}
	}
	if err != nil {
		return s.explain(name, err)
	}
	defer func() {
		if err == nil {
			return
		}
		_ = f.Close()
		if rerr := s.root.Remove(temp); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			s.log.Warn("an unfinished file stays", "folder", s.where, "file", temp, "error", rerr)
		}
	}()
	if o.flags&os.O_APPEND != 0 && old != nil {
		// Appending must be all or nothing too.
		if err := s.copyOld(ctx, f, name, p); err != nil {
			return err
		}
	}
	if err := s.fill(ctx, f, name, r); err != nil {
		return err
	}
	perm := o.perm
	if !o.hasPerm && old != nil {
		perm = old.Mode().Perm()
	}
	if err := f.Chmod(perm); err != nil {
		return s.explain(name, err)
	}
	if err := f.Sync(); err != nil {
		return s.explain(name, err)
	}
	if err := f.Close(); err != nil {
		return s.explain(name, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.commit(name, p, temp, o)
}

// current returns what stands under a name now, or nil, or why a put may not go there.
func (s *store) current(name, p string, o putOptions) (fs.FileInfo, error) {
	info, err := s.root.Lstat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if o.flags&os.O_CREATE == 0 {
			return nil, fmt.Errorf("%w: %q, and %s has no O_CREATE", file.ErrNotFound, name, fileFlag)
		}
		return nil, nil
	case err != nil:
		return nil, s.explain(name, err)
	case o.flags&os.O_CREATE != 0 && o.flags&os.O_EXCL != 0:
		return nil, fmt.Errorf("%w: %q", file.ErrExists, name)
	case !info.Mode().IsRegular():
		return nil, notRegular(name, info)
	}
	return info, nil
}

// commit makes the finished file visible under its name.
func (s *store) commit(name, p, temp string, o putOptions) error {
	dir := path.Dir(p)
	if dir != "." {
		if err := s.root.MkdirAll(dir, dirPerm); err != nil {
			return s.explain(name, err)
		}
	}
	s.rename.Lock()
	defer s.rename.Unlock()
	if _, err := s.current(name, p, o); err != nil {
		return err
	}
	if err := s.root.Rename(temp, p); err != nil {
		return s.explain(name, err)
	}
	return s.explain(name, s.syncDir(dir))
}

// copyOld begins f with the present content.
func (s *store) copyOld(ctx context.Context, f *os.File, name, p string) error {
	old, err := s.root.Open(p)
	if err != nil {
		return s.explain(name, err)
	}
	defer func() { _ = old.Close() }()
	return s.fill(ctx, f, name, old)
}

// fill writes what r yields.
func (s *store) fill(ctx context.Context, f *os.File, name string, r io.Reader) error {
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(*buf)
		if n > 0 {
			if _, werr := f.Write((*buf)[:n]); werr != nil {
				return s.explain(name, werr)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the content of %q: %w", name, err)
		}
	}
}

// syncDir makes a change of names in a folder survive a crash of the machine.
func (s *store) syncDir(dir string) error {
	err := folder.Sync(s.root, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the folder itself is gone by now
	}
	return err
}
