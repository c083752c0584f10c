package capability

import (
	"context"
	"errors"
	"io"
	"maps"

	"github.com/ottavo-runtime/ottavo/components/file"
)

// Operations of File in an Error.
const (
	FileGet    Op = "get"
	FilePut    Op = "put"
	FileList   Op = "list"
	FileDelete Op = "delete"
	FileStat   Op = "stat"
)

// File reads and writes files in the stores it was made from. Contents flow
// through; none is held here.
type File struct {
	stores map[string]file.Store
}

// NewFile takes them by their names. The map is copied.
func NewFile(stores map[string]file.Store) *File {
	return &File{stores: maps.Clone(stores)}
}

func (f *File) find(op Op, name string) (file.Store, error) {
	var stores map[string]file.Store
	if f != nil {
		stores = f.stores
	}
	return find(stores, FileName, op, name)
}

// Put stores what r yields. What r returned as an error is the cause of the one
// returned here; an *Error of r is returned as it is.
func (f *File) Put(ctx context.Context, store, name string, metadata map[string]string, r io.Reader) error {
	s, err := f.find(FilePut, store)
	if err != nil {
		return err
	}
	return fileError(ctx, FilePut, store, name, s.Put(ctx, name, metadata, r))
}

// Get opens a file, which the caller closes. Errors of reading are Errors, too.
func (f *File) Get(ctx context.Context, store, name string, metadata map[string]string) (io.ReadCloser, error) {
	s, err := f.find(FileGet, store)
	if err != nil {
		return nil, err
	}
	r, err := s.Get(ctx, name, metadata)
	if err != nil {
		return nil, fileError(ctx, FileGet, store, name, err)
	}
	return &content{ReadCloser: r, explain: func(err error) error { return fileError(ctx, FileGet, store, name, err) }}, nil
}

// content is what a store yields, with errors in our own type.
type content struct {
	io.ReadCloser
	explain func(error) error
}

func (c *content) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // as io.Reader has it
		err = c.explain(err)
	}
	return n, err
}

// List lists files, page by page.
func (f *File) List(ctx context.Context, store, name string, metadata map[string]string, page file.Page) (*file.List, error) {
	s, err := f.find(FileList, store)
	if err != nil {
		return nil, err
	}
	l, err := s.List(ctx, name, metadata, page)
	return l, fileError(ctx, FileList, store, name, err)
}

// Delete removes a file.
func (f *File) Delete(ctx context.Context, store, name string, metadata map[string]string) error {
	s, err := f.find(FileDelete, store)
	if err != nil {
		return err
	}
	return fileError(ctx, FileDelete, store, name, s.Delete(ctx, name, metadata))
}

// Stat tells about a file.
func (f *File) Stat(ctx context.Context, store, name string, metadata map[string]string) (*file.Info, error) {
	s, err := f.find(FileStat, store)
	if err != nil {
		return nil, err
	}
	info, err := s.Stat(ctx, name, metadata)
	return info, fileError(ctx, FileStat, store, name, err)
}

// fileError turns what a store returned into an Error.
func fileError(ctx context.Context, op Op, store, name string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := AsError(err); ok {
		return e // of the one who yields the content
	}
	kind := Internal
	switch {
	case errors.Is(err, file.ErrInvalid):
		kind = InvalidArgument
	case errors.Is(err, file.ErrNotFound):
		kind = NotFound
	case errors.Is(err, file.ErrExists):
		kind = Exists
	case errors.Is(err, file.ErrExpired):
		kind = Expired
	case errors.Is(err, file.ErrPermission):
		kind = PermissionDenied
	case errors.Is(err, file.ErrFull):
		kind = TooLarge
	default:
		if k, ended := contextKind(ctx); ended {
			kind = k
		}
	}
	return &Error{Kind: kind, Capability: FileName, Op: op, Component: store, Key: name, Err: err}
}
