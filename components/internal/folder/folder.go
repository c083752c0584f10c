// Package folder is what backends in a folder ask of the operating system and Go
// does not offer everywhere: whether there is room left, and that names survive a
// crash of the machine. It writes nothing.
package folder

import "os"

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
