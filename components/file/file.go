// Package file is the contract of file stores: bytes under names. Contents
// flow; nothing here holds a whole file.
package file

import (
	"context"
	"errors"
	"io"
)

// Info is what a store knows about a file, without its content.
type Info struct {
	Name string
	// Size is in bytes.
	Size int64
	// LastModified is the backend's own text for it.
	LastModified string
	// Metadata holds what else the backend tells; a name may have several values. It may be nil.
	Metadata map[string][]string
}

// Page asks for a part of a list.
type Page struct {
	// Size is the most entries to return; 0 is the backend's default.
	Size int
	// Marker is the last name of the page before; "" begins.
	Marker string
}

// List is a part of a list.
type List struct {
	Files []Info
	// Marker is what to ask the next page with; Truncated says whether there is one.
	Marker    string
	Truncated bool
}

// Store is the contract. All methods are safe for concurrent use and return
// promptly when ctx ends, with ctx's error. metadata is what the caller sent
// along; a backend may read it.
type Store interface {
	// Put stores what r yields under name. When r or the backend fails there is
	// nothing new under that name.
	Put(ctx context.Context, name string, metadata map[string]string, r io.Reader) error
	// Get opens a file; the caller closes it.
	Get(ctx context.Context, name string, metadata map[string]string) (io.ReadCloser, error)
	// List lists files below name, in the order of their names.
	List(ctx context.Context, name string, metadata map[string]string, page Page) (*List, error)
	// Delete removes a file; one that is not there is ErrNotFound where the backend can tell.
	Delete(ctx context.Context, name string, metadata map[string]string) error
	// Stat tells about a file.
	Stat(ctx context.Context, name string, metadata map[string]string) (*Info, error)
	// Close releases everything. It is safe twice.
	Close() error
}

// Errors of a store; test with errors.Is.
var (
	ErrInvalid    = errors.New("invalid request")
	ErrNotFound   = errors.New("there is no such file")
	ErrExists     = errors.New("the file exists already")
	ErrExpired    = errors.New("the file has expired")
	ErrPermission = errors.New("permission denied")
	ErrClosed     = errors.New("file store is closed")
)
