package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Info is what a store knows about a file, without its content.
type Info struct {
	// Name is the file's name; in a List of a store with buckets it is the key
	// alone, without the bucket.
	Name string
	// Size is in bytes.
	Size int64
	// LastModified is when the content was written.
	LastModified time.Time
	// Metadata holds what else the backend tells; a name may have several values. It may be nil.
	Metadata map[string][]string
}

// Page asks for a part of a list.
type Page struct {
	// Size is the most entries to return; 0 is the backend's default. A backend
	// may return fewer and say that there is more.
	Size int
	// Marker is the last name of the page before; "" begins.
	Marker string
}

// DefaultPage is the size of a page where the backend has no default of its own.
const DefaultPage = 1000

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
	// Put stores what r yields under name and replaces what is there. It reads r
	// to its end and not beyond, from one goroutine, and not after it has
	// returned. When r, ctx or the backend fails, everything under that name is
	// as it was before, and an error of r is wrapped by the one returned.
	Put(ctx context.Context, name string, metadata map[string]string, r io.Reader) error
	// Get opens a file, which the caller closes. ctx counts until then. Reading
	// yields the content that the file had when it was opened, or an error.
	Get(ctx context.Context, name string, metadata map[string]string) (io.ReadCloser, error)
	// List lists the files in the folder of that name and in those below it, in
	// the order of their names; "" is all of the store, where it has no buckets. A
	// folder that does not exist has no files.
	List(ctx context.Context, name string, metadata map[string]string, page Page) (*List, error)
	// Delete removes a file; one that is not there is ErrNotFound where the backend can tell.
	Delete(ctx context.Context, name string, metadata map[string]string) error
	// Stat tells about a file.
	Stat(ctx context.Context, name string, metadata map[string]string) (*Info, error)
	// Close releases everything. Operations after it fail with ErrClosed. It is safe twice.
	Close() error
}

// Errors of a store; test with errors.Is.
var (
	// ErrInvalid: the request itself is wrong, as a name that leads out of the store.
	ErrInvalid  = errors.New("invalid request")
	ErrNotFound = errors.New("there is no such file")
	ErrExists   = errors.New("the file exists already")
	ErrExpired  = errors.New("the file has expired")
	// ErrPermission: the store refuses; wrong credentials too.
	ErrPermission = errors.New("permission denied")
	// ErrFull: there is no room for the content.
	ErrFull   = errors.New("the file store is full")
	ErrClosed = errors.New("file store is closed")
)

// maxName is the longest name in bytes, as in object stores.
const maxName = 1024

// CheckName reports what is wrong with a file's name in any store, as an
// ErrInvalid. Every store calls it before anything else.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: the name of the file is empty", ErrInvalid)
	case len(name) > maxName:
		return fmt.Errorf("%w: the name of the file has %d bytes; the most is %d", ErrInvalid, len(name), maxName)
	case strings.ContainsRune(name, 0):
		return fmt.Errorf("%w: the name %q has a zero byte", ErrInvalid, name)
	}
	return nil
}

// CheckPage reports what is wrong with a page's size, as an ErrInvalid.
func CheckPage(p Page) error {
	if p.Size < 0 {
		return fmt.Errorf("%w: the page size is negative (%d)", ErrInvalid, p.Size)
	}
	return nil
}
