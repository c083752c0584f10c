// Package atomicfile writes files that have either their old or their new content,
// whatever happens meanwhile. It never appends and never locks.
package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Pattern is what the names of files begin with that are being written.
const Pattern = ".ottavo-"

// Write replaces the file at path, or makes it with that mode; an existing file
// keeps its mode, and a link stays one. The content is on disk when it returns.
func Write(path string, content []byte, mode fs.FileMode) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	temp, err := os.CreateTemp(filepath.Dir(path), Pattern+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp.Name()))
		}
	}()
	_, err = temp.Write(content)
	if err = errors.Join(err, temp.Chmod(mode), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
