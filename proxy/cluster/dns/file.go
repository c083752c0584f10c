package dns

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

// maxFile is how many bytes of a file are read.
const maxFile = 4 << 20

// file is a file whose content is read again when it has changed. It is safe
// for concurrent use.
type file[T any] struct {
	name  string
	log   *slog.Logger
	parse func(text []byte) T // text is nil when there is no file

	mu      sync.Mutex
	value   T
	known   bool // value is set
	broken  bool // the last try to read failed
	size    int64
	changed time.Time // when the file was written, as far as it says
}

func newFile[T any](name string, log *slog.Logger, parse func([]byte) T) *file[T] {
	return &file[T]{name: name, log: log, parse: parse}
}

// get returns what the file holds now. If it cannot be read any more, that is
// logged once, and what it held before stays.
func (f *file[T]) get() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.refresh()
	if err != nil && f.known && !f.broken {
		f.log.Warn("a file for looking names up cannot be read; what it held before stays in use", "file", f.name, "error", err)
	}
	f.broken = err != nil
	if !f.known {
		f.value, f.known = f.parse(nil), true
	}
	return f.value
}

// load reads the file, and returns why it cannot be read.
func (f *file[T]) load() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refresh()
}

func (f *file[T]) refresh() error {
	info, err := os.Stat(f.name)
	if err != nil {
		return err
	}
	if f.known && info.Size() == f.size && info.ModTime().Equal(f.changed) {
		return nil
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", f.name)
	}
	in, err := os.Open(f.name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	text, err := io.ReadAll(io.LimitReader(in, maxFile))
	if err != nil {
		return err
	}
	f.value, f.known = f.parse(text), true
	f.size, f.changed = info.Size(), info.ModTime()
	return nil
}
