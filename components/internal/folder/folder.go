// Package folder is what backends in a folder ask of the operating system and Go
// does not offer everywhere: whether there is room left, and that names survive a
// crash of the machine. It writes nothing.
package folder

import (
	"io/fs"
	"os"
	"slices"
	"strings"
)

// ReadDir returns what is in a folder below root, by its names. Unlike fs.ReadDir
// it takes names that are not UTF-8.
func ReadDir(root *os.Root, dir string) ([]fs.DirEntry, error) {
	d, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	entries, err := d.ReadDir(-1)
	slices.SortFunc(entries, func(x, y fs.DirEntry) int { return strings.Compare(x.Name(), y.Name()) })
	return entries, err
}

// Sync makes the names in a folder below root survive a crash of the machine.
// Where folders cannot be synced it does nothing.
func Sync(root *os.Root, dir string) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	err = sync(d)
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}
