package local

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/components/file"
	"github.com/ottavo-runtime/ottavo/components/internal/folder"
)

// List lists the files below a folder.
func (s *store) List(ctx context.Context, name string, _ map[string]string, page file.Page) (*file.List, error) {
	if err := file.CheckPage(page); err != nil {
		return nil, err
	}
	dir := "."
	if name != "" {
		if err := file.CheckName(name); err != nil {
			return nil, err
		}
		var err error
		if dir, err = inside(name); err != nil {
			return nil, err
		}
	}
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	l := &lister{s: s, ctx: ctx, after: page.Marker, limit: cmp.Or(page.Size, file.DefaultPage)}
	if err := l.walk(dir); err != nil && !errors.Is(err, errFull) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, s.explain(name, err)
	}
	return &l.out, nil
}

// errFull ends a walk when the page is full.
var errFull = errors.New("the page is full")

// lister walks the folders in the order of the names of the files in them.
type lister struct {
	s     *store
	ctx   context.Context
	after string
	limit int
	out   file.List
}

func (l *lister) walk(dir string) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	entries, err := folder.ReadDir(l.s.root, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	// "a/b" stands after "a-b", so a folder counts with its slash.
	key := func(e fs.DirEntry) string {
		if e.IsDir() {
			return e.Name() + "/"
		}
		return e.Name()
	}
	slices.SortFunc(entries, func(x, y fs.DirEntry) int { return strings.Compare(key(x), key(y)) })
	for _, e := range entries {
		full := path.Join(dir, e.Name())
		switch {
		case full == tempDir:
		case e.IsDir():
			// All names in it begin with full + "/".
			if below := full + "/"; l.after >= below && !strings.HasPrefix(l.after, below) {
				continue
			}
			if err := l.walk(full); err != nil {
				return err
			}
		case full > l.after:
			if err := l.add(full); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lister) add(name string) error {
	// Through a link that stays inside, as Get does; what leads out is not there.
	info, err := l.s.root.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return nil //nolint:nilerr // removed meanwhile, or nothing that Get would open
	}
	if len(l.out.Files) == l.limit {
		l.out.Truncated = true
		return errFull
	}
	l.out.Files = append(l.out.Files, describe(name, info))
	l.out.Marker = name
	return nil
}
